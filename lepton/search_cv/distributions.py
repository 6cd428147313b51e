"""What one param of ``param_distributions`` may be, as a domain of Lepton's and the way back.

A domain holds plain values, which are recorded; an estimator is to be given the user's own objects.
So each dimension says how a value of its domain becomes the value that the estimator gets.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lepton_core.canonical import Value, shown, value_text
from lepton_core.domains import Choice, Domain, Fixed, Float, Int
from lepton_core.errors import InputError, SpaceError
from lepton_core.values import is_number, plain_value

INDEX = "/index"  # after the name of a param that is searched by its place in a sorted list
QUANTILE = "/quantile"  # after the name of a param that is searched by its quantile
TAIL = 0.001  # of a distribution, at each end, is not searched: its ends may be infinite
MAX_VALUES = 1000  # of a discrete distribution that are searched as numbers
MAX_LABEL = 200  # characters
LEAST_NUMBERS = 3  # of which a list is in an order that is worth knowing
ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")  # in a repr: another one in each process


def _same(value: Any) -> Any:
    return value


@dataclass(frozen=True)
class Dimension:
    """A param as it is searched.

    Attributes:
        domain: What is searched, and recorded.
        suffix: What is added to the param's name in the record, where that holds no value of it.
        decode: From a value of the domain to what the estimator gets.
        encode: From a value as a condition (`when`) on this param names it to the domain's.
        objects: The user's own objects, if the param is a list.
    """

    domain: Domain
    suffix: str = ""
    decode: Callable[[Value], Any] = _same
    encode: Callable[[Value], Value] = _same
    objects: tuple[Any, ...] = ()


def dimension(name: str, declared: Any) -> Dimension:
    """How a param is searched.

    Args:
        name: Of the param, for errors.
        declared: A domain of Lepton's, a distribution of scipy's, a list, or one plain value.

    Raises:
        InputError: It is none of these, it is empty, or it has no quantiles.

    Example:
        >>> from scipy import stats
        >>> dimension("C", stats.loguniform(0.01, 100)).domain
        Float(low=0.01, high=100.0, log=True, step=None, when=())
        >>> dimension("norm", ["l1", "l2"]).domain
        Choice(choices=('l1', 'l2'), when=())
    """
    try:
        if isinstance(declared, Float | Int | Choice | Fixed):
            return Dimension(declared)
        if any(callable(getattr(declared, method, None)) for method in ("ppf", "icdf", "rvs")):
            return _of_distribution(declared)
        if isinstance(declared, str | bytes) or not isinstance(declared, Iterable):
            return Dimension(Fixed(plain_value(declared)))
        return _of_list(declared)
    except SpaceError as error:
        raise InputError(f"param_distributions[{name!r}]: {error.message}", param=name) from None


# -- lists ------------------------------------------------------------------------------------


def _of_list(declared: Iterable[Any]) -> Dimension:
    """Numbers are searched in their order; all else as a choice, by value or by label."""
    if isinstance(declared, Mapping | set | frozenset):
        raise SpaceError(f"found {shown(declared)}, which has no order; expected a list")
    values = list(declared)
    if not values:
        raise SpaceError("found an empty list; expected at least one value")
    values = _without_repeats(values)
    if len(values) == 1:
        return Dimension(Fixed(labels(values)[0]), decode=lambda _: values[0], objects=(values[0],))
    if len(values) >= LEAST_NUMBERS and all(_is_ordered(value) for value in values):
        return _of_numbers(sorted(values))
    texts = labels(values)
    by_text = {value_text(text): value for text, value in zip(texts, values, strict=True)}
    return Dimension(
        Choice(texts), decode=lambda text: by_text[value_text(text)], objects=tuple(values)
    )


def _of_numbers(values: list[Any]) -> Dimension:
    """By the numbers themselves where they are evenly spaced, else by their place."""
    places = {float(value): place for place, value in enumerate(values)}

    def place_of(value: Value) -> int:
        place = places.get(value) if is_number(value) else None  # type: ignore[arg-type]
        if place is None:
            raise SpaceError(f"found {shown(value)}; expected one of {shown(values)}")
        return place

    even = _even(values)
    if even is not None:
        low, pace = float(even.low), float(even.step or 1)
        return Dimension(
            even,
            decode=lambda value: values[round((value - low) / pace)],  # type: ignore[operator]
            objects=tuple(values),
        )
    return Dimension(
        Int(0, len(values) - 1),
        suffix=INDEX,
        decode=lambda place: values[int(place)],  # type: ignore[arg-type]
        encode=place_of,
        objects=tuple(values),
    )


def _even(values: Sequence[Any]) -> Int | Float | None:
    """The grid that these numbers are, if they are one."""
    kind: type[Int | Float] = Int if all(float(v).is_integer() for v in values) else Float
    paces = np.diff(np.asarray(values, dtype=float))
    if not np.allclose(paces, paces[0], rtol=1e-9, atol=0):
        return None
    try:
        grid = kind(values[0], values[-1], step=paces[0])
    except SpaceError:
        return None
    return grid if grid.cells == len(values) else None


def _is_ordered(value: Any) -> bool:
    return is_number(value) and not isinstance(value, np.bool_)


def _without_repeats(values: list[Any]) -> list[Any]:
    """Plain values once each; of other objects it is not known when they are equal."""
    kept: dict[Any, Any] = {}
    for place, value in enumerate(values):
        try:
            key: Any = (type(value), value_text(plain_value(value)))
        except SpaceError:
            key = place
        kept.setdefault(key, value)
    numbers = [value for value in kept.values() if _is_ordered(value)]
    if len(numbers) == len(kept):
        return list({float(value): value for value in reversed(numbers)}.values())[::-1]
    return list(kept.values())


def labels(values: Sequence[Any]) -> list[Value]:
    """The values themselves, if a `Choice` can hold them, else short texts; no two alike.

    A text is the same in every process, so that a search can be resumed by it.

    Example:
        >>> labels([None, 1, len, (1, 2)])
        [None, 1, 'builtins.len', '(1, 2)']
        >>> labels([[1], [1], "1"])
        ['[1]', '[1] (2)', '1']
    """
    found: dict[str, Value] = {}
    for value in values:
        named = label(value)
        text, count = value_text(named), 1
        while text in found:
            count += 1
            text = f"{value_text(named)} ({count})"
        found[text] = named if count == 1 else text
    return list(found.values())


def label(value: Any, longest: int = MAX_LABEL) -> Value:
    """A value itself if a `Choice` can hold it, else a text that is the same in every process.

    Example:
        >>> label(0.5), label(object()), label(dict)
        (0.5, '<object object>', 'builtins.dict')
    """
    try:
        return plain_value(value)
    except SpaceError:
        pass
    if isinstance(value, type) or (callable(value) and hasattr(value, "__qualname__")):
        return f"{value.__module__}.{value.__qualname__}"[:longest]
    text = " ".join(ADDRESS.sub("", repr(value)).split())
    printable = "".join(c if c.isprintable() else "?" for c in text)
    return printable[:longest] or type(value).__name__


# -- distributions ----------------------------------------------------------------------------


def _of_distribution(declared: Any) -> Dimension:
    from scipy import stats  # noqa: PLC0415  (whoever has such a distribution has it loaded)

    quantile = getattr(declared, "ppf", None) or getattr(declared, "icdf", None)
    if quantile is None:
        raise SpaceError(
            f"found {shown(declared)}, which can only be drawn from (rvs): a search needs to know "
            "where values lie; expected a frozen distribution of scipy.stats, which has ppf, a "
            "list, or lepton.Float, Int or Choice"
        )
    kind = getattr(declared, "dist", declared)
    low, high = _number(quantile, TAIL, declared), _number(quantile, 1 - TAIL, declared)
    if isinstance(kind, type(stats.uniform)):
        return Dimension(Float(*map(float, declared.support())))
    if isinstance(kind, type(stats.loguniform)):
        bounds = Float(*map(float, declared.support()), log=True)
        if np.isclose(bounds.decode(0.5), _number(quantile, 0.5, declared), rtol=1e-6):
            return Dimension(bounds)  # else it is shifted, and its logarithm is not uniform
    if isinstance(kind, type(stats.randint)):
        first, last = map(int, declared.support())
        return Dimension(Int(first, last) if first < last else Fixed(first))
    whole = hasattr(declared, "pmf")
    if whole and high - low < MAX_VALUES:
        values = np.unique(np.append(np.arange(np.floor(low), high + 1), [low, high]))
        return _of_list([_plain(v) for v in values if declared.pmf(v) > 0])
    return Dimension(
        Float(TAIL, 1 - TAIL),
        suffix=QUANTILE,
        decode=(lambda u: _plain(quantile(u))) if whole else (lambda u: float(quantile(u))),
    )


def _number(quantile: Callable[[float], Any], u: float, declared: Any) -> float:
    """One quantile, finite."""
    try:
        found = float(quantile(u))
    except Exception as error:  # noqa: BLE001  (whatever a distribution's code raises)
        raise SpaceError(
            f"found {shown(declared)}, whose {u} quantile cannot be computed "
            f"({type(error).__name__}: {error}); expected a frozen distribution, such as "
            "scipy.stats.loguniform(0.01, 100)"
        ) from None
    if not np.isfinite(found):
        raise SpaceError(
            f"found {shown(declared)}, whose {u} quantile is {found}; expected a distribution of "
            "finite numbers: are its arguments what they should be?"
        )
    return found


def _plain(value: Any) -> int | float:
    """An int where the number is whole."""
    number = float(value)
    return int(number) if number.is_integer() else number
