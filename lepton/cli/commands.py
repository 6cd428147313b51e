"""The commands by their names on the command line."""

from lepton.cli.driving import resume, run
from lepton.cli.healing import doctor
from lepton.cli.preparing import init, validate
from lepton.cli.reading import best, list_, status
from lepton.cli.scheduling import deploy, serve
from lepton.cli.serving import cancel, ui
from lepton.cli.transferring import export, import_
from lepton.cli.verifying import verify

list = list_  # noqa: A001  (its name on the command line)

__all__ = [
    "best",
    "cancel",
    "deploy",
    "doctor",
    "export",
    "import_",
    "init",
    "list",
    "resume",
    "run",
    "serve",
    "status",
    "ui",
    "validate",
    "verify",
]
