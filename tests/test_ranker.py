"""FMRanker: what its users rely on."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn.base import clone
from sklearn.utils.estimator_checks import (
    check_estimator_cloneable,
    check_estimator_repr,
    check_get_params_invariance,
    check_no_attributes_set_in_init,
    check_parameters_default_constructible,
    check_set_params,
)

import fmkit
from fmkit import FMRanker
from fmkit.fitting import FitInterrupted
from fmkit.ranking.ranking import Ranking
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


@pytest.mark.parametrize("loss", LOSSES)
def test_more_interactions_are_learned(loss: str) -> None:
    """Users and items that come later, told apart by the communities of those that were there."""
    seen, kept_back = communities(120, 66)
    first = FMRanker(loss, n_factors=8, random_state=0).fit(seen[:90, :60])
    pairs = seen.tocoo()
    new = (pairs.row >= 90) | (pairs.col >= 60)
    later = np.stack([pairs.row, pairs.col], axis=1)[new]
    for _ in range(3):
        first.partial_fit(later)
    assert first.ranking_.pairs.csr.shape == (120, 66)
    late = sparse.csr_array(kept_back.multiply(np.arange(120)[:, None] >= 90))
    late.eliminate_zeros()
    popularity = np.asarray(seen.sum(axis=0))
    baseline = evaluate_scores(
        lambda codes: np.tile(popularity, (len(codes), 1)), late, exclude=seen, metrics="ndcg@10"
    )
    assert ndcg(first, seen, late) > 1.4 * baseline.mean()["ndcg@10"]


def test_partial_fit_begins_with_a_fit() -> None:
    seen, _ = communities()
    options = {"n_factors": 4, "random_state": 0}
    a = FMRanker("implicit", **options).partial_fit(seen)
    np.testing.assert_array_equal(a.score(), FMRanker("implicit", **options).fit(seen).score())


def test_partial_fit_learns_new_features_of_queries() -> None:
    """Which of three groups a user is of, told from the second call on: all that is known of users without pairs."""
    seen, _ = communities()
    groups = np.eye(3, dtype=np.float32)[np.arange(90) % 3]
    ids = sparse.eye_array(90, dtype=np.float32)
    told = sparse.csr_array(seen.multiply(np.arange(90)[:, None] < 75))
    ranker = FMRanker("softmax", n_factors=8, random_state=0).fit(told, queries=ids)
    with_groups = sparse.hstack([ids, groups], format="csr")
    for _ in range(20):
        ranker.partial_fit([[0, 0]], queries=with_groups)
    scores = ranker.score(np.arange(75, 90))
    same = np.arange(75, 90)[:, None] % 3 == np.arange(60) % 3
    assert scores[same].mean() > scores[~same].mean() + scores.std()


def test_partial_fit_asks_for_features_that_the_fit_had() -> None:
    seen, _ = communities()
    items = sparse.hstack([sparse.eye_array(60), np.eye(3)[np.arange(60) % 3]], format="csr")
    ranker = FMRanker("implicit", n_factors=4, random_state=0).fit(seen, items=items)
    with pytest.raises(ValueError, match="items must be given, all rows of them"):
        ranker.partial_fit([[0, 1]])


def test_item_item_weights_alone_rank_too() -> None:
    """As a blend ends up, where the machines weigh nothing."""
    seen, kept_back = communities()
    ranker = FMRanker("implicit", item_item=True, n_factors=4, random_state=0).fit(seen)
    alone = ranker.ranking_
    ranker.ranking_ = Ranking(alone.queries, alone.items, alone.pairs, [], alone.item_item, [1.0])
    assert ranker.score([0, 5]).shape == (2, 60)
    assert ranker.rank(n=3)[0].shape == (90, 3)
    assert ranker.rank_new(seen[:4], n=3)[0].shape == (4, 3)
    np.testing.assert_array_equal(ranker.rank_new(seen[:4], n=3)[0], ranker.rank([0, 1, 2, 3], n=3)[0])
    assert ndcg(ranker, seen, kept_back) > 0.1


@pytest.mark.parametrize(
    "check",
    [
        check_parameters_default_constructible,
        check_no_attributes_set_in_init,
        check_get_params_invariance,
        check_set_params,
        check_estimator_repr,
        check_estimator_cloneable,
    ],
)
def test_scikit_learn_conventions(check: Any) -> None:
    """Those of scikit-learn's checks that fit no matrix of features: here, rows of X are pairs of codes."""
    check("FMRanker", FMRanker())


