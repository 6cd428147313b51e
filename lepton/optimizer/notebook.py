"""How an Optimizer shows itself in a notebook."""

from __future__ import annotations

from html import escape
from itertools import accumulate
from typing import Any

from lepton.progress_text import DIGITS
from lepton_core.asking import Asking
from lepton_core.canonical import value_text
from lepton_core.declaration import to_loss
from lepton_core.events import TrialRecord

WIDTH, HEIGHT, EDGE, MARGIN = 480, 120, 6, 60  # of the picture, in pixels
BULK = 0.9  # the picture's scale leaves the worst tenth out: a few losses are often huge


def html(at: Asking, best: TrialRecord | None, *, name: str | None, where: str = "") -> str:
    """A summary: what is searched, the trial to use, the losses by trial as a picture.

    Args:
        at: The sweep.
        best: The trial to use, or None if none was usable yet.
        name: What it is recorded under, or None.
        where: Where that is.
    """
    declaration = at.state.declaration
    title = f"Optimizer {name}" if name else "Optimizer"
    head = f"{declaration.direction} {declaration.metric}, {at.trials_told} trials"
    parts = [f"<p><b>{escape(title)}</b>: {escape(head)}</p>"]
    if where:
        parts.append(f"<p>{escape(where)}; see it: <code>lepton ui</code></p>")
    if best is None:
        parts.append("<p>nothing usable yet</p>")
    else:
        value = f"{best.value:.{DIGITS}g}"
        rows = [(f"trial {best.proposal.number} ({best.proposal.proposer})", value)]
        rows += [(key, _text(found)) for key, found in best.proposal.params.items()]
        cells = "".join(
            f"<tr><td>{escape(key)}</td><td>{escape(text)}</td></tr>" for key, text in rows
        )
        parts += [f"<table>{cells}</table>", _picture(at)]
    return f"<div>{''.join(parts)}</div>"


def _text(value: Any) -> str:
    return f"{value:.{DIGITS}g}" if isinstance(value, float) else value_text(value)


def _picture(at: Asking) -> str:
    """The losses as dots and the best so far as a line, as SVG: needs no library."""
    direction = at.state.declaration.direction
    usable = [(t.proposal.number, t.value) for t in at.trials() if t.value is not None]
    losses = [to_loss(value, direction) for _, value in usable]
    low, high = min(losses), sorted(losses)[int(BULK * (len(losses) - 1))]
    last = max(1, usable[-1][0])

    def place(number: int, loss: float) -> str:
        up = (min(loss, high) - low) / (high - low) if high > low else 0.5
        up = up if direction == "minimize" else 1 - up
        x = EDGE + (WIDTH - MARGIN - 2 * EDGE) * number / last
        return f"{x:.1f},{HEIGHT - EDGE - (HEIGHT - 2 * EDGE) * up:.1f}"

    numbers = [number for number, _ in usable]
    dots = (place(*pair).split(",") for pair in zip(numbers, losses, strict=True))
    circles = "".join(f'<circle cx="{x}" cy="{y}" r="2" fill="#7a9cc6"/>' for x, y in dots)
    bests = zip(numbers, accumulate(losses, min), strict=True)
    line = " ".join(place(*pair) for pair in bests)
    best, worst = (f"{to_loss(loss, direction):.{DIGITS}g}" for loss in (low, high))
    top, bottom = (worst, best) if direction == "minimize" else (best, worst)
    scale = "".join(
        f'<text x="{WIDTH}" y="{y}" font-size="11" text-anchor="end" fill="#888">{text}</text>'
        for y, text in ((2 * EDGE, top), (HEIGHT - 2 * EDGE, bottom))
    )
    what = "value of each trial, and the best so far"
    return (
        f'<svg width="{WIDTH}" height="{HEIGHT}" role="img" aria-label="{what}">'
        f"<title>{what}</title>{scale}{circles}"
        f'<polyline points="{line}" fill="none" stroke="#c0504d" stroke-width="1.5"/></svg>'
    )
