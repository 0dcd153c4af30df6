"""What a recommender asks of its model, be it of ratings or of clicks."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fmkit.ranking.pairs import Pairs

Floats = NDArray[np.float32]
Codes = NDArray[np.integer[Any]]


class Model(Protocol):
    """Two steps lead to a score: people, known or folded in, and what is asked for them in a context."""

    @property
    def item_vectors(self) -> Floats:
        """Of shape (n_items, d): a score is an inner product with these, beside what users alone have."""

    @property
    def item_factors(self) -> Floats:
        """What makes items alike."""

    @property
    def user_factors(self) -> Floats:
        """What makes users alike."""

    def find(self, codes: Codes) -> Any:
        """Users of the fit; -1 stands for one of whom nothing is known."""

    def folded(self, ratings: Any, features: sparse.csr_array, n_threads: int = 1) -> Any:
        """Users 0, 1, ... who come with interactions, and with a row of features each."""

    def asked(self, users: Any, context: sparse.csr_array | None = None) -> Any:
        """What is asked for people, in a context each or in the usual one."""

    def lists(
        self, asked: Any, n: int, exclude: Pairs, *, risk: float = 0.0, among: Codes | None = None, n_threads: int = 1
    ) -> tuple[NDArray[np.int32], Floats]:
        """The n best items of each and their scores; -1 and -inf where fewer are left."""

    def scores(self, asked: Any, items: Codes) -> Floats:
        """Of an item each; -1 stands for one of which nothing is known."""

    def pair_scores(self, users: Codes, items: Codes) -> Floats:
        """Of users and items by code, in the usual context: the same bits, whichever pairs come together."""
