"""Interactions as pairs of codes."""

import numpy as np
import pytest
from scipy import sparse

from fmkit.ranking.machine import RankingMachine
from fmkit.ranking.pairs import Pairs


def test_pairs_that_occur_twice_add_up() -> None:
    pairs = Pairs.of([[0, 1], [2, 0], [0, 1]], n_items=3)
    assert pairs.csr.toarray().tolist() == [[0, 2, 0], [0, 0, 0], [1, 0, 0]]
    assert (pairs.n_queries, pairs.n_items, len(pairs)) == (3, 3, 2)


def test_weights_and_matrices_say_the_same() -> None:
    matrix = sparse.random_array((20, 30), density=0.2, rng=np.random.default_rng(0), format="csr")
    coo = matrix.tocoo()
    told = Pairs.of(np.stack([coo.row, coo.col], axis=1), 20, 30, weights=coo.data)
    np.testing.assert_allclose(told.csr.toarray(), matrix.toarray(), rtol=1e-6)
    np.testing.assert_allclose(Pairs.of(matrix).csr.toarray(), matrix.toarray(), rtol=1e-6)


def test_transposed_and_selected() -> None:
    matrix = sparse.random_array((20, 30), density=0.2, rng=np.random.default_rng(0), format="csr")
    pairs = Pairs.of(matrix)
    np.testing.assert_array_equal(pairs.transposed.csr.toarray(), pairs.csr.toarray().T)
    keep = np.arange(len(pairs)) % 3 == 0
    left = pairs.csr.tocoo()
    expected = sparse.coo_array((left.data[keep], (left.row[keep], left.col[keep])), shape=(20, 30)).toarray()
    np.testing.assert_array_equal(pairs.select(keep).csr.toarray(), expected)


def test_the_matrix_given_stays_as_it_is() -> None:
    matrix = sparse.csr_array((np.ones(3, np.float32), [2, 0, 2], [0, 3]), shape=(1, 3))
    assert Pairs.of(matrix).csr.toarray().tolist() == [[1, 0, 2]]
    assert matrix.nnz == 3
    assert matrix.indices.tolist() == [2, 0, 2]


def test_a_weight_of_zero_is_no_pair() -> None:
    assert len(Pairs.of([[0, 0], [0, 1]], weights=[0, 1])) == 1


@pytest.mark.parametrize(
    ("interactions", "weights", "message"),
    [
        ([[0, 5]], None, r"codes of interactions must lie in 0..2, pair 0 has item 5"),
        ([[0, 0], [-1, 0]], None, r"pair 1 has query -1"),
        ([[0, 1, 2]], None, r"pairs of codes of shape \(n_pairs, 2\)"),
        ([[0, 0]], [-1.0], "must be finite and not negative, got -1"),
        ([[0, 0]], [np.nan], "must be finite and not negative, got nan"),
        ([[0, 0]], [1.0, 2.0], "weights must hold a number for each of 1 pairs"),
        (sparse.csr_array((2, 4)), None, "must be a matrix of 2 queries x 3 items"),
        (sparse.csr_array((2, 3)), [1.0], "weights go with pairs of codes"),
    ],
)
def test_bad_input_is_told(interactions: object, weights: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Pairs.of(interactions, 2, 3, weights)


def test_codes_must_be_integers() -> None:
    with pytest.raises(TypeError, match="integer codes"):
        Pairs.of([[0.5, 1.0]])


def test_ids_are_no_codes() -> None:
    with pytest.raises(ValueError, match="codes of item go up to 2,000,000 in 2 pairs: codes are rows, from 0"):
        Pairs.of([[0, 2_000_000], [1, 1]])
    assert Pairs.of([[0, 2_000_000]], n_items=3_000_000).n_items == 3_000_000


def test_a_score_is_an_inner_product_of_extended_vectors() -> None:
    rng = np.random.default_rng(0)
    machine = RankingMachine.random(4, 5, 3, 0.5, rng)
    machine.item_linear[:] = rng.standard_normal(5)
    x, y = sparse.csr_array(rng.random((6, 4), np.float32)), sparse.csr_array(rng.random((7, 5), np.float32))
    scores = machine.query_vectors(x) @ machine.item_vectors(y).T
    expected = (x @ machine.query_factors) @ (y @ machine.item_factors).T + y @ machine.item_linear
    np.testing.assert_allclose(scores, expected, rtol=1e-5)
