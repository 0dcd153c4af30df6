"""Metrics of lists beyond accuracy: slow twins of the definitions, and their ends."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from fmkit.ranking.topn import top_n
from fmkit.recommend import list_metrics


def problem(seed, n_lists=12, n_items=15, k=5):
    """Lists with holes, some of one item, one empty; an item that nobody has, and one without features."""
    rng = np.random.default_rng(seed)
    lists = np.argsort(rng.random((n_lists, n_items)), axis=1)[:, :k]
    lists[rng.random(lists.shape) < 0.2] = -1
    lists[0] = -1
    lists[1, 1:] = -1
    lists[2] = np.arange(k)
    train = (rng.random((20, n_items)) < rng.random(n_items)).astype(np.float32)
    train[:, 3] = 0
    features = rng.normal(size=(n_items, 4)) * (rng.random((n_items, 4)) < 0.7)
    features[2] = 0
    return lists, train, features


def cosine(a, b):
    return a @ b / (np.linalg.norm(a) * np.linalg.norm(b)) if a.any() and b.any() else 0.0


def mean_or_nan(values):
    values = list(values)
    return np.mean(values) if values else np.nan


def twin(lists, train, features):
    n_users, n_items = train.shape
    counts = [int((train[:, i] > 0).sum()) for i in range(n_items)]
    sets = [[i for i in row if i >= 0] for row in lists.tolist()]
    exposure = [sum(i in shown for shown in sets) for i in range(n_items)]
    below = [sum(c < counts[i] for c in counts) + sum(c == counts[i] for c in counts) / 2 for i in range(n_items)]
    overlaps = [
        len(set(a) & set(b)) / (len(a) * len(b)) ** 0.5 for a, b in itertools.combinations([s for s in sets if s], 2)
    ]
    gaps = [abs(a - b) for a in exposure for b in exposure]
    per_list = {
        "novelty": [mean_or_nan(-np.log2(max(counts[i], 1) / n_users) for i in shown) for shown in sets],
        "popularity": [mean_or_nan(below[i] / n_items for i in shown) for shown in sets],
        "diversity": [
            mean_or_nan(1 - cosine(features[a], features[b]) for a, b in itertools.combinations(shown, 2))
            for shown in sets
        ],
    }
    overall = {
        "coverage": sum(e > 0 for e in exposure) / n_items,
        "gini": np.mean(gaps) / (2 * np.mean(exposure)),
        "personalisation": 1 - np.mean(overlaps),
    }
    return per_list, overall


@given(st.integers(0, 9999), st.booleans())
def test_metrics_are_those_of_the_twin(seed, as_sparse):
    lists, train, features = problem(seed)
    given = sparse.csr_matrix(features) if as_sparse else features
    result = list_metrics(lists, sparse.csr_array(train), features=given)
    per_list, overall = twin(lists, train, features)
    for name, values in per_list.items():
        np.testing.assert_allclose(result.per_list[name], values, atol=1e-12, err_msg=name)
        assert result.mean()[name] == pytest.approx(np.nanmean(values))
    assert result.overall == pytest.approx(overall)


@given(st.integers(0, 9999))
def test_the_order_of_lists_and_of_places_does_not_matter(seed):
    lists, train, features = problem(seed)
    rng = np.random.default_rng(seed)
    shuffled = rng.permuted(rng.permutation(lists), axis=1)
    some, other = (list_metrics(given, sparse.csr_array(train), features=features) for given in (lists, shuffled))
    assert other.mean() == pytest.approx(some.mean())


def test_the_same_list_for_everyone():
    train = sparse.csr_array(np.tril(np.ones((8, 8))))
    result = list_metrics(np.tile([0, 1], (50, 1)), train, features=np.ones((8, 3))).mean()
    expected = {"coverage": 2 / 8, "gini": 1 - 2 / 8, "personalisation": 0, "diversity": 0}
    expected |= {"novelty": -np.log2(7 / 8) / 2, "popularity": 7 / 8}
    assert result == pytest.approx(expected)


def test_everyone_a_list_of_their_own():
    result = list_metrics(np.arange(12).reshape(4, 3), sparse.csr_array(np.ones((5, 12))), features=np.eye(12)).mean()
    expected = {"coverage": 1, "gini": 0, "personalisation": 1, "diversity": 1, "novelty": 0, "popularity": 0.5}
    assert result == pytest.approx(expected, abs=1e-12)


def test_lists_of_top_n_are_taken_as_they_are():
    rng = np.random.default_rng(0)
    queries, items = (rng.standard_normal((n, 4)).astype(np.float32) for n in (30, 6))
    seen = np.tile(np.arange(3, dtype=np.int32), 30)
    lists, _ = top_n(queries, items, 5, np.arange(31) * 3, seen, 1)
    assert (lists == -1).any()
    result = list_metrics(lists, sparse.csr_array(np.ones((30, 6))))
    assert result.overall["coverage"] == 0.5
    assert "diversity" not in result.mean()


@pytest.mark.parametrize(
    ("lists", "features", "error", "message"),
    [
        ([[0, 3]], None, ValueError, r"item codes in 0..2, or -1 for none; that of query 0 has 3"),
        ([[1, 1]], None, ValueError, "that of query 0 has item 1 twice"),
        ([0, 1], None, ValueError, r"lists must be of shape \(n_queries, n\), got \(2,\)"),
        ([[0.5]], None, TypeError, "lists must be integer codes"),
        ([[-1]], None, ValueError, "at least one list must have an item"),
        ([[0]], [[1]], ValueError, r"features must be of shape \(n_items, n\) with 3 items, got \(1, 1\)"),
        ([[0]], [[1], [np.nan], [1]], ValueError, "features must be finite"),
    ],
)
def test_bad_input_is_told(lists, features, error, message):
    with pytest.raises(error, match=message):
        list_metrics(lists, sparse.csr_array([[1, 0, 1]]), features=features)
    with pytest.raises(TypeError, match="train must be a sparse matrix"):
        list_metrics([[0]], [[1]])
