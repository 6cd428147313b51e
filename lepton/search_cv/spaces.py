"""``param_distributions`` as one space, and its configurations as scikit-learn's candidates."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lepton.search_cv.distributions import QUANTILE, Dimension, dimension
from lepton_core.canonical import Params, Value, shown
from lepton_core.domains import Choice, Domain, Fixed
from lepton_core.errors import InputError, SpaceError
from lepton_core.keys import is_mlflow_key, listing
from lepton_core.space import Space

WHICH = "param_distributions"  # which dict of a list of them, by its place
MAX_NAME = 230  # characters of a param's name in the record


@dataclass(frozen=True)
class Searched:
    """What is searched, and what a configuration of it means to the estimator.

    Attributes:
        space: The space.
        dicts: For each dict of ``param_distributions``, by the estimator's param: the name in the
            space, and how to read it.
    """

    space: Space
    dicts: tuple[Mapping[str, tuple[str, Dimension]], ...]

    def candidate(self, params: Params) -> dict[str, Any]:
        """The estimator's params at a configuration of the space."""
        which = int(params.get(WHICH, 0))  # type: ignore[arg-type]  # see `_with_which`
        return {
            name: dim.decode(params[inner])
            for name, (inner, dim) in self.dicts[which].items()
            if inner in params
        }


def searched(param_distributions: Any, more: Mapping[str, Value] | None = None) -> Searched:
    """The space of what a user gave as ``param_distributions``.

    Params that several dicts of a list declare alike are one dimension of the space.

    Args:
        param_distributions: A mapping of names to domains, distributions, lists or plain values; a
            `Space`; or a list of such mappings.
        more: Fixed params that are recorded beside them.

    Raises:
        InputError: Something in it is wrong; it says where.

    Example:
        >>> found = searched([{"kernel": ["linear"]}, {"kernel": ["rbf"], "gamma": [1, 10]}])
        >>> [found.candidate(params) for params in found.space.configurations.values()]
        [{'kernel': 'linear'}, {'kernel': 'rbf', 'gamma': 1}, {'kernel': 'rbf', 'gamma': 10}]
    """
    dicts = _dicts(param_distributions)
    several = len(dicts) > 1
    domains: dict[str, Domain] = {}
    known: dict[str, tuple[Dimension, list[int]]] = {}  # by the name in the space
    found: list[dict[str, tuple[str, Dimension]]] = []
    for place, declared in enumerate(dicts):
        names: dict[str, tuple[str, Dimension]] = {}
        for name, value in declared.items():
            dim = dimension(name, value)
            inner = _inner_name(name, dim, known, place)
            known.setdefault(inner, (dim, []))[1].append(place)
            names[name] = (inner, dim)
        found.append(names)
    for inner, (dim, places) in known.items():
        names = found[places[0]]
        domain = _with_conditions(inner, dim, names)
        domains[inner] = _with_which(domain, places) if several else domain
    if several or all(isinstance(domain, Fixed) for domain in domains.values()):
        domains = {WHICH: Choice(list(range(len(dicts)))), **domains}
    try:
        return Searched(space=Space({**domains, **(more or {})}), dicts=tuple(found))
    except SpaceError as error:
        raise InputError(f"param_distributions: {error.message}") from None


def _dicts(declared: Any) -> list[Mapping[str, Any]]:
    if isinstance(declared, Space):
        return [declared.params]
    dicts = [declared] if isinstance(declared, Mapping) else declared
    if not isinstance(dicts, Sequence) or isinstance(dicts, str) or not dicts:
        raise InputError(
            f"param_distributions is {shown(declared)}; expected a dict of params, or a list of "
            "such dicts"
        )
    plain = [one.params if isinstance(one, Space) else one for one in dicts]
    for place, one in enumerate(plain):
        if not isinstance(one, Mapping):
            raise InputError(f"param_distributions[{place}] is {shown(one)}; expected a dict")
        for name in one:
            if not isinstance(name, str) or not name or name == WHICH:
                raise InputError(
                    f"param_distributions has the key {shown(name)}; expected the name of a param "
                    "of the estimator"
                )
    return plain


def _inner_name(
    name: str, dim: Dimension, known: Mapping[str, tuple[Dimension, list[int]]], place: int
) -> str:
    """The name in the space: that of another dict's equal dimension, or a new one for MLflow."""
    base = re.sub(r"[^A-Za-z0-9_.\-:/ ]", "_", name)[:MAX_NAME] + dim.suffix
    base = base if is_mlflow_key(base) else re.sub(r"[^A-Za-z0-9_]", "_", base)
    inner, count = base, 1
    while inner in known and (place in known[inner][1] or not _alike(known[inner][0], dim)):
        count += 1
        inner = f"{base}:{count}"
    return inner


def _alike(one: Dimension, other: Dimension) -> bool:
    """Whether two dicts mean the same by a param, so that what is learned of it holds for both."""
    return (
        one.domain == other.domain
        and not one.domain.when  # whose parents may differ
        and other.suffix != QUANTILE  # other quantiles, perhaps
        and len(one.objects) == len(other.objects)
        and all(_equal(a, b) for a, b in zip(one.objects, other.objects, strict=True))
    )


def _equal(one: Any, other: Any) -> bool:
    plain = isinstance(one, str | int | float)
    return one is other or (plain and type(one) is type(other) and bool(one == other))


def _with_conditions(
    inner: str, dim: Dimension, names: Mapping[str, tuple[str, Dimension]]
) -> Domain:
    """The domain, its conditions on the names and values of the space."""
    domain, when = dim.domain, {}
    if isinstance(domain, Fixed) or not domain.when:
        return domain
    for parent, allowed in domain.when:
        if parent not in names:
            raise InputError(
                f"param_distributions[{inner!r}]: when names {parent!r}, which is not another "
                f"param; there are: {listing(names)}"
            )
        above, above_dim = names[parent]
        try:
            when[above] = [above_dim.encode(value) for value in allowed]
        except SpaceError as error:
            raise InputError(
                f"param_distributions[{inner!r}]: when.{parent}: {error.message}"
            ) from None
    return replace(domain, when=when)


def _with_which(domain: Domain, places: Sequence[int]) -> Domain:
    """The domain, active only for some dicts of the list."""
    if isinstance(domain, Fixed):
        return Choice([domain.value], when={WHICH: list(places)})
    when = {parent: list(allowed) for parent, allowed in domain.when}
    return replace(domain, when={**when, WHICH: list(places)})
