"""The sets of ratings that ship, their test parts and their designs, and errors against seconds, of fmkit and myFM.

The test part is the field's: the first tenth of numpy.random.RandomState(42).permutation(n). It takes no part in what
users rated.
"""

import io
import re
import time
import warnings
from collections.abc import Callable
from contextlib import redirect_stderr
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.base import clone

from fmkit import Design, RelationBlock
from fmkit.datasets import load_goodbooks, load_movielens_small
from fmkit.tables.levels import unit_rows

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # myFM imports pkg_resources
    import myfm

DAY = 86_400


@dataclass
class HeldOut:
    """A set of ratings with users and items as codes.

    Parameters
    ----------
    name : str
    user, item : int arrays of shape (n,)
    y : float64 array of shape (n,)
    test : bool array of shape (n,)
    bunch : Bunch
        As loaded.
    """

    name: str
    user: NDArray[Any]
    item: NDArray[Any]
    y: NDArray[np.float64]
    test: NDArray[np.bool_]
    bunch: Any

    @classmethod
    def load(cls, name: str) -> "HeldOut":
        """`movielens` or `goodbooks`."""
        bunch = {"movielens": load_movielens_small, "goodbooks": load_goodbooks}[name]()
        user, item = (np.unique(column, return_inverse=True)[1] for column in bunch.data.T)
        test = np.zeros(len(user), bool)
        test[np.random.RandomState(42).permutation(len(test))[: len(test) // 10]] = True
        return cls(name, user, item, bunch.target.astype(np.float64), test, bunch)

    @property
    def sizes(self) -> tuple[int, int]:
        """Users and items."""
        return int(self.user.max()) + 1, int(self.item.max()) + 1

    @cached_property
    def ids(self) -> Design:
        """Users and items alone."""
        return Design.from_codes([self.user, self.item], self.sizes)

    @cached_property
    def tables(self) -> list[sparse.csr_array]:
        """Of users: the id, and all items rated, together of length 1. Of items: the id, and all raters."""
        n_users, n_items = self.sizes
        pairs = self.user[~self.test], self.item[~self.test]
        rated = sparse.csr_array((np.ones(len(pairs[0]), np.float32), pairs), shape=self.sizes)
        tables = [[sparse.eye_array(n_users, dtype=np.float32), unit_rows(rated)]]
        tables.append([sparse.eye_array(n_items, dtype=np.float32), unit_rows(rated.T.tocsr())])
        return [sparse.hstack(parts).tocsr() for parts in tables]

    @cached_property
    def rated_sets(self) -> Design:
        """Users and items, the items that a user rated, and the users who rated an item, as two hierarchical blocks."""
        return self.sets(hierarchical=True)

    def sets(self, hierarchical: bool) -> Design:
        """The same as blocks of either kind."""
        n_users, n_items = self.sizes
        groups = np.repeat([0, 1], self.sizes), np.repeat([0, 1], [n_items, n_users])
        codes = self.user, self.item
        parts = zip(self.tables, codes, groups, strict=True)
        return Design.from_blocks([RelationBlock(*part, hierarchical=hierarchical) for part in parts])

    @cached_property
    def all_known(self) -> Design:
        """The same with movies' genres and years (three a group), and the day of the rating. MovieLens only."""
        n_users, n_items = self.sizes
        movies = self.bunch.movies
        place = {movie: row for row, movie in enumerate(movies.movieId)}
        rows = [place[movie] for movie in np.unique(self.bunch.data[:, 1])]
        genres = [movies.genres[row].split("|") for row in rows]
        names = sorted({name for has in genres for name in has})
        of_genre = sparse.csr_array(np.array([[name in has for name in names] for has in genres], np.float32))
        found = [re.search(r"\((\d{4})\)\s*$", movies.title[row]) for row in rows]
        years = np.unique([int(year[1]) // 3 if year else 0 for year in found], return_inverse=True)[1]
        of_year = sparse.csr_array((np.ones(n_items, np.float32), (np.arange(n_items), years)))
        users, items = self.tables
        items = sparse.hstack([items, unit_rows(of_genre), of_year]).tocsr()
        groups = (
            np.repeat([0, 1], self.sizes),
            np.repeat(np.arange(4), [n_items, n_users, len(names), of_year.shape[1]]),
        )
        days = np.unique(self.bunch.timestamp // DAY, return_inverse=True)[1]
        parts = zip((users, items), (self.user, self.item), groups, strict=True)
        blocks = [RelationBlock(*part, hierarchical=True) for part in parts]
        return Design.from_blocks(blocks, matrix=Design.from_codes([days]))

    def rmse(self, predicted: NDArray[Any]) -> float:
        """Root mean squared error on the test part."""
        return float(np.sqrt(np.mean(np.square(predicted - self.y[self.test]))))

    def clipped_rmse(self, predicted: NDArray[Any]) -> float:
        """The same, predictions brought into the range of ratings."""
        return self.rmse(np.clip(predicted, self.y.min(), self.y.max()))

    def of_myfm(self, part: NDArray[np.bool_], blocks: bool) -> tuple[Any, list[Any], list[int]]:
        """X, X_rel and group_shapes of a part of the rows: ids one-hot, or the two blocks."""
        n_users, n_items = self.sizes
        if not blocks:
            return self.ids.select(part).to_csr().astype(np.float64), [], [n_users, n_items]
        codes = self.user[part], self.item[part]
        relations = [
            myfm.RelationBlock(code.tolist(), sparse.csr_matrix(table, dtype=np.float64))
            for code, table in zip(codes, self.tables, strict=True)
        ]
        return None, relations, [n_users, n_items, n_items, n_users]


class Trace:
    """Errors against seconds of one fit; what it takes to measure an error does not count."""

    def __init__(self) -> None:
        self.start, self.paused = time.perf_counter(), 0.0
        self.seconds: list[float] = []
        self.errors: list[float] = []

    def add(self, error: Callable[[], float]) -> None:
        """Take the time, then measure the error."""
        now = time.perf_counter()
        self.seconds.append(now - self.start - self.paused)
        self.errors.append(error())
        self.paused += time.perf_counter() - now

    def first(self, goal: float) -> float:
        """Seconds until the error is at most `goal`, and infinity if it never is."""
        return next((s for s, e in zip(self.seconds, self.errors, strict=True) if e <= goal), float("inf"))


def trace_fmkit(model: Any, held: HeldOut, design: Design) -> Trace:
    """Error of the machine after each sweep of a fit to the training part: by MCMC of the mean once burnt in.

    A fit of two sweeps goes before, that loads the kernels.
    """
    train, test = design.select(~held.test), design.select(held.test)
    clone(model).set_params(max_iter=2).fit(train, held.y[~held.test])
    trace = Trace()
    model.set_params(callbacks=[lambda told: trace.add(lambda: held.rmse(told.machine.predict(test)))])
    model.fit(train, held.y[~held.test])
    return trace


def trace_myfm(model: Any, held: HeldOut, blocks: bool, n_iter: int) -> Trace:
    """Error after each sweep: of the mean of all draws but the first five as myFM has it, or of its means by VB."""
    X, relations, shapes = held.of_myfm(~held.test, blocks)
    X_test, relations_test, _ = held.of_myfm(held.test, blocks)
    if X_test is None:
        X_test = sparse.csr_matrix((int(held.test.sum()), 0), dtype=np.float64)
    samples = "Variational" not in type(model).__name__
    total, count = np.zeros(int(held.test.sum())), 0

    def error(fm: Any) -> float:
        nonlocal total, count
        predicted = fm.predict_score(X_test, relations_test)
        if not samples:
            return held.rmse(predicted)
        if len(trace.errors) == 5:
            total, count = 0 * total, 0
        total, count = total + predicted, count + 1
        return held.rmse(total / count)

    def callback(i: int, fm: Any, *rest: Any) -> tuple[bool, None]:
        trace.add(lambda: error(fm))
        return False, None

    more = {"n_kept_samples": 1} if samples else {}
    trace = Trace()
    with redirect_stderr(io.StringIO()):  # a progress bar
        model.fit(X, held.y[~held.test], X_rel=relations, n_iter=n_iter, group_shapes=shapes, callback=callback, **more)
    return trace
