"""The versions and the platform that proposals may depend on, recorded with every claim."""

from __future__ import annotations

import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version

import numpy as np  # noqa: F401  (its BLAS has to be loaded to be found)
from threadpoolctl import threadpool_info

from lepton_core.version import __version__

PACKAGES = ("numpy", "scipy", "scikit-learn", "mlflow", "prefect")


def environment() -> dict[str, str]:
    """Names to versions: Lepton, Python, the machine and the numeric libraries.

    A BLAS has its own code for each family of processors, and these differ in the last digits:
    `blas` names the one that runs here.
    """
    found = {
        "lepton": __version__,
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "blas": _blas(),
    }
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


@cache
def _blas() -> str:
    """Such as ``openblas Haswell``; empty where it is none that can be asked."""
    found = (one for one in threadpool_info() if one["user_api"] == "blas")
    kinds = {f"{one['internal_api']} {one.get('architecture', '')}".strip() for one in found}
    return ", ".join(sorted(kinds))
