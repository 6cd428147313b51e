"""Which trial of a sweep to use."""

from __future__ import annotations

from lepton_core.fold import SweepState


def recommended(state: SweepState) -> int | None:
    """The number of the trial to use; None: none is usable.

    A judge takes it into account that the lowest of many noisy losses is partly luck (see
    `lepton_core.judge.recommend`). Without one it is the trial of the lowest loss.

    Example:
        >>> from lepton_core.declaration import Declaration, Portfolio
        >>> from lepton_core.events import SweepDeclared
        >>> from lepton_core.fold import replay
        >>> from lepton_core.space import Float, Space
        >>> portfolio = Portfolio(proposers=("ga",), judge=True)
        >>> declared = SweepDeclared(declaration=Declaration(
        ...     name="demo", space=Space({"x": Float(0, 1)}), portfolio=portfolio))
        >>> recommended(replay([declared])) is None
        True
    """
    if state.best is None:
        return None
    if not state.declaration.portfolio.judge:
        return state.best.proposal.number
    from lepton_core.judge.recommend import recommend  # noqa: PLC0415  (SciPy takes half a second)

    return recommend(state.portfolio.judge.archive, state.declaration.space)
