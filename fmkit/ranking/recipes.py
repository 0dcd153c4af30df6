"""Recipes: a loss and its settings, one fit of one, and the choice of settings that were left open."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import numpy as np
from scipy import sparse

from fmkit.design import Design
from fmkit.fitting import Callback, FitRecord, run_fit
from fmkit.progress import Progress
from fmkit.ranking.factors import Factors
from fmkit.ranking.implicit import Implicit, Objective
from fmkit.ranking.machine import RankingMachine
from fmkit.ranking.pairs import Pairs
from fmkit.ranking.sampled import sampled
from fmkit.ranking.side import Side
from fmkit.ranking.softmax import Asking, Softmax

MAX_TRIALS = 100  # draws at most for an item that ranks too high
# Of a sweep, at least: an epoch of small data is over before it shows.
STEPS = 32  # of "softmax"
VISITS = 20_000  # of pairs, by "warp" and "bpr"

# Where a setting is open: the value to begin with and those to try, one setting after the other. Chosen on validation
# parts of MovieLens latest-small, msweb and goodbooks (benchmarks/bench_rankings.py).
OPEN: dict[str, dict[str, tuple[float, ...]]] = {
    "implicit": {"reg": (0.01, 0.003, 0.03), "unseen": (0.3, 0.1)},
    "softmax": {"decay": (0.01, 0.5), "history_power": (0.5, 0.75)},
    "warp": {"reg": (0.0,)},
    "bpr": {"reg": (0.0,)},
}


@dataclass(frozen=True, eq=False)
class Table:
    """What a ranker is fitted to.

    Parameters
    ----------
    pairs : Pairs
    queries, items : Design
        Their rows.
    """

    pairs: Pairs
    queries: Design
    items: Design


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
    """
    pairs, softmax = table.pairs, recipe.loss == "softmax"
    n_query_features = table.queries.n_features + softmax * pairs.n_items
    scale = 0.05 if softmax else 0.1 / np.sqrt(recipe.n_factors)
    machine = RankingMachine.random(n_query_features, table.items.n_features, recipe.n_factors, scale, rng)
    power = recipe.history_power if softmax else None
    sweeps: Iterator[Progress[RankingMachine]]
    if softmax:
        sweeps = _softmax(recipe, table, machine, rng, n_threads)
    elif recipe.loss != "implicit":
        sweeps = _sampled(recipe, table, machine, rng, n_threads)
    else:
        queries, items = Side.of(table.queries, pairs), Side.of(table.items, pairs.transposed)
        sweeps = iter(Implicit(queries, items, machine, recipe.objective, n_threads))

    def factors(machine: RankingMachine) -> Factors:
        return Factors(recipe.loss, machine, power, recipe.objective)

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


def search(recipe: Recipe, open_: dict[str, tuple[float, ...]], fit: Callable[[Recipe], Fitted]) -> list[Fitted]:
    """Fit the recipe with the first value of what is open, then others, one setting after the other; the best first."""
    recipe = recipe.with_({name: values[0] for name, values in open_.items()})
    tried = [fit(recipe)]
    for name, values in open_.items():
        best = max(tried, key=lambda fitted: fitted.ndcg)
        tried += [fit(best.recipe.with_({name: value})) for value in values if value != getattr(best.recipe, name)]
    return sorted(tried, key=lambda fitted: -fitted.ndcg)


def _softmax(
    recipe: Recipe, table: Table, machine: RankingMachine, rng: np.random.Generator, n_threads: int
) -> Iterator[Progress[RankingMachine]]:
    pairs = table.pairs
    asking = Asking(recipe.hide, recipe.history_power, recipe.decay, recipe.learning_rate or 3e-3)
    items = table.items.to_csr()
    counts = np.bincount(pairs.items, minlength=pairs.n_items) + 1.0
    machine.item_linear[:] = popularity_weights(items, counts)
    epochs = iter(Softmax(pairs, table.queries.to_csr(), items, machine, asking, rng, n_threads))
    n_batches = max(1, int(np.count_nonzero(np.diff(pairs.before))) // asking.batch)
    return _together(epochs, -(-STEPS // n_batches))


def _sampled(
    recipe: Recipe, table: Table, machine: RankingMachine, rng: np.random.Generator, n_threads: int
) -> Iterator[Progress[RankingMachine]]:
    epochs = sampled(
        table.pairs,
        table.queries.to_csr(),
        table.items.to_csr(),
        machine,
        loss="warp" if recipe.loss == "warp" else "bpr",
        learning_rate=recipe.learning_rate or 0.05,
        reg=recipe.reg,
        max_trials=MAX_TRIALS,
        popularity=recipe.popularity,
        random_state=rng,
        n_threads=n_threads,
    )
    return _together(epochs, -(-VISITS // len(table.pairs)))


def _together(epochs: Iterator[Progress[RankingMachine]], n: int) -> Iterator[Progress[RankingMachine]]:
    """Every n epochs as one sweep."""
    for sweep, progress in enumerate(islice(epochs, n - 1, None, n), 1):
        progress.sweep = sweep
        yield progress


def popularity_weights(items: sparse.csr_array, counts: Any) -> Any:
    """Weights of item features with which an item of ids alone starts at the log of its count."""
    entries = np.asarray(items.sum(axis=0)).ravel()
    return (items.T @ np.log(counts)) / np.maximum(entries, 1) / max(items.nnz / max(items.shape[0], 1), 1)
