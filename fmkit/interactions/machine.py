"""What machines of other interactions share: what they hold, and predictions in blocks of rows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from fmkit.design import Design, canonical_csr
from fmkit.interactions.quads import QUAD
from fmkit.lanes import table
from fmkit.machine import for_each_block
from fmkit.posterior import less_means
from fmkit.solvers.groups import find_groups
from fmkit.threads import count_threads

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]

UNSEEN = np.float32(1e-35)  # what a sum of squared slopes starts from, so that its root may be divided by


@dataclass(frozen=True)
class Rows:
    """What a visit reads of rows, and the paces of columns.

    Parameters
    ----------
    indptr, columns, values : int64, int32, float32 arrays
        The design by rows; `values` of shape (0,) means that all are 1.
    y, omega : float32 arrays of shape (n_rows,)
        Targets and weights; `omega` of shape (0,) means that all are 1.
    share_w, share_v : float32 arrays of shape (n_features,)
        Penalty of a column that a visit of unit weight carries.
    pace : float32 array of shape (n_features,)
        Factor of the learning rates of each column.
    learning_rate, spread : float
        As those of `fmkit.solvers.sgd.sgd`.
    loss : int and float32
        As kernels are told it.
    """

    indptr: NDArray[np.int64]
    columns: Ints
    values: Floats
    y: Floats
    omega: Floats
    share_w: Floats
    share_v: Floats
    pace: Floats
    learning_rate: float
    spread: float
    loss: tuple[int, np.float32]

    @property
    def table(self) -> tuple[Any, ...]:
        """The arrays of the rows, in the order in which kernels take them."""
        return self.indptr, self.columns, self.values, self.y, self.omega

    def rates(self, *orders: int) -> Floats:
        """Learning rates of weights, and of vectors of which so many multiply to a value in the unit of targets."""
        return np.array([self.learning_rate * self.spread ** (1 / order) for order in (1, *orders)], np.float32)

    def most(self, label: Ints | None = None) -> int:
        """The most entries that a row has, or labels of these if there are fewer."""
        entries = int(np.diff(self.indptr).max(initial=0))
        return entries if label is None else min(entries, count_labels(label))


@dataclass
class InteractionMachine(ABC):
    """A value for every row x: bias + <linear, z> + what the subclass makes of its factors and z = x - means.

    Parameters
    ----------
    bias : float
    linear : ndarray of shape (n_features,), float32
    factors : ndarray of shape (n_features, ..., n_factors), float32
    means : ndarray of shape (n_features,), float64
        Taken off the columns that had a value in every row of the fit (`fmkit.solvers.centring`); 0 for all others.
    """

    interaction: ClassVar[str]

    bias: float
    linear: Floats
    factors: Floats
    means: NDArray[np.float64]

    @classmethod
    @abstractmethod
    def begin(
        cls, design: Design, n_factors: int, bias: float, scale: float, spread: float, units: Floats, rng: Any
    ) -> Self:
        """A start of random factors, for a design of columns that are centred.

        Parameters
        ----------
        design : Design
        n_factors : int
        bias : float
        scale : float
            Standard deviation of the factors, for targets and columns of unit size.
        spread : float
            Standard deviation of the targets.
        units : ndarray of shape (n_features,)
            `column_units` of the design.
        rng : numpy.random.Generator
        """

    @classmethod
    def shapes(cls, arrays: dict[str, NDArray[Any]], n_factors: int) -> dict[str, tuple[str, tuple[int, ...]]]:
        """Types and shapes that arrays of a file must have, given those that they are checked by."""
        n = len(arrays["linear"])
        return {"linear": ("<f4", (n,)), "means": ("<f8", (n,))}

    @property
    def n_features(self) -> int:
        """Columns of the designs that it predicts."""
        return len(self.linear)

    @property
    def n_factors(self) -> int:
        """Length of a vector of factors."""
        return int(self.factors.shape[-1])

    def arrays(self) -> dict[str, NDArray[Any]]:
        """All that it consists of but the bias, by name."""
        return {name: value for name, value in vars(self).items() if name != "bias"}

    def copy(self) -> Self:
        """A machine of its own memory."""
        own: dict[str, Any] = {name: array.copy() for name, array in self.arrays().items()}
        return replace(self, **own)

    def moved(self, offset: float, means: NDArray[np.float64]) -> Self:
        """A copy for targets that are larger by `offset`, and for columns that `means` are to be taken off."""
        return replace(self.copy(), bias=self.bias + offset, means=means)

    def like(self, other: Any) -> bool:
        """Whether the other one is of the same columns, fields and factors, so that a fit may go on from it."""
        if type(other) is not type(self) or other.factors.shape != self.factors.shape:
            return False
        mine, others = self.arrays().get("fields"), other.arrays().get("fields")
        return mine is None or np.array_equal(mine, np.asarray(others))

    def predict(self, X: Any, n_jobs: int | None = None) -> Floats:
        """The equation for every row, in blocks of rows on a pool of threads; relation blocks are written out.

        Parameters
        ----------
        X : Design, or sparse or dense matrix of shape (n_rows, n_features)
        n_jobs : int, optional
            Threads; None or -1 for every core. The result is the same.

        Returns
        -------
        ndarray of shape (n_rows,), float32
        """
        if not isinstance(X, Design):
            X = canonical_csr(X)
        n_rows, n_features = X.shape
        if n_features != self.n_features:
            raise ValueError(f"the machine has {self.n_features} features, the design has {n_features} columns")
        if self.means.any():
            X = less_means(X.to_csr() if isinstance(X, Design) else X, self.means)
        out, values_of = np.empty(n_rows, np.float32), self.row_values()
        for_each_block(lambda rows, a, b: values_of(*rows, out[a:b]), X, count_threads(n_jobs))
        return out

    @abstractmethod
    def row_values(self) -> Callable[..., None]:
        """A function of (indptr, columns, values, out) that writes the values of rows into `out`."""

    @abstractmethod
    def visits(self, rows: Rows) -> tuple[Callable[[Ints], float], Callable[[], None]]:
        """A function that visits rows in a given order and sums up their losses, and one that has them told here."""


def of_fields(design: Design) -> Ints:
    """The field of each column, from 0 without gaps: its label, or the variable that it is found to be a level of.

    A set of words, or the knots of a number, is one field, of which a row has several columns: found as for the priors
    of Bayesian machines. On adult by `TableEncoder`, without labels, that is a log loss of .2956 for ffm on one split
    (.2946 with), where columns of which no row has two gave .3023.

    Examples
    --------
    >>> from fmkit import Design
    >>> of_fields(Design.from_codes([[0, 1, 1], [1, 0, 2]]))
    array([0, 0, 1, 1, 1], dtype=int32)
    >>> of_fields(Design.from_matrix([[1, 1, 0], [0, 1, 1]], fields=["words", "words", "year"]))
    array([0, 0, 1], dtype=int32)
    """
    return find_groups(design)


def count_labels(label: Ints) -> int:
    """Of labels from 0 without gaps."""
    return int(label.max(initial=-1)) + 1


def packed(*parts: Floats) -> tuple[Floats, list[Floats]]:
    """Arrays of numbers a column side by side, each vector of `n_factors` followed by its sums of squared slopes.

    Parameters
    ----------
    *parts : ndarrays of shape (n_features, n_vectors, n_factors), float32

    Returns
    -------
    P : ndarray of shape (n_features, n_quads, 4), float32
        A column's vectors of the first part, padded to whole quads, and as many sums; then those of the next. Columns
        begin with a cache line, and take whole ones.
    views : list of ndarrays
        The parts' places in it.
    """
    n = len(parts[0])
    chunks = [-(-part.shape[2] // QUAD) for part in parts]
    sizes = [part.shape[1] * c for part, c in zip(parts, chunks, strict=True)]
    P = table(n, 2 * sum(sizes) * QUAD).reshape(n, -1, QUAD)
    views, first = [], 0
    for part, c, size in zip(parts, chunks, sizes, strict=True):
        place = P[:, first : first + size].reshape(n, part.shape[1], c * QUAD)[:, :, : part.shape[2]]
        place[:] = part
        P[:, first + size : first + 2 * size] = UNSEEN
        views.append(place)
        first += 2 * size
    return P, views


def weights_and_sums(linear: Floats) -> Floats:
    """Weights of columns beside their sums of squared slopes, of shape (n_features, 2)."""
    return np.stack([linear, np.full(len(linear), UNSEEN)], axis=1)
