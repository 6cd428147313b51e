"""Hyperopt's TPE, which is told of conditions by nesting: children stand under `hp.choice`."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from math import isfinite, log
from typing import TYPE_CHECKING, Any

import hyperopt
from conditions import active_params, parents_first
from hyperopt import hp

from lepton_core.rng import rng
from lepton_core.space import Choice, Domain, Fixed, Float, Int, Space

if TYPE_CHECKING:
    from hyperopt.pyll import Apply

logging.getLogger("hyperopt").setLevel(logging.ERROR)
VALUE = "value"  # of a param that has children, beside them
LARGEST_SEED = 2**31


class Hyperopt:
    """Hyperopt's Trials and its TPE, as `fmin` uses them."""

    def __init__(self, space: Space, seed: int, evaluations: int, generation: int) -> None:
        del evaluations, generation  # Unused: it is told of neither.
        self.space, self.generator = space, rng(seed, "peer", "hyperopt")
        self.trials = hyperopt.Trials()
        self.nested = _nested(space)
        self.domain = hyperopt.base.Domain(lambda _: 0.0, self.nested)
        self.asked: list[dict[str, Any]] = []

    def ask(self, count: int) -> list[dict[str, Any]]:
        """One at a time, as its workers would: those that run are seen, without a loss."""
        self.asked, found = [], []
        for _ in range(count):
            (number,) = self.trials.new_trial_ids(1)
            self.trials.refresh()
            documents = hyperopt.tpe.suggest(
                [number],
                self.domain,
                self.trials,
                int(self.generator.integers(LARGEST_SEED)),
                verbose=False,
            )
            self.trials.insert_trial_docs(documents)
            self.trials.refresh()
            self.asked.append(self.trials.trials[-1])
            drawn = self.asked[-1]["misc"]["vals"].items()
            spec = {label: values[0] for label, values in drawn if values}
            nested = hyperopt.space_eval(self.nested, spec)
            found.append(active_params(self.space, _flat(nested)))
        return found

    def tell(self, losses: Sequence[float]) -> None:
        """Their losses; a failure is told as one."""
        for document, loss in zip(self.asked, losses, strict=True):
            document["state"] = hyperopt.JOB_STATE_DONE
            document["result"] = (
                {"status": hyperopt.STATUS_OK, "loss": loss}
                if isfinite(loss)
                else {"status": hyperopt.STATUS_FAIL}
            )
        self.trials.refresh()


def _nested(space: Space) -> dict[str, Apply]:
    """The space as Hyperopt declares it; a node under two branches is active in either."""
    nodes: dict[str, Apply] = {}
    for name in reversed(parents_first(space)):
        domain = space.params[name]
        children = [child for child in nodes if _parent(space, child) == name]
        if not children:
            nodes[name] = _leaf(name, domain)
            continue
        values = (
            domain.choices if isinstance(domain, Choice) else range(domain.low, domain.high + 1)
        )
        branches = [
            {VALUE: value, **{c: nodes[c] for c in children if space.is_active(c, {name: value})}}
            for value in values
        ]
        nodes[name] = hp.choice(name, branches)
    return {name: node for name, node in nodes.items() if _parent(space, name) is None}


def _parent(space: Space, name: str) -> str | None:
    """Whose branches a param stands in; with several conditions, or none, it stands on top."""
    when = space.params[name].when
    return when[0][0] if len(when) == 1 else None


def _leaf(name: str, domain: Domain) -> Any:
    match domain:
        case Fixed():
            return domain.value
        case Choice():
            return hp.choice(name, list(domain.choices))
        case Int():
            if domain.log:
                return hp.qloguniform(name, log(domain.low - 0.5), log(domain.high + 0.5), 1)
            return hp.uniformint(name, domain.low, domain.high)
        case Float():
            if domain.log:
                return hp.loguniform(name, log(domain.low), log(domain.high))
            return hp.uniform(name, domain.low, domain.high)


def _flat(nested: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in nested.items():
        if isinstance(value, Mapping):
            found[name] = value[VALUE]
            found |= _flat({key: below for key, below in value.items() if key != VALUE})
        else:
            found[name] = value
    return found
