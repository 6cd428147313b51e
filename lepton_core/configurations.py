"""The configurations of a space of countable params: how many there are, and each of them.

They are counted without being listed, one param after another: what matters of the params so far is
only which conditions of later ones they meet. So the cost grows with the conditions that are open
at the same time, not with the configurations.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from lepton_core.canonical import value_text
from lepton_core.cells import cell
from lepton_core.domains import Choice, Domain, Fixed, Float, Int

MAX_COUNTED = 10_000_000  # configurations: no sweep has more trials
MAX_OPEN = 4096  # combinations of open conditions; there are at least as many configurations

Met = frozenset[tuple[str, str]]
"""Pairs of a param and a later one whose condition on it is met."""


def count(domains: Mapping[str, Domain]) -> int | None:
    """How many configurations there are, exactly.

    Args:
        domains: By name; conditions name others of them, and run in no circle.

    Returns:
        None: they are endless, more than `MAX_COUNTED`, or their conditions too entangled. Whoever
        gets None knows that there are more than `MAX_OPEN`.

    Example:
        >>> from lepton_core.domains import Choice, Int
        >>> kind = Choice(["linear", "poly"])
        >>> count({"kind": kind, "degree": Int(2, 4, when={"kind": ["poly"]})})
        4
    """
    states: Mapping[Met, int] = {frozenset(): 1}
    asked = _asked(domains)
    for name in _order(domains):
        after: Counter[Met] = Counter()
        kinds = _kinds(domains[name], asked[name])
        for met, ways in states.items():
            rest = frozenset(pair for pair in met if pair[1] != name)
            if len(met) - len(rest) < len(domains[name].when):
                after[rest] += ways  # it is inactive, which meets no condition
            elif not kinds:
                return None
            else:
                for meets, values in kinds.items():
                    after[rest | meets] += ways * values
        states = after
        if len(states) > MAX_OPEN or sum(states.values()) > MAX_COUNTED:
            return None
    return sum(states.values())


def each(domains: Mapping[str, Domain]) -> Iterator[dict[str, float]]:
    """Where in the unit cube each configuration is, by the names of its active params.

    They come in the order of their values, the first param's first; inactive ones count as at their
    first. All params can be counted.

    Args:
        domains: As of `count`.
    """
    found: list[dict[str, int]] = [{}]
    for name in _order(domains):
        domain = domains[name]
        allowed = [(p, {value_text(v) for v in values}) for p, values in domain.when]
        longer: list[dict[str, int]] = []
        for at in found:
            active = all(p in at and _text(domains[p], at[p]) in texts for p, texts in allowed)
            longer += [{**at, name: i} for i in range(_cells(domain))] if active else [at]
        found = longer
    found.sort(key=lambda at: [at.get(name, 0) for name in domains])
    for at in found:
        yield {name: _middle(domains[name], i) for name, i in at.items()}


def _order(domains: Mapping[str, Domain]) -> Iterator[str]:
    """All names, parents first, and each as soon after them as can be: few conditions are open."""
    children: dict[str, list[str]] = {name: [] for name in domains}
    waits = {name: len(domain.when) for name, domain in domains.items()}
    for name, domain in domains.items():
        for parent, _ in domain.when:
            children[parent].append(name)
    ready = [name for name in reversed(list(domains)) if not waits[name]]
    while ready:
        name = ready.pop()
        yield name
        for child in reversed(children[name]):
            waits[child] -= 1
            if not waits[child]:
                ready.append(child)


def _asked(domains: Mapping[str, Domain]) -> dict[str, dict[str, Met]]:
    """By name, and by the text of a value of it, whose conditions that value meets."""
    asked: dict[str, dict[str, Met]] = {name: {} for name in domains}
    for child, domain in domains.items():
        for parent, allowed in domain.when:
            for text in map(value_text, allowed):
                asked[parent][text] = asked[parent].get(text, frozenset()) | {(parent, child)}
    return asked


def _kinds(domain: Domain, asked: Mapping[str, Met]) -> Counter[Met]:
    """How many values meet the same conditions of others; none: it is continuous."""
    kinds = Counter(asked.values())
    others = _cells(domain) - len(asked)
    if others > 0:
        kinds[frozenset()] += others
    return kinds


def _cells(domain: Domain) -> int:
    match domain:
        case Choice():
            return len(domain.choices)
        case Fixed():
            return 1
        case Float() | Int():
            return domain.cells


def _middle(domain: Domain, i: int) -> float:
    """The middle of the i-th of a param's cells."""
    ends = cell(domain, 0.0, i) if isinstance(domain, Float | Int) else None
    return sum(ends) / 2 if ends else (i + 0.5) / _cells(domain)


def _text(domain: Domain, i: int) -> str:
    return value_text(domain.decode(_middle(domain, i)))
