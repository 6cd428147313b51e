"""Fuzz every target with many inputs, and print what came of it: ``make fuzz``.

With atheris installed (the extra ``fuzz``) inputs follow the branches of Lepton's own code; without
it hypothesis draws them. Each target runs in a process of its own. A finding is an exception that
is not an error of Lepton's, told by where it was raised.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import random
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

INPUTS = 100_000
BLOCK = 5000  # inputs of one run of hypothesis, whose memory of them grows
SEEDS = 64  # files that atheris begins with
LONGEST = 4096  # bytes
KEPT = 10  # findings


class Findings:
    """Counts inputs, and keeps one input for each place where something else was raised."""

    def __init__(self, check: Callable[[Any], None], wanted: int) -> None:
        self.check, self.wanted, self.done = check, wanted, 0
        self.found: dict[str, str] = {}
        self.started = time.monotonic()

        def test(value: Any) -> None:  # a function, which hypothesis can give arguments to
            self._one(value)

        self.test = test

    def _one(self, value: Any) -> None:
        self.done += 1
        try:
            self.check(value)
        except Exception as error:  # noqa: BLE001  (that is what is looked for)
            frame = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{type(error).__name__} at {Path(frame.filename).name}:{frame.lineno}"
            if len(self.found) < KEPT:
                self.found.setdefault(where, repr(value)[:2000])

    def tell(self, engine: str) -> None:
        """Print the outcome, as JSON."""
        outcome = {
            "engine": engine,
            "inputs": self.done,
            "seconds": time.monotonic() - self.started,
            "found": self.found,
        }
        print(json.dumps(outcome), flush=True)


def with_hypothesis(name: str, wanted: int) -> None:
    """Draw inputs until there were enough."""
    from fuzz_targets import TARGETS
    from hypothesis import HealthCheck, Phase, given, seed, settings

    target = TARGETS[name]
    findings = Findings(target.check, wanted)
    block = 0
    while findings.done < wanted:
        quiet = settings(
            max_examples=min(BLOCK, wanted - findings.done),
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        seed(block)(quiet(given(target.inputs)(findings.test)))()
        block += 1
    findings.tell("hypothesis")


def with_atheris(name: str, wanted: int) -> None:
    """Let libFuzzer choose the bytes that hypothesis makes inputs of."""
    import atheris

    with atheris.instrument_imports(include=["lepton_core", "lepton_tasks"]):
        from fuzz_targets import TARGETS
    from hypothesis import HealthCheck, given, settings

    target = TARGETS[name]
    findings = Findings(target.check, wanted)
    quiet = settings(deadline=None, database=None, suppress_health_check=list(HealthCheck))
    one_input = quiet(given(target.inputs)(findings.test)).hypothesis.fuzz_one_input

    def test_one(data: bytes) -> None:
        one_input(data)
        if findings.done >= wanted:
            findings.tell("atheris")
            os._exit(0)

    with tempfile.TemporaryDirectory() as corpus:
        draw = random.Random(name)
        for i in range(SEEDS):
            Path(corpus, str(i)).write_bytes(draw.randbytes(draw.randint(16, LONGEST)))
        options = [f"-max_len={LONGEST}", "-len_control=0", "-timeout=60", "-verbosity=0"]
        atheris.Setup([sys.argv[0], *options, corpus], test_one)
        atheris.Fuzz()


def main() -> int:
    """Fuzz the targets named, or all."""
    from fuzz_targets import TARGETS

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=INPUTS)
    engines = {"atheris": with_atheris, "hypothesis": with_hypothesis}
    here = "atheris" if importlib.util.find_spec("atheris") else "hypothesis"
    parser.add_argument("--engine", choices=engines, default=here)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("targets", nargs="*", help=f"of: {', '.join(TARGETS)}")
    arguments = parser.parse_args()
    names = arguments.targets or list(TARGETS)
    if unknown := [name for name in names if name not in TARGETS]:
        parser.error(f"no such target: {unknown[0]}; there are: {', '.join(TARGETS)}")
    if arguments.child:
        engines[arguments.engine](names[0], arguments.inputs)
        return 0

    print(f"{'target':28} {'engine':10} {'inputs':>8} {'seconds':>8} {'findings':>8}", flush=True)
    bad = 0
    for name in names:
        child = [sys.executable, __file__, "--child", "--engine", arguments.engine]
        child += ["--inputs", str(arguments.inputs), name]
        done = subprocess.run(child, capture_output=True, text=True, check=False)
        lines = [line for line in done.stdout.splitlines() if line.startswith('{"engine"')]
        if not lines:
            print(f"{name:28} ended with {done.returncode}:\n{done.stderr[-3000:]}", flush=True)
            bad += 1
            continue
        told = json.loads(lines[-1])
        figures = f"{told['inputs']:8} {told['seconds']:8.1f} {len(told['found']):8}"
        print(f"{name:28} {told['engine']:10} {figures}", flush=True)
        for where, value in told["found"].items():
            print(f"  {where}: {value}", flush=True)
        bad += len(told["found"])
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
