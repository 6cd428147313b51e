"""The versions and the platform that proposals may depend on, recorded with every claim."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

from lepton_core.version import __version__

PACKAGES = ("numpy", "scipy", "scikit-learn", "mlflow", "prefect")


def environment() -> dict[str, str]:
    """Names to versions: Lepton, Python, the machine and the numeric libraries."""
    found = {
        "lepton": __version__,
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
    }
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
