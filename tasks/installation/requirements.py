"""Versions that do not go together: what is installed, against what Lepton's own package asks for.

The ranges are those of ``pyproject.toml``, read back from the installed distribution; they are
written nowhere else.
"""

from __future__ import annotations

import platform
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution, version

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion, Version

from lepton_core.version import __version__
from lepton_tasks.installation.check import Check, gravest

DISTRIBUTION = "lepton-tuning"
DEVELOPERS_OWN = ("bench", "dev", "fuzz")  # extras that no user's work depends on


def lepton_distribution() -> Distribution | None:
    """Lepton's own distribution as it is installed here, or None."""
    try:
        return distribution(DISTRIBUTION)
    except PackageNotFoundError:
        return None


def is_within(found: str, specifier: SpecifierSet) -> bool:
    """Whether a version is in a range; one that is no version is not.

    Example:
        >>> is_within("3.12.1", SpecifierSet(">=3.11")), is_within("?", SpecifierSet(">=3.11"))
        (True, False)
    """
    try:
        return specifier.contains(Version(found), prereleases=True)
    except InvalidVersion:
        return False


def required(package: str) -> SpecifierSet:
    """The range that Lepton asks of one of its requirements; any version if it is none."""
    found = lepton_distribution()
    for line in (found.requires or []) if found else []:
        requirement = Requirement(line)
        if requirement.name == package and requirement.marker is None:
            return requirement.specifier
    return SpecifierSet()


def check_python() -> Check:
    """Python itself."""
    found, lepton = platform.python_version(), lepton_distribution()
    asked = lepton.metadata["Requires-Python"] if lepton else None
    specifier = SpecifierSet(asked or "")
    if is_within(found, specifier):
        return Check("python", "ok", found, str(specifier) or "any")
    advice = "install Lepton in an environment of such a Python"
    return Check("python", "problem", found, str(specifier), advice)


def check_packages() -> Check:
    """Every package that Lepton needs, and of those of its extras what is installed."""
    lepton = lepton_distribution()
    if lepton is None:
        return Check(
            "packages",
            "warning",
            f"Lepton {__version__} runs, but no distribution {DISTRIBUTION} is installed, so what "
            "it requires is not known",
            "an installed distribution, with its requirements",
            f"pip install {DISTRIBUTION} (or, in a checkout, pip install -e .)",
        )
    asked = [Requirement(line) for line in lepton.requires or []]
    wrong = [*_core(asked), *_of_extras(asked, lepton.metadata.get_all("Provides-Extra") or [])]
    if lepton.version != __version__:
        wrong.append(
            Check(
                "packages",
                "warning",
                f"{DISTRIBUTION} {lepton.version} is installed, but the code is {__version__}",
                "one Lepton",
                "install it again",
            )
        )
    if not wrong:
        count = sum(_applies(one) for one in asked)
        found = f"{DISTRIBUTION} {__version__}; {count} requirements are met"
        return Check("packages", "ok", found, "the ranges that its distribution declares")
    return Check(
        "packages",
        gravest(one.state for one in wrong),
        "; ".join(one.found for one in wrong),
        "; ".join(one.expected for one in wrong),
        "; ".join(dict.fromkeys(one.advice for one in wrong)),
    )


def _applies(requirement: Requirement, extra: str = "") -> bool:
    return requirement.marker is None or requirement.marker.evaluate({"extra": extra})


def _core(asked: list[Requirement]) -> Iterator[Check]:
    for one in asked:
        if not _applies(one):
            continue
        found = _installed(one.name)
        if found is None or not is_within(found, one.specifier):
            yield _wrong(one, found, why="", problem=True)


def _of_extras(asked: list[Requirement], extras: list[str]) -> Iterator[Check]:
    """What is installed of the extras' packages in a version that they do not work with."""
    for extra in extras:
        if extra in DEVELOPERS_OWN:
            continue
        for one in asked:
            if _applies(one) or not _applies(one, extra):
                continue
            found = _installed(one.name)
            if found is not None and not is_within(found, one.specifier):
                yield _wrong(one, found, why=f" for {DISTRIBUTION}[{extra}]", problem=False)


def _installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _wrong(one: Requirement, found: str | None, *, why: str, problem: bool) -> Check:
    asked = f"{one.name}{one.specifier}"
    return Check(
        "packages",
        "problem" if problem else "warning",
        f"{one.name} {found}" if found else f"{one.name} is not installed",
        f"{asked}{why}",
        f"pip install '{asked}'",
    )
