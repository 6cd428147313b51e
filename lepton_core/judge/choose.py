"""How the judge fills a generation: pools of candidates, two models, one choice after another.

The global model has learned from all that is remembered and may choose anywhere; the local one from
the trials nearest to the best alone, and may choose in the trust region only. They take turns. Each
choice is preceded by a local search for better candidates, and followed by the belief of both
models that it was tried.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lepton_core.judge.archive import Entry, selected
from lepton_core.judge.believer import Believer
from lepton_core.judge.cube import Cube, cube_of
from lepton_core.judge.feasibility import Feasibility
from lepton_core.judge.fit import fit
from lepton_core.judge.one_thread import one_thread
from lepton_core.judge.region import half_widths
from lepton_core.judge.state import JUDGES, JudgeState
from lepton_core.judge.warp import warped
from lepton_core.pools import POOLS
from lepton_core.pools.elite import NOBODY, Elite
from lepton_core.pools.local import SIGMAS
from lepton_core.pools.mutation import mutated, scales
from lepton_core.proposers.base import Ask, Candidate
from lepton_core.rng import rng

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

POOL = 160  # candidates of each proposer
MOST_CHOSEN = 64  # slots of a generation that the judge fills, one by one
SEARCHED, MUTANTS = 20, 8  # candidates of which so many mutants join them
FIRST_ROUNDS, ROUNDS = 3, 1  # of this search before the first choice, and before the others
LEAST_LOCAL = 24  # trials that the local model learns from, or 3 for each dimension
LOCAL_SHARE = 0.4  # of the trials
OUTSIDE = -1000.0  # added to the score of what lies outside the trust region
TAKEN = -np.inf  # the score of what was chosen or tried

NO_JUDGE = "none"  # in the place of the judge that chose a candidate


class Choice:
    """One generation's choosing.

    Args:
        state: What the judge remembers; two usable trials at least.
        proposers: Whose pools are drawn.
        ask: For which slots.
        first_number: The number of the generation's first trial.
    """

    def __init__(
        self, state: JudgeState, proposers: Sequence[str], ask: Ask, first_number: int
    ) -> None:
        self.ask, self.first_number = ask, first_number
        self.cube: Cube = cube_of(ask.space)
        self.proposers = tuple(proposers)
        self.state = state
        self.generator = rng(ask.seed, ask.generation, "judge")
        entries = selected(state.archive)
        self._learn(state, entries)
        self._draw()

    def _learn(self, state: JudgeState, entries: Sequence[Entry]) -> None:
        """Fit both models, and the one of failures if there were any."""
        cube, slots = self.cube, min(len(self.ask.slots), MOST_CHOSEN)
        points = np.array([one.point for one in entries])
        losses = np.array([one.loss for one in entries], dtype=float)
        numbers = np.array([one.number for one in entries])
        features = cube.features(points)
        targets = warped(losses)
        wide = fit(features, cube.groups, targets)
        order = np.lexsort((numbers, losses))
        best = order[0]
        scaled = wide.scaled(features)
        gaps = ((scaled - scaled[best]) ** 2).sum(axis=1)
        least = max(LEAST_LOCAL, 3 * cube.size, int(LOCAL_SHARE * len(losses)))
        near = np.sort(np.argsort(gaps, kind="stable")[:least])
        near_targets = warped(losses[near])
        narrow = fit(features[near], cube.groups, near_targets)
        pool = sum(self._share(name) for name in self.proposers) + 2 * self._share("local")
        self.room = pool + SEARCHED * MUTANTS * (FIRST_ROUNDS + ROUNDS * slots)
        self.believers = (
            Believer(wide, features, targets, self.room, slots),
            Believer(narrow, features[near], near_targets, self.room, slots),
        )
        self.elite = Elite(
            cube=cube,
            points=points[order],
            numbers=numbers[order],
            widths=half_widths(state.region, wide.lengths, cube.numbers),
        )
        self.feasibility = None
        failed = np.array([one.point for one in state.archive.failed])
        if len(failed):
            self.feasibility = Feasibility(features, cube.features(failed), cube.groups)
        self.known = set(cube.keys(points))
        if len(failed):
            self.known |= set(cube.keys(failed))

    def _draw(self) -> None:
        """The pools of all proposers, without repeats."""
        self.points = np.zeros((self.room, self.cube.size))
        self.parents = np.full((self.room, 2), NOBODY)
        self.source = np.zeros(self.room, dtype=int)
        self.allowed = np.zeros(self.room)  # what is added to a score
        self.inside = np.zeros(self.room, dtype=bool)
        self.size = 0
        self.keys: set[str] = set()  # of the configurations chosen
        for source, name in enumerate(self.proposers):
            pool = POOLS[name](self.elite, self.generator, self._share(name))
            self._add(pool.points, pool.parents, np.full(len(pool.points), source))
        self.drawn = self.size

    def _add(self, points: Array, parents: NDArray[np.intp], source: NDArray[np.intp]) -> None:
        """Candidates that are not there yet join those of both models."""
        snapped = self.cube.snap(points)
        fresh = []
        for i, key in enumerate(self.cube.keys(snapped)):
            if key not in self.known:
                self.known.add(key)
                fresh.append(i)
        if not fresh:
            return
        points, first = snapped[fresh], self.size
        self.size += len(fresh)
        new = slice(first, self.size)
        self.points[new], self.parents[new], self.source[new] = (
            points,
            parents[fresh],
            source[fresh],
        )
        features = self.cube.features(points)
        if self.feasibility is not None:
            self.allowed[new] = self.feasibility.log_probability(features)
        away = np.abs(points - self.elite.points[0])
        self.inside[new] = (away <= self.elite.widths).all(axis=1)
        for believer in self.believers:
            believer.add(features)

    def _share(self, name: str) -> int:
        """How many candidates a proposer draws: as many as any other."""
        del name
        return max(POOL, len(self.ask.slots) if len(self.ask.slots) > MOST_CHOSEN else 0)

    def _turn(self, slot: int) -> int:
        """Which judge fills a slot: trial by trial, whatever the generations."""
        return (self.first_number + slot) % len(JUDGES)

    def _scores(self, judge: int) -> Array:
        scores = self.believers[judge].scores() + self.allowed[: self.size]
        if judge:
            scores = scores + np.where(self.inside[: self.size], 0.0, OUTSIDE)
        return scores

    def _search(self, judge: int) -> None:
        """Mutants of the candidates that score best join them."""
        top = np.argsort(-self._scores(judge), kind="stable")[:SEARCHED]
        around = np.repeat(top, MUTANTS)
        sigma = scales(*SIGMAS, len(around), self.generator)
        share = min(1.0, 2 / self.cube.size)
        mutants = mutated(self.cube, self.points[around], sigma, share, self.generator)
        self._add(mutants, self.parents[around], self.source[around])

    def candidates(self) -> tuple[Candidate, ...]:
        """One for each slot, fewer where no candidate is left."""
        found: list[Candidate] = []
        for order, slot in enumerate(self.ask.slots[:MOST_CHOSEN]):
            judge = self._turn(slot)
            if not self.size:
                break
            for _ in range(ROUNDS if order else FIRST_ROUNDS):
                self._search(judge)
            chosen = self._choose(judge)
            if chosen is None:
                return tuple(found)
            found.append(chosen)
        return (*found, *self._unjudged(len(self.ask.slots) - len(found)))

    def _choose(self, judge: int) -> Candidate | None:
        """The candidate of the best score that was not tried; both models then believe it was."""
        scores = self._scores(judge)
        while True:
            i = int(np.argmax(scores))
            if scores[i] == TAKEN:
                return None
            found = self._take(i, {"judge": JUDGES[judge], "score": round(float(scores[i]), 2)})
            if found is not None:
                break
            scores[i] = TAKEN
        for believer in self.believers:
            believer.believe(i)
        return found

    def _unjudged(self, slots: int) -> list[Candidate]:
        """Candidates as the pools drew them, from all proposers alike: for very large generations.

        To choose hundreds one by one would take long, and the last of them would rest on beliefs.
        """
        found: list[Candidate] = []
        for i in self.generator.permutation(self.drawn) if slots else ():
            candidate = self._take(int(i), {"judge": NO_JUDGE})
            if candidate is not None:
                found.append(candidate)
            if len(found) == slots:
                break
        return found

    def _take(self, i: int, how: dict[str, Any]) -> Candidate | None:
        """A candidate, which is then gone; None: it is gone, or was tried before."""
        if self.allowed[i] == TAKEN:
            return None
        self.allowed[i] = TAKEN
        params = self.ask.space.decode(self.points[i])
        key = self.ask.space.key(params)
        # Of a number with very many values two points may be one configuration.
        if key in self.ask.seen or key in self.keys:
            return None
        self.keys.add(key)
        parents = dict.fromkeys(int(p) for p in self.parents[i] if p != NOBODY)
        return Candidate(
            params=params,
            proposer=self.proposers[self.source[i]],
            origin={**how, "parents": [int(self.elite.numbers[p]) for p in parents]},
        )


def choose(
    state: JudgeState, proposers: Sequence[str], ask: Ask, first_number: int
) -> tuple[Candidate, ...]:
    """The judge's candidates for the slots of a generation, in their order.

    Args:
        state: What it remembers; two usable trials at least.
        proposers: Whose pools it draws.
        ask: For which slots, and what was tried before.
        first_number: The number of the generation's first trial.

    Returns:
        Fewer than were asked for where all that was drawn was tried before.
    """
    with one_thread():
        return Choice(state, proposers, ask, first_number).candidates()
