"""How well Lepton searches, beside published searchers. Needs the extra `bench`.

    python benchmarks/search.py run --methods lepton random --seeds 2
    python benchmarks/search.py table
    python benchmarks/search.py compare lepton optuna-tpe
    python benchmarks/search.py cost

`run` appends one row a search to a CSV, and skips what is there already, so it can be stopped at
any moment. Choices are made on `--set development`; `--set report` is for what is reported.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from itertools import product
from math import inf
from pathlib import Path
from time import monotonic

import problems
from ablations import ABLATIONS
from failing import failures
from search_cost import HISTORIES, cost
from search_peers import APART, PEERS
from search_results import FOLDER, Cell, Row, append, every_file, read
from search_tables import by_family, common, compare, table
from sweeps import CHECKPOINTS, PORTFOLIOS, RECOMMEND, Run, lepton

METHODS = (*PORTFOLIOS, *PEERS)
THREADS = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL", "NUMEXPR")}
FAST = tuple(name for name in METHODS if name not in APART)


def search(cell: Cell, evaluations: int) -> Run:
    """The search that a cell stands for."""
    problem = problems.problem(cell.problem)
    fails = failures(problem, cell.failures)
    if cell.method in PORTFOLIOS:
        with ABLATIONS.get(cell.method, nullcontext)():
            return lepton(
                problem,
                cell.seed,
                evaluations,
                PORTFOLIOS[cell.method],
                cell.generation,
                fails=fails,
                recommend=RECOMMEND.get(cell.method) if problem.noisy else None,
            )
    return PEERS[cell.method](problem, cell.seed, evaluations, cell.generation, fails=fails)


def measured(work: tuple[Cell, int]) -> Row:
    """The row of a cell."""
    cell, evaluations = work
    problem = problems.problem(cell.problem)
    run = search(cell, evaluations)
    losses: dict[int, float] = {}
    known: dict[str, float] = {}  # an incumbent often stays over several checkpoints
    for n in (n for n in CHECKPOINTS if n <= evaluations):
        answer = run.answer(n)
        if answer is None:
            losses[n] = inf
            continue
        key = problem.space.key(answer)
        if key not in known:
            known[key] = problem.true_loss(answer)
        losses[n] = known[key]
    return Row(cell, problem.family, evaluations, losses, run.ms_per_proposal)


def rows_of(works: list[tuple[Cell, int]], processes: int) -> Iterator[Row]:
    """The rows as they come."""
    if processes == 1:
        yield from map(measured, works)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        try:
            yield from pool.map(measured, works)
        finally:
            pool.shutdown(cancel_futures=True)


def command_run(told: argparse.Namespace) -> None:
    """Search what is missing."""
    chosen = chosen_problems(told)
    done = {row.cell: row.evaluations for row in read([told.results])}
    cells = [
        Cell(method, problem.name, seed, told.generation, told.failures)
        for seed, method, problem in product(range(told.seeds), told.methods, chosen)
    ]
    works = [(cell, told.evaluations) for cell in cells if done.get(cell, 0) < told.evaluations]
    until = monotonic() + 60 * told.minutes
    for number, row in enumerate(rows_of(works, told.processes), 1):
        append(told.results, row)
        cell = row.cell
        sys.stderr.write(f"{number}/{len(works)} {cell.method} {cell.problem} {cell.seed}\n")
        if monotonic() > until and number < len(works):
            sys.stderr.write(f"{len(works) - number} are left; run the same again to go on\n")
            return


def chosen_problems(told: argparse.Namespace) -> list[problems.Problem]:
    """The problems of the set, or those that are named."""
    if told.problems:
        return [problems.problem(name) for name in told.problems]
    every = problems.report() if told.set == "report" else problems.development()
    return [one for one in every if one.family in told.families]


def chosen_rows(told: argparse.Namespace) -> list[Row]:
    """The rows of the files that the arguments ask for."""
    names = {one.name for one in chosen_problems(told)}
    return [
        row
        for row in read(every_file(told.results))
        if row.cell.problem in names
        and row.cell.generation == told.generation
        and row.cell.failures == told.failures
        and row.evaluations >= told.evaluations
        and row.cell.seed < told.seeds
    ]


def command_table(told: argparse.Namespace) -> None:
    """Print the table."""
    results = common(chosen_rows(told), told.methods)
    print(table(results, alike=False))
    print("\nFamilies weighted alike:\n")
    print(table(results, alike=True))
    print(f"\nBy family, @{results.checkpoints[-1]}:\n")
    print(by_family(results))


def command_compare(told: argparse.Namespace) -> None:
    """Print the comparison."""
    print(compare(common(chosen_rows(told), [told.first, told.second])))


def command_cost(told: argparse.Namespace) -> None:
    """Print CPU milliseconds per proposal."""
    print("| method | problem | trials before | ms per proposal | ms to tell them |")
    print("|---|---|---|---|---|")
    for method, problem in product(told.methods, told.problems):
        found = cost(problems.problem(problem), PORTFOLIOS[method], told.generation, told.histories)
        for trials, ms, told_ms in found:
            print(f"| {method} | {problem} | {trials} | {ms:.2f} | {told_ms:.0f} |", flush=True)


def _which(parser: argparse.ArgumentParser, *, evaluations: int, seeds: int) -> None:
    parser.add_argument("--set", choices=("development", "report"), default="development")
    parser.add_argument(
        "--families", nargs="+", choices=problems.FAMILIES, default=problems.FAMILIES
    )
    parser.add_argument("--problems", nargs="+", help="by name, instead of a set")
    parser.add_argument("--seeds", type=int, default=seeds, help="seeds 0, 1, ... so many")
    parser.add_argument("--generation", type=int, default=8, help="1: one trial after another")
    parser.add_argument("--failures", default="", help="0.3: so many by chance; or: region")
    parser.add_argument("--evaluations", type=int, default=evaluations)


def arguments(given: Iterable[str] | None = None) -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    commands = parser.add_subparsers(required=True)
    run = commands.add_parser("run", help="search what is missing")
    _which(run, evaluations=200, seeds=2)
    run.add_argument("--methods", nargs="+", choices=METHODS, default=FAST)
    run.add_argument("--processes", type=int, default=1)
    run.add_argument("--minutes", type=float, default=inf, help="end after so many, go on later")
    run.add_argument("--results", type=Path, default=FOLDER / "search.csv")
    run.set_defaults(command=command_run)

    shown = commands.add_parser("table", help="mean regrets where all methods have a row")
    _which(shown, evaluations=0, seeds=1000)
    shown.add_argument("--methods", nargs="+", default=())
    shown.add_argument("--results", type=Path, nargs="+", default=())
    shown.set_defaults(command=command_table)

    pair = commands.add_parser("compare", help="two methods, in pairs of problem and seed")
    pair.add_argument("first")
    pair.add_argument("second")
    _which(pair, evaluations=0, seeds=1000)
    pair.add_argument("--results", type=Path, nargs="+", default=())
    pair.set_defaults(command=command_compare)

    spent = commands.add_parser("cost", help="CPU ms per proposal after long histories")
    spent.add_argument("--methods", nargs="+", choices=tuple(PORTFOLIOS), default=("lepton",))
    spent.add_argument(
        "--problems",
        nargs="+",
        default=("lcbench-189862-val_cross_entropy", "xgboost-3-logloss"),
    )
    spent.add_argument("--generation", type=int, default=8)
    spent.add_argument("--histories", type=int, nargs="+", default=HISTORIES)
    spent.set_defaults(command=command_cost)
    return parser.parse_args(None if given is None else list(given))


def main() -> None:
    """Do what was asked for, on one thread."""
    if not THREADS.keys() <= os.environ.keys():  # read when the libraries were imported: too late
        os.execve(sys.executable, sys.orig_argv, {**THREADS, **os.environ})  # noqa: S606
    told = arguments()
    try:
        told.command(told)
    except ValueError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
