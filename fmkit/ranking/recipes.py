"""Recipes: a loss and its settings, one fit of one, and the choice of settings that were left open."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fmkit.fitting import Callback, FitRecord, run_fit
from fmkit.progress import Progress
from fmkit.ranking.factors import Factors
from fmkit.ranking.implicit import Implicit, Objective
from fmkit.ranking.machine import RankingMachine
from fmkit.ranking.sampled import sampled
from fmkit.ranking.softmax import Asking, Softmax
from fmkit.ranking.table import Table

if TYPE_CHECKING:
    import torch

MAX_TRIALS = 10  # draws at most for an item that ranks too high
START = {"softmax": 0.05, "warp": 0.01, "bpr": 0.01}  # standard deviation of the first factors
RATES = {"softmax": 3e-3, "warp": 0.05, "bpr": 0.15}
# Of a sweep, at least: an epoch of small data is over before it shows.
STEPS = 32  # of "softmax"
VISITS = 100_000  # of pairs, by "warp" and "bpr"
PASSES = 100  # over the pairs in a sweep, at most: two pairs took four seconds a fit to visit so often


@dataclass(frozen=True)
class Steps:
    """Values of a setting in order, and the one to begin with; from there one goes up or down while it gets better."""

    first: float
    values: tuple[float, ...]


# What is tried where a setting is open. Firsts were chosen on validation parts of MovieLens latest-small, msweb and
# goodbooks (benchmarks/bench_rankings.py), of which each ends at another penalty.
OPEN: dict[str, dict[str, Steps]] = {
    "implicit": {
        "reg": Steps(0.01, (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1)),
        "unseen": Steps(0.3, (0.01, 0.03, 0.1, 0.3, 1.0)),
    },
    "softmax": {"decay": Steps(0.01, (0.01, 0.5)), "history_power": Steps(0.5, (0.5, 0.75))},
    "warp": {"reg": Steps(1.0, (0.01, 0.1, 1.0))},
    "bpr": {"reg": Steps(0.003, (0.003, 0.03))},
}


@dataclass(frozen=True)
class Recipe:
    """A loss and the settings of its fit, named as FMRanker's parameters."""

    loss: str
    n_factors: int
    max_iter: int
    unseen: float = 0.3
    reg: float = 0.01
    reg_attributes: float = 10.0
    hide: float = 0.2
    history_power: float = 0.5
    decay: float = 0.01
    learning_rate: float | None = None
    popularity: float = 0.0

    def with_(self, settings: dict[str, Any]) -> Recipe:
        """This one with other settings."""
        return replace(self, **settings)

    @property
    def objective(self) -> Objective:
        """That of "implicit"; and of new queries where histories are no features."""
        if self.loss in ("warp", "bpr"):
            return Objective()
        return Objective(self.unseen, self.reg, reg_attributes=self.reg_attributes)


@dataclass(frozen=True, eq=False)
class Fitted:
    """A fitted recipe; `sweeps` are those after which it was best, `ndcg` is NaN without a judge."""

    recipe: Recipe
    factors: Factors
    record: FitRecord[RankingMachine]
    sweeps: int
    ndcg: float


Judge = Callable[[Factors], float]


def fit_recipe(
    recipe: Recipe,
    table: Table,
    judge: Judge | None,
    *,
    rng: np.random.Generator,
    n_threads: int,
    patience: int,
    callbacks: Sequence[Callback] = (),
    verbose: bool = False,
    start: Factors | None = None,
    device: torch.device | None = None,
) -> Fitted:
    """Fit until `max_iter`, or until a judge finds no sweep better.

    Parameters
    ----------
    recipe : Recipe
    table : Table
    judge : callable, optional
        NDCG of a machine on the part set aside.
    rng : Generator
        Draws the start, and whatever the loss draws.
    n_threads, patience, callbacks, verbose
        As for FMRanker.
    start : Factors, optional
        Of a machine for the first columns of both sides, to go on from.
    device : torch.device, optional
        Of "implicit", if not the package's kernels.
    """
    pairs, softmax = table.pairs, recipe.loss == "softmax"
    columns, n_own = None, table.queries.n_features
    if softmax:
        columns = shared_columns(table.queries.csr)
        if start is not None and start.columns is not None:
            columns = np.concatenate([start.columns, np.setdiff1d(columns, start.columns)])
        n_own = len(columns)
    n_query_features = n_own + softmax * pairs.n_items
    scale = START[recipe.loss] if recipe.loss != "implicit" else 0.1 / np.sqrt(recipe.n_factors)
    machine = RankingMachine.random(n_query_features, table.items.n_features, recipe.n_factors, scale, rng)
    if start is not None:
        begin_with(start.machine, machine, 0 if start.power is None else start.n_items, n_own)
    power = recipe.history_power if softmax else None
    sweeps: Iterator[Progress[RankingMachine]]
    if softmax:
        sweeps = _softmax(recipe, table, machine, columns, rng, n_threads, start is not None)
    elif recipe.loss != "implicit":
        sweeps = _sampled(recipe, table, machine, rng, n_threads)
    else:
        sweeps = iter(Implicit(*table.sides, machine, recipe.objective, n_threads, device))

    def factors(machine: RankingMachine) -> Factors:
        return Factors(recipe.loss, machine, power, recipe.objective, pairs.n_items, columns)

    record = run_fit(
        sweeps,
        machine,
        recipe.max_iter,
        validation_loss=None if judge is None else lambda machine: 1 - judge(factors(machine)),
        patience=patience,
        callbacks=callbacks,
        verbose=verbose,
    )
    losses = [row["validation_loss"] for row in record.history]
    best = len(losses) - 1 if judge is None else int(np.argmin(losses))
    ndcg = np.nan if judge is None else 1 - losses[best]
    return Fitted(recipe, factors(record.machine), record, best + 1, ndcg)


