"""The search benchmark's results: one row of CSV a search, appended as each ends.

A row holds losses, not regrets: a reference that is found to be better later changes no row. The
loss at a checkpoint is the true loss of the params recommended by then: for a problem without
noise, the best so far.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sweeps import CHECKPOINTS

FOLDER = Path(__file__).parent / "results"
LOSSES = tuple(f"loss_{n}" for n in CHECKPOINTS)
COLUMNS = (
    "method",
    "problem",
    "family",
    "seed",
    "generation",
    "failures",
    "evaluations",
    *LOSSES,
    "ms",
)


@dataclass(frozen=True)
class Cell:
    """What a row is the result of.

    Attributes:
        generation: How many trials are asked before any of them is told; 1: one after another.
        failures: Which planted failures; see `failing.failures`.
    """

    method: str
    problem: str
    seed: int
    generation: int = 8
    failures: str = ""


@dataclass(frozen=True)
class Row:
    """One search's result.

    Attributes:
        losses: By checkpoint.
        ms: CPU milliseconds of search for each proposal.
    """

    cell: Cell
    family: str
    evaluations: int
    losses: Mapping[int, float] = field(default_factory=dict)
    ms: float = 0.0

    def record(self) -> dict[str, str]:
        """The row by column."""
        cell = self.cell
        return {
            "method": cell.method,
            "problem": cell.problem,
            "family": self.family,
            "seed": str(cell.seed),
            "generation": str(cell.generation),
            "failures": cell.failures,
            "evaluations": str(self.evaluations),
            **{f"loss_{n}": f"{loss:.10g}" for n, loss in self.losses.items()},
            "ms": f"{self.ms:.3f}",
        }

    @classmethod
    def of(cls, record: Mapping[str, str]) -> Row:
        """The row that `record` wrote."""
        return cls(
            cell=Cell(
                method=record["method"],
                problem=record["problem"],
                seed=int(record["seed"]),
                generation=int(record["generation"]),
                failures=record["failures"],
            ),
            family=record["family"],
            evaluations=int(record["evaluations"]),
            losses={n: float(record[f"loss_{n}"]) for n in CHECKPOINTS if record[f"loss_{n}"]},
            ms=float(record["ms"]),
        )


def read(paths: Iterable[Path]) -> list[Row]:
    """All rows of these files; of two of one cell the longer search, then the later row."""
    found: dict[Cell, Row] = {}
    for path in paths:
        if path.exists():
            with path.open(newline="") as file:
                for row in map(Row.of, csv.DictReader(file)):
                    known = found.get(row.cell)
                    if known is None or known.evaluations <= row.evaluations:
                        found[row.cell] = row
    return list(found.values())


def append(path: Path, row: Row) -> None:
    """Add a row; the file is made with its header where there is none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, restval="", lineterminator="\n")
        if file.tell() == 0:
            writer.writeheader()
        writer.writerow(row.record())


def every_file(paths: Sequence[Path]) -> list[Path]:
    """These files; without any, all that are committed."""
    return list(paths) or sorted(FOLDER.glob("*.csv"))
