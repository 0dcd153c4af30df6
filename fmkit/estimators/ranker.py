"""FMRanker."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, fields
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from fmkit.estimators.asking import Asked
from fmkit.estimators.state import kept_parameters
from fmkit.ranking.choosing import Trial, blended, choose
from fmkit.ranking.factors import Factors
from fmkit.ranking.item_item import MOST, ItemItem
from fmkit.ranking.pairs import Pairs, checked_codes
from fmkit.ranking.recipes import OPEN, Fitted, Judge, Recipe, Steps, fit_recipe
from fmkit.ranking.saved import pack, unpack
from fmkit.ranking.table import Table, joined, without_queries
from fmkit.tensors.device import WORTH, check_device, find_device, fit_work
from fmkit.threads import count_threads

if TYPE_CHECKING:
    import torch

LOSSES = ("implicit", "softmax", "warp", "bpr")
SWEEPS = {"implicit": 16, "softmax": 60, "warp": 60, "bpr": 60}


class FMRanker(Asked):
    """Factorization machines that rank: from views, plays and purchases to lists.

    A query (a user, a context, what somebody has already) and an item are rows of features; the score of a pair is what
    the FM of both rows has between the two sides, an inner product of two vectors, and what the item weighs by itself.
    Interactions are pairs of rows. Nobody says what is not liked: all other pairs are unseen.

    Parameters
    ----------
    loss : {"auto", "implicit", "softmax", "warp", "bpr"}, default="auto"
        "implicit": squared loss over all pairs, seen and unseen, by alternating least squares in time of the seen ones:
        deterministic, any features, new queries by one small system. "softmax": which item comes next, a random part
        of each query's history hidden and asked for: queries are what they have, so new ones need no training. "warp"
        and "bpr": sampled negatives. "auto" fits the first two, and the item-item weights below, and blends their
        scores as a part set aside says is best.
    n_factors : int, default=128
        Length of a feature's vector.
    max_iter : int, optional
        Sweeps at most; by default 16 of "implicit" and 60 of the others, whose sweeps are epochs, or as many as take 32
        steps ("softmax") or visit 100,000 pairs ("warp", "bpr"). With a part set aside, a fit ends when it gets no
        better there, and all pairs are fitted for so long.
    item_item : {"auto"} or bool, default="auto"
        Add full-rank weights between items in closed form: with up to 20,000 items the most accurate by themselves on
        some catalogues, at 4 n_items**2 bytes, and the time of a Cholesky factorisation of the smaller of queries and
        items. "auto" tries them with loss="auto" up to that size.
    unseen : float, optional
        "implicit": weight of every pair, where a seen one has 1 more. By default chosen on the part set aside.
    reg : float, optional
        "implicit": penalty of a column's squared length for each unit of weight that it has a part in (Rendle,
        Krichene, Zhang, Koren 2021); "warp" and "bpr": of each visit. By default chosen likewise.
    reg_attributes : float, default=10.0
        "implicit": penalty of a feature that several entities have, in that of so many entities of average weight. On
        validation parts of two sets, with genres and authors, 1 to 10 are within 0.0013 of each other in NDCG@10.
    hide : float, default=0.2
        "softmax": share of a history that is hidden and asked for.
    history_power : float, optional
        "softmax": a history of n items adds n**-power times the sum of their vectors. By default chosen likewise.
    decay : float, optional
        "softmax": weight decay. By default chosen likewise.
    learning_rate : float, optional
        By default 0.003 of "softmax" (Adam), 0.05 of "warp" and 0.15 of "bpr" (AdaGrad).
    popularity : float, default=0.0
        "warp", "bpr": negatives are drawn by their count to this power; 0: all alike.
    validation_fraction : float, default=0.1
        Share of the pairs that is set aside to choose what was left open, to end fits, and to blend; 0 sets none aside:
        then fits make `max_iter` sweeps, and what was left open takes the first value tried.
    patience : int, default=3
        Sweeps without a gain that end a fit.
    n_jobs : int, optional
        Threads; None and -1: every core, but one for "warp" and "bpr" by None, whose threads share the machine without
        locks: no two such fits are alike.
    device : {"cpu", "torch-cpu", "cuda", "auto"}, default="cpu"
        Where "implicit" solves for vectors and lists without item-item weights are searched for; see `FMRegressor`.
    random_state : int, RandomState instance or None, default=None
        Draws the start, the part set aside, what is hidden, and negatives.
    verbose : int, default=0
        1 tells what was tried and chosen, and shows a progress bar.
    callbacks : list of callable, optional
        Each is called with the `fmkit.progress.Progress` of every sweep; one that returns True ends that fit.

    Attributes
    ----------
    query_vectors_ : ndarray of shape (n_queries, n_dimensions), float32
        Extended vectors: their products with `item_vectors_` are the scores, but for the item-item weights.
    item_vectors_ : ndarray of shape (n_items, n_dimensions), float32
    ranking_ : fmkit.ranking.ranking.Ranking
        The machines, item-item weights, and what they were fitted to.
    recipes_ : dict of str to fmkit.ranking.recipes.Recipe
        The settings of each loss, given or chosen.
    weights_ : dict of str to float
        Of each ranking in the blend.
    validation_ : dict of str to float
        NDCG@10 on the part set aside, of each ranking and of the blend; empty without.
    history_ : list of dict
        What was tried: the recipe, its sweeps, the NDCG@10.

    See Also
    --------
    FMRegressor : for ratings.
    fmkit.recommend.metrics : how good lists are.

    References
    ----------
    Hu, Koren, Volinsky (2008) and Rendle, Krichene, Zhang, Koren (2021) for "implicit"; Liang et al. (2018) for
    "softmax"; Weston, Bengio, Usunier (2011) for "warp"; Rendle et al. (2009) for "bpr"; Steck (2019, 2020) for the
    item-item weights.

    Examples
    --------
    Users 0 to 2 have items 0 to 2 among them, users 3 to 5 the others.

    >>> from fmkit import FMRanker
    >>> pairs = [[0, 0], [0, 1], [1, 1], [1, 2], [2, 0], [2, 2], [3, 3], [3, 4], [4, 4], [4, 5], [5, 3], [5, 5]]
    >>> ranker = FMRanker(loss="implicit", n_factors=2, validation_fraction=0, random_state=0).fit(pairs)
    >>> items, scores = ranker.rank([0, 3], n=1)
    >>> items.ravel().tolist()
    [2, 5]
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "loss": [StrOptions({"auto", *LOSSES})],
        "n_factors": [Interval(Integral, 1, 4096, closed="both")],
        "max_iter": [Interval(Integral, 1, None, closed="left"), None],
        "item_item": [StrOptions({"auto"}), "boolean"],
        "unseen": [Interval(Real, 0, None, closed="neither"), None],
        "reg": [Interval(Real, 0, None, closed="left"), None],
        "reg_attributes": [Interval(Real, 0, None, closed="neither")],
        "hide": [Interval(Real, 0, 1, closed="neither")],
        "history_power": [Interval(Real, 0, 1, closed="both"), None],
        "decay": [Interval(Real, 0, None, closed="left"), None],
        "learning_rate": [Interval(Real, 0, None, closed="neither"), None],
        "popularity": [Interval(Real, 0, None, closed="left")],
        "validation_fraction": [Interval(Real, 0, 1, closed="left")],
        "patience": [Interval(Integral, 1, None, closed="left")],
        "n_jobs": [Integral, None],
        "device": [str],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
        "callbacks": [list, tuple, None],
    }

    recipes_: dict[str, Recipe]
    weights_: dict[str, float]
    validation_: dict[str, float]
    history_: list[dict[str, Any]]

    def __init__(
        self,
        loss: Literal["auto", "implicit", "softmax", "warp", "bpr"] = "auto",
        *,
        n_factors: int = 128,
        max_iter: int | None = None,
        item_item: Literal["auto"] | bool = "auto",
        unseen: float | None = None,
        reg: float | None = None,
        reg_attributes: float = 10.0,
        hide: float = 0.2,
        history_power: float | None = None,
        decay: float | None = None,
        learning_rate: float | None = None,
        popularity: float = 0.0,
        validation_fraction: float = 0.1,
        patience: int = 3,
        n_jobs: int | None = None,
        device: str = "cpu",
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 0,
        callbacks: Sequence[Callable[..., bool | None]] | None = None,
    ) -> None:
        self.loss = loss
        self.n_factors = n_factors
        self.max_iter = max_iter
        self.item_item = item_item
        self.unseen = unseen
        self.reg = reg
        self.reg_attributes = reg_attributes
        self.hide = hide
        self.history_power = history_power
        self.decay = decay
        self.learning_rate = learning_rate
        self.popularity = popularity
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.n_jobs = n_jobs
        self.device = device
        self.random_state = random_state
        self.verbose = verbose
        self.callbacks = callbacks

    def fit(
        self,
        interactions: Any,
        queries: Any = None,
        items: Any = None,
        *,
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """Fit to interactions.

        Parameters
        ----------
        interactions : array-like of shape (n_pairs, 2) of integers, or sparse matrix of shape (n_queries, n_items)
            Rows of query and item; a matrix's values are weights. The weights of pairs that occur more than once add
            up.
        queries, items : Design or matrix of shape (n_queries, n_features), optional
            What is known of each; by default its id alone. Give ids a column each beside other features
            (`scipy.sparse.hstack([features, scipy.sparse.eye_array(n)])`: ids last, so that `partial_fit` can add
            some), or an item that many have is told by what it shares with others only.
        sample_weight : array-like of shape (n_pairs,), optional
            Confidence of each pair, 1 by default: it counts in the loss like so many pairs.

        Returns
        -------
        FMRanker
            Itself, fitted.

        Warns
        -----
        FitInterrupted
            On Ctrl-C. While settings are tried the best machine so far is kept alone, without the part set aside and
            without item-item weights; afterwards, the best sweep of the last fit.
        """
        self._validate_params()
        table = Table.of(interactions, queries, items, sample_weight)
        n_threads, device = self._threads(self.loss), self._find_device(table)
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        trial = None
        if self.validation_fraction:
            trial = Trial.of(table, self.validation_fraction, np.random.default_rng((seed, 0)), n_threads)
        self.history_ = []
        losses = ("implicit", "softmax") if self.loss == "auto" else (self.loss,)

        def fit(recipe: Recipe, part: Table, judge: Judge | None) -> Fitted:
            fitted = fit_recipe(
                recipe,
                part,
                judge,
                rng=np.random.default_rng((seed, 1, LOSSES.index(recipe.loss))),
                n_threads=n_threads,
                patience=self.patience,
                callbacks=self.callbacks or (),
                verbose=self.verbose > 0,
                device=device,
            )
            self._tell(fitted)
            return fitted

        recipes = [(self._recipe(loss), self._open(loss)) for loss in losses]
        choice = choose(recipes, table, trial, self._with_item_item(table.pairs), fit)
        self.ranking_, self.weights_, self.validation_ = choice.ranking, choice.weights, choice.ndcg
        self.recipes_ = choice.recipes
        return self

    def partial_fit(
        self,
        interactions: Any,
        queries: Any = None,
        items: Any = None,
        *,
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """Go on with more interactions, and with queries and items that come after those of the fit.

        The weights of pairs that were there already add up. A sweep over all pairs is made, of each machine that is in
        the blend, whose settings and weights stay; item-item weights are solved for anew. Without a fit before, `fit`.

        Parameters
        ----------
        interactions : array-like of shape (n_pairs, 2) of integers, or sparse matrix of shape (n_queries, n_items)
            The new ones.
        queries, items : Design or matrix, optional
            All rows, old ones as they were, and new columns last. Not needed where a side is of ids alone: new rows are
            then new ids.
        sample_weight : array-like of shape (n_pairs,), optional

        Returns
        -------
        FMRanker
            Itself.
        """
        if not hasattr(self, "ranking_"):
            return self.fit(interactions, queries, items, sample_weight=sample_weight)
        table = joined(self.ranking_, interactions, queries, items, sample_weight)
        return self._swept(table, self.ranking_.factors)

    def forget(self, queries: ArrayLike, *, features: ArrayLike | None = None) -> Self:
        """Take queries out: their rows, pairs and vectors, and what they taught the items.

        Without their pairs, a sweep over all others is made as by `partial_fit`, and item-item weights are solved for
        anew. The queries after them move up.

        Parameters
        ----------
        queries : array-like of integers
            Rows of the fit.
        features : array-like of integers, optional
            Columns of the queries that go with them; by default those that no other query has.

        Returns
        -------
        FMRanker
            Itself.
        """
        check_is_fitted(self, "ranking_")
        gone = checked_codes(queries, self.ranking_.pairs.n_queries, "queries")
        kept = np.setdiff1d(np.arange(self.ranking_.pairs.n_queries), gone)
        columns = None
        if features is not None:
            n_columns = self.ranking_.queries.shape[1]
            columns = np.setdiff1d(np.arange(n_columns), checked_codes(features, n_columns, "features"))
        table, starts = without_queries(self.ranking_, kept, columns)
        return self._swept(table, starts)

    def _swept(self, table: Table, starts: Sequence[Factors]) -> Self:
        """One more sweep of each machine over all pairs."""
        before, device = self.ranking_, self._find_device(table)
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        fitted = []
        for i, factors in enumerate(starts):
            rng = np.random.default_rng((seed, 2, len(table.pairs), i))
            recipe = self.recipes_[factors.loss].with_({"max_iter": 1})
            n_threads = self._threads(factors.loss)
            again = fit_recipe(
                recipe, table, None, rng=rng, n_threads=n_threads, patience=1, start=factors, device=device
            )
            fitted.append(again)
            self._tell(again)
        of_items = before.item_item
        if of_items is not None:
            of_items = ItemItem.of(table.pairs, of_items.ridge, of_items.discount)
        self.ranking_ = blended(table, fitted, of_items, before.weights)
        return self

    def _to_file(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        check_is_fitted(self, "ranking_")
        facts, arrays = pack(self.ranking_)
        told = {
            "recipes": [asdict(recipe) for recipe in self.recipes_.values()],
            "weights": self.weights_,
            "validation": self.validation_,
            "history": self.history_,
        }
        return {**facts, **told, "parameters": kept_parameters(self)}, arrays

    @classmethod
    def _from_file(cls, facts: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Self:
        ranker = cls(**facts["parameters"])
        ranker._validate_params()
        ranker.ranking_ = unpack(facts, arrays)
        recipes = [Recipe(**recipe) for recipe in facts["recipes"]]
        ranker.recipes_ = {recipe.loss: recipe for recipe in recipes}
        ranker.weights_, ranker.validation_ = dict(facts["weights"]), dict(facts["validation"])
        ranker.history_ = [dict(row) for row in facts["history"]]
        return ranker

    def _recipe(self, loss: str) -> Recipe:
        """What is told of a loss's settings, and for others their first value."""
        settings: dict[str, Any] = {name: steps.first for name, steps in self._open(loss).items()}
        told = {field.name: getattr(self, field.name) for field in fields(Recipe) if field.name in self.get_params()}
        settings |= {name: value for name, value in told.items() if value is not None}
        return Recipe(**{**settings, "loss": loss, "max_iter": self.max_iter or SWEEPS[loss]})

    def _open(self, loss: str) -> dict[str, Steps]:
        """Settings of a loss that were left open."""
        return {name: steps for name, steps in OPEN[loss].items() if getattr(self, name) is None}

    def _threads(self, loss: str) -> int:
        """One for losses whose threads share the machine without locks: no two such fits are alike."""
        return count_threads(1 if self.n_jobs is None and loss in ("warp", "bpr") else self.n_jobs)

    def _find_device(self, table: Table) -> torch.device | None:
        """Where "implicit" solves for its vectors; None for the package's own kernels."""
        check_device(self.device)
        n_columns = table.queries.n_features + table.items.n_features
        n_sweeps = self.max_iter or SWEEPS["implicit"]
        return find_device(self.device, fit_work(2 * len(table.pairs), n_columns, self.n_factors, n_sweeps), WORTH)

    def _with_item_item(self, pairs: Pairs) -> bool:
        if self.item_item != "auto":
            return bool(self.item_item)
        return self.loss == "auto" and pairs.n_items <= MOST

    def _tell(self, fitted: Fitted) -> None:
        """Note down what was tried."""
        recipe, last = fitted.recipe, fitted.record.history[-1]
        row = {"loss": recipe.loss, **{name: getattr(recipe, name) for name in OPEN[recipe.loss]}}
        row |= {"sweeps": fitted.sweeps, "train_loss": float(last["train_loss"]), "seconds": last["seconds"]}
        row |= {"ndcg@10": None if np.isnan(fitted.ndcg) else fitted.ndcg}
        self.history_.append(row)
        if self.verbose:
            print(
                ", ".join(
                    f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
                    for name, value in row.items()
                )
            )
