"""What a part set aside decides: settings left open, how long fits take, ridges, and the weights of a blend."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fmkit.fitting import FitInterrupted
from fmkit.ranking.blend import choose_weights
from fmkit.ranking.evaluation import evaluate, evaluate_scores
from fmkit.ranking.factors import Factors
from fmkit.ranking.item_item import DISCOUNTS, RIDGES, ItemItem
from fmkit.ranking.metrics import RankMetrics
from fmkit.ranking.pairs import Pairs
from fmkit.ranking.ranking import Ranking
from fmkit.ranking.recipes import Fitted, Judge, Recipe, Steps, search
from fmkit.ranking.table import Table

JUDGED = 4000  # queries that rankings are compared by, at most
METRIC = "ndcg@10"


@dataclass(frozen=True, eq=False)
class Trial:
    """A table of which some pairs are set aside, and the queries by which rankings are judged.

    Parameters
    ----------
    table : Table
        Without the pairs set aside.
    queries : ndarray of shape (n_judged,), int64
        Of those that have pairs in both parts.
    relevant, histories : Pairs of shape (n_judged, n_items)
        Their pairs set aside, and the others.
    n_threads : int
    """

    table: Table
    queries: NDArray[np.int64]
    relevant: Pairs
    histories: Pairs
    n_threads: int

    @classmethod
    def of(cls, table: Table, fraction: float, rng: np.random.Generator, n_threads: int) -> Trial | None:
        """A random part of the pairs set aside; None if no query could be judged by it."""
        pairs = table.pairs
        aside = np.zeros(len(pairs), bool)
        aside[rng.permutation(len(pairs))[: int(len(pairs) * fraction)]] = True
        left, right = pairs.select(~aside), pairs.select(aside)
        judged = np.flatnonzero((np.diff(left.before) > 0) & (np.diff(right.before) > 0))
        if not len(judged):
            return None
        if len(judged) > JUDGED:
            judged = np.sort(rng.choice(judged, JUDGED, replace=False))
        return cls(replace(table, pairs=left), judged, right.rows(judged), left.rows(judged), n_threads)

    def judge(self) -> Judge:
        """NDCG of a machine."""
        queries = self.table.queries.csr[self.queries]
        items = self.table.items.csr

        def ndcg(factors: Factors) -> float:
            return self._mean(
                evaluate(
                    factors.query_vectors(queries, self.histories),
                    factors.machine.item_vectors(items),
                    self.relevant,
                    exclude=self.histories,
                    metrics=METRIC,
                    n_jobs=self.n_threads,
                )
            )

        return ndcg

    def foretold(self) -> tuple[tuple[float, float], ItemItem, float]:
        """The best ridge and discount of item-item weights, these, and their NDCG."""
        pairs = self.table.pairs
        best: tuple[tuple[float, float], ItemItem, float] | None = None
        count = np.maximum(np.bincount(pairs.items, minlength=pairs.n_items), 1).astype(np.float32)
        for ridge in RIDGES:
            if best is not None and ridge == RIDGES[-1] and best[0][0] != RIDGES[0]:
                break
            plain = ItemItem.of(pairs, ridge)
            scores = plain.scores(self.histories)
            for discount in DISCOUNTS:
                ndcg = self._ndcg(scores * count**-discount)
                if best is None or ndcg > best[2]:
                    best = (ridge, discount), plain, ndcg
        assert best is not None
        (ridge, discount), plain, ndcg = best
        return (ridge, discount), ItemItem(plain.weights * count**-discount, ridge, discount), ndcg

    def weights(self, chosen: Sequence[Fitted], item_item: ItemItem | None) -> tuple[tuple[float, ...], float]:
        """The best weights of a blend, and its NDCG."""
        n = len(chosen) + (item_item is not None)
        ranking = blended(self.table, chosen, item_item, [1.0] * n)
        vectors, Z = ranking.known(self.queries), ranking.item_vectors
        lengths = [part.shape[1] for part in ranking.item_parts]
        of_item_item = None if item_item is None else item_item.scores(self.histories)

        def judge(weights: Sequence[float]) -> float:
            scaled = np.repeat(np.asarray(weights[: len(chosen)], np.float32), lengths)

            def score(some: NDArray[np.int64]) -> Any:
                scores = (vectors[some] * scaled) @ Z.T
                if of_item_item is not None:
                    scores += np.float32(weights[-1]) * of_item_item[some]
                return scores

            return self.of_scores(score)

        return choose_weights(n, judge)

    def _ndcg(self, scores: NDArray[np.float32]) -> float:
        """Of scores of all judged queries."""
        return self.of_scores(lambda some: scores[some])

    def of_scores(self, score: Callable[[NDArray[np.int64]], Any]) -> float:
        """NDCG of scores of the judged queries, by their place."""
        return self._mean(
            evaluate_scores(score, self.relevant, exclude=self.histories, metrics=METRIC, n_jobs=self.n_threads)
        )

    @staticmethod
    def _mean(metrics: RankMetrics) -> float:
        return metrics.mean()[METRIC]


def blended(table: Table, chosen: Sequence[Fitted], item_item: ItemItem | None, weights: Sequence[float]) -> Ranking:
    """What is fitted to a table as one ranking, without what weighs nothing."""
    kept = [(fitted.factors, weight) for fitted, weight in zip(chosen, weights, strict=False) if weight]
    of_items = [weights[-1]] if item_item is not None else []
    return Ranking(
        table.queries.csr,
        table.items.csr,
        table.pairs,
        [factors for factors, _ in kept],
        item_item,
        [weight for _, weight in kept] + of_items,
    )


@dataclass(frozen=True, eq=False)
class Choice:
    """A ranking and how it came about.

    Parameters
    ----------
    ranking : Ranking
    recipes : dict of str to Recipe
        By loss, what is open chosen.
    weights, ndcg : dict of str to float
        By loss, and of "item_item"; of these and of the "blend" on the part set aside, if there was one.
    """

    ranking: Ranking
    recipes: dict[str, Recipe]
    weights: dict[str, float]
    ndcg: dict[str, float]


def choose(
    recipes: Sequence[tuple[Recipe, dict[str, Steps]]],
    table: Table,
    trial: Trial | None,
    item_item: bool,
    fit: Callable[[Recipe, Table, Judge | None], Fitted],
) -> Choice:
    """Fit a ranking: what is open is chosen by a trial, then everything that counts is fitted to the whole table.

    After Ctrl-C in a trial the best machine so far is kept, fitted without the part set aside.

    Parameters
    ----------
    recipes : sequence of (Recipe, dict)
        With what is open of each; see `search`.
    table : Table
    trial : Trial, optional
        Without one, what is open takes the first value, and rankings weigh alike.
    item_item : bool
        Whether item-item weights take part.
    fit : callable
        Fits a recipe to a table, with a judge or for all its sweeps.
    """
    names = [recipe.loss for recipe, _ in recipes] + ["item_item"] * item_item
    if trial is None:
        chosen = [fit(recipe, table, None) for recipe, _ in recipes]
        weights, settings, ndcg = (1 / len(names),) * len(names), (RIDGES[0], DISCOUNTS[0]), {}
    else:
        judge, part = trial.judge(), trial.table
        tried = []
        for recipe, open_ in recipes:
            found = search(recipe, open_, lambda recipe: fit(recipe, part, judge))
            tried.append(found[0])
            if any(fitted.record.interrupted for fitted in found):
                best = max(tried, key=lambda fitted: fitted.ndcg)
                told = (
                    f"settings were still being tried: {best.recipe.loss!r} alone is kept, without a part of the pairs"
                )
                warnings.warn(told, FitInterrupted, stacklevel=2)
                used, kept = {best.recipe.loss: best.recipe}, blended(table, [best], None, [1.0])
                return Choice(kept, used, {best.recipe.loss: 1.0}, {best.recipe.loss: best.ndcg})
        ndcg = {fitted.recipe.loss: fitted.ndcg for fitted in tried}
        settings, foretold = (RIDGES[0], DISCOUNTS[0]), None
        if item_item:
            settings, foretold, ndcg["item_item"] = trial.foretold()
        weights, of_blend = trial.weights(tried, foretold) if len(names) > 1 else ((1.0,), 0.0)
        if len(names) > 1:
            ndcg["blend"] = of_blend
        chosen = [
            fit(fitted.recipe.with_({"max_iter": fitted.sweeps}), table, None) if weight else fitted
            for fitted, weight in zip(tried, weights, strict=False)
        ]
    of_items = ItemItem.of(table.pairs, *settings) if item_item and weights[-1] else None
    used = {fitted.recipe.loss: fitted.recipe for fitted in chosen}
    return Choice(blended(table, chosen, of_items, weights), used, dict(zip(names, weights, strict=True)), ndcg)