def test_ctrl_c_keeps_the_best_so_far() -> None:
    seen, _ = communities()

    def press(progress: Any) -> None:
        if progress.sweep == 3:
            raise KeyboardInterrupt

    options = {"n_factors": 4, "validation_fraction": 0, "random_state": 0}
    with pytest.warns(FitInterrupted, match="the machine of sweep 3 is kept"):
        interrupted = FMRanker("implicit", max_iter=9, callbacks=[press], **options).fit(seen)
    np.testing.assert_array_equal(interrupted.score(), FMRanker("implicit", max_iter=3, **options).fit(seen).score())


def test_a_callback_ends_a_fit() -> None:
    seen, _ = communities()
    options = {"n_factors": 4, "validation_fraction": 0, "random_state": 0}
    stopped = FMRanker("softmax", max_iter=9, callbacks=[lambda progress: progress.sweep == 2], **options).fit(seen)
    np.testing.assert_array_equal(stopped.score(), FMRanker("softmax", max_iter=2, **options).fit(seen).score())


@given(st.data())
@settings(max_examples=30, deadline=None)
def test_renumbering_users_and_items_renumbers_the_lists(data: st.DataObject) -> None:
    n_users, n_items = data.draw(st.integers(1, 8)), data.draw(st.integers(1, 8))
    cells = st.tuples(st.integers(0, n_users - 1), st.integers(0, n_items - 1))
    pairs = np.array(data.draw(st.lists(cells, min_size=1, max_size=30, unique=True)))
    order = np.array(data.draw(st.permutations(range(n_users))))
    # Users are solved for first, from the items' start: their own does not matter.
    options = {"n_factors": 2, "max_iter": 1, "reg": 0.5, "unseen": 0.5, "validation_fraction": 0, "random_state": 0}
    shape = n_users, n_items

    def table(users: Any) -> Any:
        return sparse.csr_array((np.ones(len(pairs)), (users, pairs[:, 1])), shape=shape)

    plain = FMRanker("implicit", **options).fit(table(pairs[:, 0])).score()
    renumbered = FMRanker("implicit", **options).fit(table(order[pairs[:, 0]])).score()
    np.testing.assert_allclose(renumbered[order], plain, atol=1e-4)


def test_ctrl_c_ends_the_search_too() -> None:
    seen, kept_back = communities()
    sweeps: list[int] = []

    def press(progress: Any) -> None:
        sweeps.append(progress.sweep)
        if len(sweeps) == 6:
            raise KeyboardInterrupt

    with pytest.warns(FitInterrupted):
        ranker = FMRanker("auto", n_factors=4, random_state=0, callbacks=[press]).fit(seen)
    assert len(sweeps) == 6
    assert list(ranker.weights_) == ["implicit"]
    assert ndcg(ranker, seen, kept_back) > 0.1


def test_partial_fit_refuses_columns_that_have_moved() -> None:
    seen, _ = communities()
    groups = np.eye(3)[np.arange(61) % 3]
    ranker = FMRanker("implicit", n_factors=4, random_state=0)
    ranker.fit(seen, items=sparse.hstack([sparse.eye_array(60), groups[:60]], format="csr"))
    with pytest.raises(ValueError, match="the first 60 rows and 63 columns of items must be those of the fit"):
        ranker.partial_fit([[0, 60]], items=sparse.hstack([sparse.eye_array(61), groups], format="csr"))


@pytest.mark.parametrize("loss", LOSSES)
def test_of_whom_nothing_is_known_gets_what_is_popular(loss: str) -> None:
    rng = np.random.default_rng(0)
    chances = np.linspace(0.02, 0.6, 40)
    seen = sparse.csr_array((rng.random((120, 40)) < chances).astype(np.float32))
    nobody = sparse.csr_array((1, 40), dtype=np.float32)
    ranker = FMRanker(loss, n_factors=8, random_state=0).fit(sparse.vstack([seen, nobody], format="csr"))
    for items, _ in (ranker.rank([120], n=5), ranker.rank_new(nobody, n=5)):
        assert chances[items].mean() > 0.5


def test_ctrl_c_while_settings_are_tried_says_what_is_kept() -> None:
    seen, _ = communities()

    def press(progress: Any) -> None:
        if progress.sweep == 2:
            raise KeyboardInterrupt

    with pytest.warns(FitInterrupted, match="settings were still being tried: 'implicit' alone is kept"):
        ranker = FMRanker("auto", n_factors=4, callbacks=[press], random_state=0).fit(seen)
    assert ranker.weights_ == {"implicit": 1.0}
    assert ranker.rank([0], n=3)[0].shape == (1, 3)