def search(recipe: Recipe, open_: dict[str, Steps], fit: Callable[[Recipe], Fitted]) -> list[Fitted]:
    """Fit the recipe with the first value of what is open, then others, one setting after the other; the best first.

    After Ctrl-C nothing more is tried.
    """
    tried = [fit(recipe.with_({name: steps.first for name, steps in open_.items()}))]
    best = tried[0]
    for name, steps in open_.items():
        begin = steps.values.index(steps.first)
        for way in (reversed(steps.values[:begin]), steps.values[begin + 1 :]):
            moved = False
            for value in way:
                if tried[-1].record.interrupted:
                    return sorted(tried, key=lambda fitted: -fitted.ndcg)
                tried.append(fit(best.recipe.with_({name: value})))
                if not tried[-1].ndcg > best.ndcg:
                    break
                best, moved = tried[-1], True
            if moved:
                break
    return sorted(tried, key=lambda fitted: -fitted.ndcg)


def shared_columns(queries: sparse.csr_array) -> NDArray[np.int64]:
    """Those that more than one query has.

    The vector of a single query's id learns its history by heart, where that history is there already.
    """
    return np.flatnonzero(np.bincount(queries.indices, minlength=queries.shape[1]) > 1)


def _softmax(
    recipe: Recipe,
    table: Table,
    machine: RankingMachine,
    columns: Any,
    rng: np.random.Generator,
    n_threads: int,
    begun: bool,
) -> Iterator[Progress[RankingMachine]]:
    pairs = table.pairs
    asking = Asking(recipe.hide, recipe.history_power, recipe.decay, recipe.learning_rate or RATES[recipe.loss])
    items = table.items.csr
    counts = np.bincount(pairs.items, minlength=pairs.n_items) + 1.0
    if not begun:
        machine.item_linear[:] = popularity_weights(items, counts)
    queries = sparse.csr_array(table.queries.csr[:, columns])
    epochs = iter(Softmax(pairs, queries, items, machine, asking, rng, n_threads))
    n_batches = max(1, int(np.count_nonzero(np.diff(pairs.before))) // asking.batch)
    return _together(epochs, -(-STEPS // n_batches))


def _sampled(
    recipe: Recipe, table: Table, machine: RankingMachine, rng: np.random.Generator, n_threads: int
) -> Iterator[Progress[RankingMachine]]:
    epochs = sampled(
        table.pairs,
        table.queries.csr,
        table.items.csr,
        machine,
        loss="warp" if recipe.loss == "warp" else "bpr",
        learning_rate=recipe.learning_rate or RATES[recipe.loss],
        reg=recipe.reg,
        max_trials=MAX_TRIALS,
        popularity=recipe.popularity,
        random_state=rng,
        n_threads=n_threads,
    )
    return _together(epochs, min(-(-VISITS // len(table.pairs)), PASSES))


def _together(epochs: Iterator[Progress[RankingMachine]], n: int) -> Iterator[Progress[RankingMachine]]:
    """Every n epochs as one sweep."""
    for sweep, progress in enumerate(islice(epochs, n - 1, None, n), 1):
        progress.sweep = sweep
        yield progress


def begin_with(start: RankingMachine, machine: RankingMachine, n_histories: int, n_own: int) -> None:
    """Let a machine of more columns begin with another's.

    Parameters
    ----------
    start, machine : RankingMachine
    n_histories : int
        How many of the last query features of `start` are those of histories.
    n_own : int
        How many query features of `machine` come before its histories'.
    """
    own, histories = np.split(start.query_factors, [len(start.query_factors) - n_histories])
    machine.query_factors[: len(own)] = own
    machine.query_factors[n_own : n_own + n_histories] = histories
    machine.item_factors[: len(start.item_factors)] = start.item_factors
    machine.item_linear[: len(start.item_linear)] = start.item_linear


def popularity_weights(items: sparse.csr_array, counts: Any) -> Any:
    """Weights of item features with which an item of ids alone starts at the log of its count."""
    entries = np.asarray(items.sum(axis=0)).ravel()
    return (items.T @ np.log(counts)) / np.maximum(entries, 1) / max(items.nnz / max(items.shape[0], 1), 1)
