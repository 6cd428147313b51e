"""The commands and their options."""

from __future__ import annotations

import argparse
from keyword import iskeyword

from lepton.cli import commands
from lepton_core.declaration import MAX_WORKERS
from lepton_core.version import __version__

EXAMPLES = """\
first steps:
  lepton init                 write a commented sweep.yaml and objective.py
  lepton validate sweep.yaml  check them, spending nothing
  lepton run sweep.yaml       tune; stop it at any moment, run it again to go on
  lepton ui                   compare the trials in the MLflow UI

exit codes: 0 done, 1 our fault, 2 input wrong, 3 nothing usable, 4 driven by
another, 5 history altered, 6 recomputing differs, 7 store unreachable,
130/143 interrupted
"""


def build_parser() -> argparse.ArgumentParser:
    """The parser; each command sets ``command`` to the function that does it."""
    parser = argparse.ArgumentParser(
        prog="lepton",
        description="Tune models with a history in MLflow that any interruption leaves intact.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"lepton {__version__}")
    verbs = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def verb(name: str, text: str) -> argparse.ArgumentParser:
        sub = verbs.add_parser(name, help=text, description=text, allow_abbrev=False)
        sub.add_argument("--json", action="store_true", help="print one JSON object for scripts")
        attribute = f"{name}_" if iskeyword(name) else name
        sub.set_defaults(command=getattr(commands, attribute))
        return sub

    run = verb("run", "drive a sweep to its target, or go on with it")
    run.add_argument("file", help="the sweep file")
    _driving_options(run)

    resume = verb("resume", "go on with a sweep by its name")
    resume.add_argument("name", help="the sweep's name")
    resume.add_argument("--file", help="its sweep file, if not in the current directory")
    _driving_options(resume)

    for name, text in {
        "status": "show how far a sweep is and who drives it",
        "best": "show the best trial: recommended, and lowest observed",
        "verify": "prove that the history is intact and its proposals recompute",
        "cancel": "stop a sweep's driver, wherever it runs",
    }.items():
        verb(name, text).add_argument("name", help="the sweep's name")

    doctor = verb("doctor", "say what is wrong with a sweep's record, or with this installation")
    doctor.add_argument("name", nargs="?", help="the sweep's name; without it: the installation")
    doctor.add_argument("--repair", action="store_true", help="make the repairs that it names")
    doctor.add_argument(
        "--reopen",
        action="store_true",
        help="with --repair: where seals are lost or altered, go on from the last proven one",
    )
    export = verb("export", "write a sweep as JSON lines, to be imported elsewhere")
    export.add_argument("name", help="the sweep's name")
    export.add_argument(
        "-o", dest="output", metavar="FILE", help="default: standard output; .gz compresses"
    )
    import_ = verb("import", "bring an exported sweep into this store")
    import_.add_argument("file", help="what 'lepton export' wrote")
    import_.add_argument(
        "--as", dest="as_name", metavar="NAME", help="its name here, if not its own"
    )

    deploy = verb("deploy", "have a Prefect work pool add a night to a sweep on schedule")
    _scheduling_options(deploy)
    deploy.add_argument("--pool", required=True, help="a work pool of type process")
    serve = verb("serve", "add a night to a sweep on schedule, on this machine, until Ctrl-C")
    _scheduling_options(serve)
    serve.add_argument(
        "--port",
        type=int,
        default=4200,
        help="of its own Prefect server, where PREFECT_API_URL is not set; default: 4200, or the "
        "next free one",
    )

    verb("list", "list the store's sweeps")
    verb("validate", "check a sweep file and its objective, spending nothing").add_argument(
        "file", help="the sweep file"
    )
    init = verb("init", "write a commented sweep.yaml and an objective.py")
    init.add_argument("folder", nargs="?", default=".", help="where (default: here)")
    ui = verb("ui", "open the MLflow UI on the store, on loopback only")
    ui.add_argument("--port", type=int, default=5000, help="default: 5000, or the next free one")
    return parser


def _driving_options(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--workers", type=_workers, metavar="N", help="trials at a time")
    sub.add_argument(
        "--take-over",
        action="store_true",
        help="drive even if another driver seems to live; that one can then seal nothing",
    )

    sub.add_argument(
        "--nightly",
        action="store_true",
        help="add no more than one scheduled run may, by 'nightly' of the sweep file",
    )


def _scheduling_options(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("file", help="the sweep file")
    sub.add_argument(
        "--cron", required=True, help="when, as five fields: '0 2 * * *' is every night at two"
    )
    sub.add_argument(
        "--timezone", default="UTC", help="of the schedule, such as Europe/Berlin (default: UTC)"
    )
    sub.add_argument("--workers", type=_workers, metavar="N", help="trials at a time")


def _workers(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= MAX_WORKERS:
        allowed = f"a whole number from 1 to {MAX_WORKERS}"
        raise argparse.ArgumentTypeError(f"found {text!r}; expected {allowed}")
    return int(text)
