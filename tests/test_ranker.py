"""FMRanker: what its users rely on."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone

import fmkit
from fmkit import FMRanker
from fmkit.recommend.metrics import evaluate_scores

LOSSES = ["implicit", "softmax", "warp", "bpr", "auto"]


def communities(n_queries: int = 90, n_items: int = 60, seed: int = 0) -> tuple[Any, Any]:
    """Three groups of users with a third of the items each: pairs to fit, and pairs kept back."""
    rng = np.random.default_rng(seed)
    same = (np.arange(n_queries)[:, None] % 3) == (np.arange(n_items) % 3)
    seen = rng.random((n_queries, n_items)) < np.where(same, 0.5, 0.03)
    back = seen & (rng.random(seen.shape) < 0.2)
    return sparse.csr_array((seen & ~back).astype(np.float32)), sparse.csr_array(back.astype(np.float32))


def ndcg(ranker: FMRanker, seen: Any, kept_back: Any) -> float:
    result = evaluate_scores(lambda codes: ranker.score(codes), kept_back, exclude=seen, metrics="ndcg@10")
    return result.mean()["ndcg@10"]


@pytest.fixture(scope="module", params=LOSSES)
def fitted(request: pytest.FixtureRequest) -> FMRanker:
    seen, _ = communities()
    return FMRanker(request.param, n_factors=8, random_state=0).fit(seen)


def test_it_finds_communities(fitted: FMRanker) -> None:
    seen, kept_back = communities()
    popularity = np.asarray(seen.sum(axis=0))
    baseline = evaluate_scores(
        lambda codes: np.tile(popularity, (len(codes), 1)), kept_back, exclude=seen, metrics="ndcg@10"
    ).mean()["ndcg@10"]
    assert ndcg(fitted, seen, kept_back) > 1.8 * baseline


def test_lists_are_the_best_scores_of_what_is_not_seen(fitted: FMRanker) -> None:
    seen, _ = communities()
    scores = fitted.score()
    scores[seen.nonzero()] = -np.inf
    items, told = fitted.rank(n=5)
    np.testing.assert_allclose(told, -np.sort(-scores, axis=1)[:, :5], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(np.take_along_axis(scores, items.astype(int), 1), told, rtol=1e-4, atol=1e-5)


def test_vectors_give_the_scores(fitted: FMRanker) -> None:
    if fitted.ranking_.item_item is not None:
        pytest.skip("item-item weights are no inner product")
    products = fitted.query_vectors_ @ fitted.item_vectors_.T
    np.testing.assert_allclose(products, fitted.score(), rtol=1e-4, atol=1e-5)


def test_scores_pair_by_pair(fitted: FMRanker) -> None:
    queries, items = np.array([3, 0, 3]), np.array([1, 5, 2])
    np.testing.assert_allclose(fitted.score(queries, items), fitted.score()[queries, items], rtol=1e-4, atol=1e-5)


def test_queries_never_seen_get_lists_of_their_community(fitted: FMRanker) -> None:
    histories = sparse.csr_array(
        (np.ones(12, np.float32), (np.repeat([0, 1, 2], 4), [0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8, 11])), shape=(3, 60)
    )
    items, _ = fitted.rank_new(histories, n=10)
    same = items % 3 == np.arange(3)[:, None]
    assert same.mean() > 0.8
    assert not np.isin(items[0], [0, 3, 6, 9]).any()


def test_the_same_seed_gives_the_same_fit(fitted: FMRanker) -> None:
    seen, _ = communities()
    again = clone(fitted).set_params(n_jobs=1).fit(seen)
    np.testing.assert_allclose(again.score(), fitted.score(), rtol=1e-3, atol=1e-4)


def test_model_files_bring_back_the_lists(fitted: FMRanker, tmp_path: Path) -> None:
    fmkit.save(fitted, tmp_path / "ranker.fmkit")
    loaded = fmkit.load(tmp_path / "ranker.fmkit")
    np.testing.assert_array_equal(loaded.score(), fitted.score())
    assert loaded.get_params() == fitted.get_params()
    assert (loaded.weights_, loaded.validation_, loaded.history_) == (
        fitted.weights_,
        fitted.validation_,
        fitted.history_,
    )
    histories = [[0, 0], [0, 3]]
    np.testing.assert_array_equal(loaded.rank_new(histories)[0], fitted.rank_new(histories)[0])


@pytest.mark.parametrize("loss", LOSSES)
def test_the_order_of_pairs_does_not_matter(loss: str) -> None:
    seen, _ = communities()
    coo = seen.tocoo()
    pairs = np.stack([coo.row, coo.col], axis=1)
    shuffled = np.random.default_rng(1).permutation(pairs)
    a, b = (FMRanker(loss, n_factors=4, max_iter=3, random_state=0, n_jobs=1).fit(p) for p in (pairs, shuffled))
    np.testing.assert_array_equal(a.score(), b.score())


@pytest.mark.parametrize("loss", LOSSES)
def test_duplicated_pairs_weigh_as_their_sum(loss: str) -> None:
    pairs, weights = [[0, 0], [0, 1], [1, 1], [2, 0], [2, 1], [1, 2]], [2, 1, 1, 3, 1, 1]
    written_out = [pair for pair, weight in zip(pairs, weights, strict=True) for _ in range(weight)]
    options = {"n_factors": 2, "max_iter": 3, "validation_fraction": 0, "random_state": 0}
    told = FMRanker(loss, **options).fit(pairs, sample_weight=weights)
    np.testing.assert_array_equal(told.score(), FMRanker(loss, **options).fit(written_out).score())


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize(
    ("pairs", "shape"),
    [
        ([[0, 0]], (1, 1)),  # one of each
        ([[0, 0], [1, 0]], (3, 1)),  # a single item, a query without any
        ([[0, 0], [0, 1], [0, 2]], (1, 3)),  # a query that has everything
        ([[2, 3], [2, 1]], (5, 6)),  # rows and columns that are empty
    ],
)
def test_small_and_empty_tables(loss: str, pairs: list[list[int]], shape: tuple[int, int]) -> None:
    matrix = sparse.csr_array((np.ones(len(pairs), np.float32), np.transpose(pairs)), shape=shape)
    ranker = FMRanker(loss, n_factors=2, max_iter=2, random_state=0).fit(matrix)
    items, scores = ranker.rank(n=4)
    assert items.shape == scores.shape == (shape[0], 4)
    assert np.isfinite(ranker.score()).all()
    for row, of_row in enumerate(items):
        left = np.setdiff1d(np.arange(shape[1]), matrix[[row]].indices)
        assert sorted(of_row[of_row >= 0]) == left[:4].tolist() if len(left) <= 4 else (of_row >= 0).all()


def test_item_features_place_items_that_nobody_has() -> None:
    seen, _ = communities()
    cold = np.arange(57, 60)
    seen = sparse.csr_array(seen.multiply(np.isin(np.arange(60), cold, invert=True)))
    genre = sparse.csr_array(np.eye(3)[np.arange(60) % 3])
    items = sparse.hstack([sparse.eye_array(60), genre], format="csr")
    for loss in ("implicit", "softmax", "warp", "bpr"):
        ranker = FMRanker(loss, n_factors=8, random_state=0).fit(seen, items=items)
        scores = ranker.score()[:, cold]
        right = scores.argmax(axis=1) == (np.arange(90) % 3 - cold[0] % 3) % 3
        assert right.mean() > 0.9, loss


def test_query_features_place_queries_without_pairs() -> None:
    seen, _ = communities()
    group = np.eye(3)[np.arange(90) % 3]
    queries = sparse.hstack([sparse.eye_array(90), group], format="csr")
    new = sparse.hstack([sparse.csr_array((3, 90)), np.eye(3)], format="csr")
    for loss in ("implicit", "softmax", "warp", "bpr"):
        ranker = FMRanker(loss, n_factors=8, random_state=0).fit(seen, queries=queries)
        items, _ = ranker.rank_new(sparse.csr_array((3, 60)), n=10, queries=new)
        assert (items % 3 == np.arange(3)[:, None]).mean() > 0.9, loss


@pytest.mark.parametrize(
    ("change", "interactions", "message"),
    [
        ({"loss": "logistic"}, [[0, 0]], "The 'loss' parameter"),
        ({"n_factors": 0}, [[0, 0]], "The 'n_factors' parameter"),
        ({}, [[0.5, 1.0]], "integer codes"),
        ({}, np.empty((0, 2), int), "at least one pair"),
        ({}, [[0, -1]], "pair 0 has item -1"),
    ],
)
def test_bad_input_is_told(change: dict[str, Any], interactions: Any, message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        FMRanker(**change).fit(interactions)


def test_bad_questions_are_told(fitted: FMRanker) -> None:
    with pytest.raises(ValueError, match=r"queries must lie in 0\.\.89, got 90"):
        fitted.rank([90])
    with pytest.raises(ValueError, match="n must be at least 1, got 0"):
        fitted.rank([0], n=0)
    with pytest.raises(ValueError, match="items must hold one for each of 2 queries, got 1"):
        fitted.score([0, 1], [2])
    with pytest.raises(ValueError, match="pair 0 has item 60"):
        fitted.rank_new([[0, 60]])
