"""Metrics of rankings: their definitions, the lists they are taken from, and input that is refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from fmkit.ranking.judge import METRICS
from fmkit.ranking.pairs import Pairs
from fmkit.ranking.topn import top_n, top_n_of_scores
from fmkit.recommend.metrics import RankMetrics, evaluate, evaluate_scores, rank_metrics
from tests import reference

NAMES = [f"{metric}@{k}" for metric in METRICS for k in (1, 3, 10)]
GAINS = {"binary": lambda v: (v > 0) * 1.0, "linear": lambda v: v * 1.0, "exponential": lambda v: 2.0**v - 1}


def problem(seed, n_queries=40, n_items=30, density=0.15, length=12):
    """Random lists, some with holes, and graded items; some queries have none."""
    rng = np.random.default_rng(seed)
    grades = rng.integers(1, 5, (n_queries, n_items)) * (rng.random((n_queries, n_items)) < density)
    grades[0] = 0
    lists = np.argsort(rng.random((n_queries, n_items)), axis=1)[:, :length]
    lists[rng.random(n_queries) < 0.3, 5:] = -1
    return lists, grades


def small_numbers(seed, n_queries, n_items):
    """Vectors whose products are exact, with many ties; pairs to exclude, and relevant ones among the others."""
    rng = np.random.default_rng(seed)
    queries = rng.integers(-2, 3, (n_queries, 3)).astype(np.float32)
    items = rng.integers(-2, 3, (n_items, 3)).astype(np.float32)
    kind = rng.choice(3, (n_queries, n_items), p=[0.6, 0.2, 0.2])
    kind[0, 0] = 1
    return queries, items, sparse.csr_array(kind == 1), sparse.csr_array(kind == 2)


def ranked(scores, excluded):
    """All items but those excluded, best first, of equal ones that of lower code; -1 behind them."""
    lists = np.full((len(scores), max(scores.shape[1], 10)), -1)
    for row, line, out in zip(lists, scores, excluded, strict=True):
        best = [i for i in np.lexsort((np.arange(len(line)), -line)) if not out[i]]
        row[: len(best)] = best
    return lists


def assert_same(result, expected):
    assert result.per_query.keys() == expected.per_query.keys()
    for name, values in expected.per_query.items():
        np.testing.assert_array_equal(result.per_query[name], values, name)


def test_closed_forms():
    relevant = sparse.csr_array([[1, 0, 0, 1, 1, 0]])
    result = rank_metrics([[5, 0, 1, 3]], relevant, [f"{metric}@4" for metric in METRICS]).mean()
    ideal = 1 + 1 / np.log2(3) + 1 / 2
    expected = {
        "ndcg": (1 / np.log2(3) + 1 / np.log2(5)) / ideal,
        "recall": 2 / 3,
        "capped_recall": 2 / 3,
        "precision": 1 / 2,
        "map": (1 / 2 + 2 / 4) / 3,
        "mrr": 1 / 2,
        "hit_rate": 1,
    }
    assert result == pytest.approx({f"{metric}@4": value for metric, value in expected.items()}, abs=1e-15)


def test_a_capped_recall_is_whole_when_the_list_is_full_of_hits():
    result = rank_metrics([[0, 1]], sparse.csr_array([[1, 1, 1, 1]]), ["recall@2", "capped_recall@2", "ndcg@2"])
    assert result.mean() == {"recall@2": 0.5, "capped_recall@2": 1, "ndcg@2": 1}


@pytest.mark.parametrize(
    ("gains", "of_values"), [("binary", (1, 1)), ("linear", (1, 3)), ("exponential", (1, 7))], ids=list(GAINS)
)
def test_graded_items_count_as_asked(gains, of_values):
    result = rank_metrics([[0, 1, 2]], sparse.csr_array([[1, 0, 3]]), "ndcg@3", gains=gains)
    low, high = of_values
    assert result.mean()["ndcg@3"] == pytest.approx((low + high / 2) / (high + low / np.log2(3)), abs=1e-15)


@pytest.mark.parametrize("gains", GAINS)
def test_metrics_are_those_of_the_twin(gains):
    lists, grades = problem(0)
    result = rank_metrics(lists, sparse.csr_array(grades), NAMES, gains=gains)
    for name in NAMES:
        twin = [
            reference.rank_metric(name, ranking, of_items) if of_items.any() else np.nan
            for ranking, of_items in zip(lists, GAINS[gains](grades), strict=True)
        ]
        np.testing.assert_allclose(result.per_query[name], twin, rtol=0, atol=1e-14)
        assert result.mean()[name] == pytest.approx(np.nanmean(twin), abs=1e-14)


@pytest.mark.parametrize("gains", ["linear", "exponential"])
def test_metrics_are_those_of_ranx(gains):
    ranx = pytest.importorskip("ranx")
    lists, grades = problem(1, n_queries=300)
    result = rank_metrics(lists, sparse.csr_array(grades), NAMES, gains=gains)
    counted = np.flatnonzero(grades.any(axis=1))
    qrels = ranx.Qrels({f"{q:03d}": {str(i): int(grades[q, i]) for i in np.flatnonzero(grades[q])} for q in counted})
    run = {f"{q:03d}": {str(i): 1 / (p + 1) for p, i in enumerate(lists[q]) if i >= 0} for q in counted}
    for name in NAMES:
        if not name.startswith("capped"):
            theirs = name if gains == "linear" else name.replace("ndcg", "ndcg_burges")
            values = ranx.evaluate(qrels, ranx.Run(run), theirs, return_mean=False)
            np.testing.assert_allclose(result.per_query[name][counted], values, rtol=0, atol=1e-12, err_msg=name)


@given(st.integers(0, 9999), st.integers(1, 10))
def test_metrics_lie_between_0_and_1_and_a_perfect_list_has_1(seed, k):
    lists, grades = problem(seed, n_queries=8)
    relevant = sparse.csr_array(grades)
    names = [f"{metric}@{k}" for metric in METRICS]
    best = np.argsort(-grades, axis=1, kind="stable")
    for gains in GAINS:
        some, perfect = (rank_metrics(given, relevant, names, gains=gains) for given in (lists, best))
        for name in names:
            values = some.per_query[name][some.counted]
            assert ((values >= 0) & (values <= 1)).all()
            if name.split("@")[0] in ("ndcg", "capped_recall", "mrr", "hit_rate"):
                assert (perfect.per_query[name][perfect.counted] == 1).all()


@given(st.integers(0, 9999))
def test_the_order_of_queries_does_not_matter(seed):
    lists, grades = problem(seed, n_queries=12)
    order = np.random.default_rng(seed).permutation(len(lists))
    before, after = (rank_metrics(lists[o], sparse.csr_array(grades[o]), NAMES) for o in (np.arange(12), order))
    for name in NAMES:
        np.testing.assert_array_equal(after.per_query[name], before.per_query[name][order])


@given(st.integers(0, 9999), st.integers(1, 15), st.integers(1, 25), st.sampled_from([1, 3]))
def test_rankings_by_vectors_and_by_scores_are_sorting_all_scores(seed, n_queries, n_items, n_jobs):
    """Ties included, items excluded left out, and fewer items left than k."""
    queries, items, relevant, exclude = small_numbers(seed, n_queries, n_items)
    scores = queries @ items.T
    expected = rank_metrics(ranked(scores, exclude.toarray()), relevant, NAMES)
    assert_same(evaluate(queries, items, relevant, exclude=exclude, metrics=NAMES, n_jobs=n_jobs), expected)
    for dtype in (np.float32, np.float64, np.int64):
        given = scores.astype(dtype)
        result = evaluate_scores(
            lambda asked: given[asked],  # noqa: B023
            relevant,
            exclude=exclude,
            metrics=NAMES,
            n_jobs=n_jobs,
            block=4,
        )
        assert_same(result, expected)


def test_of_equal_scores_the_lower_code_is_listed():
    codes = top_n_of_scores(np.zeros((2, 5), np.float32), 3, np.array([0, 0, 1]), np.array([1], np.int32), 1)
    assert codes.tolist() == [[0, 1, 2], [0, 2, 3]]


def test_lists_of_scores_are_those_of_their_vectors():
    queries, items, _, exclude = small_numbers(0, 50, 3000)
    before, seen = exclude.indptr.astype(np.int64), exclude.indices.astype(np.int32)
    for n_threads in (1, 2):
        codes = top_n_of_scores(queries @ items.T, 40, before, seen, n_threads)
        np.testing.assert_array_equal(codes, top_n(queries, items, 40, before, seen, 1)[0])


@pytest.mark.parametrize("n_jobs", [1, 2, 5])
def test_results_do_not_depend_on_threads_or_blocks(n_jobs):
    rng = np.random.default_rng(3)
    queries, items = rng.standard_normal((3000, 7)), rng.standard_normal((200, 7))
    relevant = sparse.random_array((3000, 200), density=0.02, rng=rng)
    scores = (queries @ items.T).astype(np.float32)
    assert_same(evaluate(queries, items, relevant, n_jobs=n_jobs), evaluate(queries, items, relevant, n_jobs=1))
    whole = evaluate_scores(lambda asked: scores[asked], relevant, n_jobs=1)
    assert_same(evaluate_scores(lambda asked: scores[asked], relevant, n_jobs=n_jobs, block=700), whole)


def test_items_excluded_do_not_show_even_if_they_are_best():
    relevant, exclude = sparse.csr_array([[0, 0, 1]]), sparse.csr_array([[1, 1, 0]])
    assert evaluate([[1]], [[3], [2], [1]], relevant, exclude=exclude, metrics="mrr@1").mean() == {"mrr@1": 1}
    scores = np.array([[3.0, 2.0, 1.0]])
    scores.flags.writeable = False
    assert evaluate_scores(lambda _: scores, relevant, exclude=exclude, metrics="mrr@1").mean() == {"mrr@1": 1}


def test_an_item_of_score_minus_infinity_is_not_listed():
    result = evaluate_scores(lambda _: np.array([[0, -np.inf]]), sparse.csr_array([[0, 1]]), metrics="hit_rate@2")
    assert result.mean() == {"hit_rate@2": 0}


def test_only_queries_with_relevant_items_are_scored():
    asked = []

    def score(queries):
        asked.extend(queries.tolist())
        return np.ones((len(queries), 2))

    result = evaluate_scores(score, sparse.csr_array([[0, 1], [0, 0], [1, 0]]), metrics="mrr@2", block=1)
    assert asked == [0, 2]
    np.testing.assert_array_equal(result.per_query["mrr@2"], [0.5, np.nan, 1])


def test_the_split_of_rankings_counts_users_with_a_training_pair():
    """Users without one are left out by emptying their rows; Recall@20 there is hits / min(20, test pairs)."""
    rng = np.random.default_rng(0)
    kind = rng.choice(3, (60, 80), p=[0.6, 0.2, 0.2])
    kind[7][kind[7] == 1] = 0
    train, test = sparse.csr_array(kind == 1), sparse.csr_array(kind == 2)
    scores = rng.random((60, 80), np.float32)
    warm = sparse.diags_array((np.diff(train.indptr) > 0).astype(float)).tocsr()
    names = ["capped_recall@20", "ndcg@10"]
    result = evaluate_scores(lambda users: scores[users], warm @ test, exclude=train, metrics=names)
    order = np.argsort(-np.where(kind == 1, -np.inf, scores), axis=1)
    hits = np.take_along_axis(kind == 2, order, axis=1)
    n, discounts = (kind == 2).sum(axis=1), 1 / np.log2(np.arange(2, 12))
    recall = hits[:, :20].sum(axis=1) / np.minimum(20, n)
    ndcg = (hits[:, :10] * discounts).sum(axis=1) / np.cumsum(discounts)[np.minimum(n, 10) - 1]
    others = np.arange(60) != 7
    assert result.mean() == pytest.approx(dict(zip(names, (recall[others].mean(), ndcg[others].mean()), strict=True)))


def test_pairs_and_matrices_say_the_same_and_stay_as_they_are():
    lists, grades = problem(2)
    order = sparse.csr_matrix(grades.astype(np.float32))
    order.indices[:2], order.data[1] = order.indices[1::-1].copy(), 0  # unsorted, and with a zero
    kept = order.copy()
    assert_same(rank_metrics(lists, order, NAMES), rank_metrics(lists, Pairs.of(order.copy()), NAMES))
    np.testing.assert_array_equal(order.indices, kept.indices)
    np.testing.assert_array_equal(order.data, kept.data)


def test_intervals_hold_the_mean_of_all_in_95_of_100():
    rng = np.random.default_rng(0)
    held = []
    for _ in range(400):
        low, high = RankMetrics({"recall@20": rng.random(30)}).interval()["recall@20"]
        held.append(low < 0.5 < high)
    assert 0.92 < np.mean(held) < 0.98


def test_a_difference_pairs_the_queries():
    lists, grades = problem(4)
    relevant = sparse.csr_array(grades)
    ours, theirs = (rank_metrics(given, relevant, ["ndcg@5"]) for given in (lists, lists[:, ::-1]))
    difference = ours - theirs
    values = (ours.per_query["ndcg@5"] - theirs.per_query["ndcg@5"])[ours.counted]
    assert difference.mean()["ndcg@5"] == pytest.approx(values.mean())
    reach = 2.03 * values.std(ddof=1) / np.sqrt(len(values))
    assert difference.interval()["ndcg@5"] == pytest.approx((values.mean() - reach, values.mean() + reach), rel=0.01)
    with pytest.raises(ValueError, match="same queries"):
        ours - rank_metrics(lists[::-1], relevant[::-1], ["ndcg@5"])
    with pytest.raises(ValueError, match=r"metrics differ: ndcg@5, and mrr@5"):
        ours - rank_metrics(lists, relevant, ["mrr@5"])


def test_a_single_query_has_no_interval():
    result = rank_metrics([[0]], sparse.csr_array([[1]]), "mrr@1")
    assert np.isnan(result.interval()["mrr@1"]).all()
    assert "mrr@1 1.0000 (nan to nan)" in str(result)


@pytest.mark.parametrize(
    ("lists", "metrics", "message"),
    [
        ([[0, 1], [1, 2]], "auc@2", r"unknown metric 'auc@2'; there are ndcg@k, recall@k, .* hit_rate@k, k at least 1"),
        ([[0, 1], [1, 2]], "ndcg", "unknown metric 'ndcg'"),
        ([[0, 1], [1, 2]], "ndcg@0", "unknown metric 'ndcg@0'"),
        ([[0, 1], [1, 2]], [], "metrics must name at least one"),
        ([[0, 1], [1, 2]], ["mrr@1", "ndcg@20"], "ndcg@20 needs lists of 20 items, got 2"),
        ([[0, 1]], "mrr@2", r"a row for each of 2 queries, got \(1, 2\)"),
        ([0, 1], "mrr@1", r"lists must be of shape \(n_queries, n\)"),
        ([[0, 1], [3, 1]], "mrr@2", r"item codes in 0..2, or -1 for none; that of query 1 has 3"),
        ([[0, -2], [1, 2]], "mrr@2", "that of query 0 has -2"),
        ([[0, 1], [2, 2]], "mrr@2", "that of query 1 has item 2 twice"),
    ],
)
def test_bad_lists_are_told(lists, metrics, message):
    with pytest.raises(ValueError, match=message):
        rank_metrics(lists, sparse.csr_array([[1, 0, 0], [0, 1, 1]]), metrics)


def test_what_lies_below_the_largest_k_is_not_looked_at():
    assert rank_metrics([[0, 0, 9]], sparse.csr_array([[1, 0]]), "mrr@1").mean() == {"mrr@1": 1}


def test_bad_tables_are_told():
    with pytest.raises(TypeError, match="lists must be integer codes of items, got float64"):
        rank_metrics([[0.5]], sparse.csr_array([[1]]))
    with pytest.raises(TypeError, match="relevant must be a sparse matrix of queries x items, or Pairs; got list"):
        rank_metrics([[0]], [[1]])
    with pytest.raises(ValueError, match="no query has a relevant item"):
        rank_metrics([[0]], sparse.csr_array((1, 1)), "mrr@1")
    with pytest.raises(ValueError, match="gains must be 'binary', 'linear' or 'exponential', got 'graded'"):
        rank_metrics([[0]], sparse.csr_array([[1]]), "mrr@1", gains="graded")
    with pytest.raises(ValueError, match="exponential gains need values up to 1,000, got 2000"):
        rank_metrics([[0]], sparse.csr_array([[2000]]), "ndcg@1", gains="exponential")


@pytest.mark.parametrize(
    ("vectors", "exclude", "message"),
    [
        ([[1, 2, 3]], None, "must be of one length, got 3 and 2"),
        ([1, 2], None, r"query_vectors must be of shape \(n, n_dimensions\)"),
        ([[1, 2], [3, 4]], None, "relevant must be of 2 queries x 3 items, got 1 x 3"),
        ([[1, np.nan]], None, "query_vectors must be finite, row 0 is not"),
        ([[1, 2]], sparse.csr_array([[1, 0]]), "exclude must be of 1 queries x 3 items, got 1 x 2"),
        ([[1, 2]], sparse.csr_array([[1, 0, 1]]), "1 pairs are both relevant and excluded, query 0 with item 2"),
    ],
)
def test_bad_vectors_are_told(vectors, exclude, message):
    with pytest.raises(ValueError, match=message):
        evaluate(vectors, np.eye(3, 2), sparse.csr_array([[0, 1, 1]]), exclude=exclude)


@pytest.mark.parametrize(
    ("scores", "block", "message"),
    [
        ([[1.0, 2.0]], None, r"must return an array of 1 queries x 3 items, got \(1, 2\)"),
        ([[1.0, np.nan, 2.0]], None, "that of query 1 and item 1 is NaN"),
        ([[1.0, 1.0, 2.0]], 0, "block must be at least 1 query, got 0"),
    ],
)
def test_bad_scores_are_told(scores, block, message):
    with pytest.raises(ValueError, match=message):
        evaluate_scores(lambda _: scores, sparse.csr_array([[0, 0, 0], [0, 1, 1]]), block=block)
