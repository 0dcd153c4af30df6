"""Bootstrap intervals, sign-flip tests and Holm's correction: against slow twins, scipy, and what they promise."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from fmkit.recommend import RankMetrics, bootstrap_interval, compare_models, holm, paired_test
from fmkit.recommend.bootstrap import resampled_means


def test_an_interval_is_scipys():
    values = np.random.default_rng(0).exponential(size=80)
    ours = bootstrap_interval(values, n_resamples=20_000)
    theirs = stats.bootstrap((values,), np.mean, n_resamples=20_000, method="percentile", rng=1).confidence_interval
    assert ours == pytest.approx(tuple(theirs), abs=0.01)


def test_resampled_means_have_the_spread_of_a_mean():
    values = np.random.default_rng(0).exponential(size=500)
    means = resampled_means(values[:, None], np.ones(500), 4000, 0)[:, 0]
    assert means.mean() == pytest.approx(values.mean(), abs=0.005)
    assert means.std() == pytest.approx(values.std() / 500**0.5, rel=0.05)


def test_an_interval_holds_the_mean_of_all_in_95_of_100():
    rng = np.random.default_rng(0)
    ends = np.array([bootstrap_interval(rng.random(60), n_resamples=400) for _ in range(300)])
    assert 0.91 < ((ends[:, 0] < 0.5) & (ends[:, 1] > 0.5)).mean() < 0.985


def test_rows_of_a_user_hang_together():
    """Ten copies of each value tell no more than one."""
    values = np.random.default_rng(0).random(50)
    once = bootstrap_interval(values)
    assert bootstrap_interval(np.repeat(values, 10), users=np.repeat(np.arange(50), 10)) == pytest.approx(once)
    low, high = bootstrap_interval(np.repeat(values, 10))
    assert high - low < 0.5 * (once[1] - once[0])


def exact_p(differences):
    """All signs, one after the other."""
    found = abs(sum(differences))
    flips = [abs(sum(s * d for s, d in zip(signs, differences, strict=True)))
             for signs in itertools.product((-1, 1), repeat=len(differences))]  # fmt: skip
    return np.mean([flip >= found - 1e-12 for flip in flips])


@pytest.mark.parametrize("seed", range(4))
def test_p_is_that_of_all_sign_flips(seed):
    rng = np.random.default_rng(seed)
    theirs = rng.integers(0, 5, 11) / 5
    ours = theirs + rng.integers(-2, 4, 11) / 5  # with zeros and ties
    test = paired_test(ours, theirs, n_flips=40_000)
    assert test.p_value == pytest.approx(exact_p(ours - theirs), abs=0.01)


def test_p_is_scipys():
    rng = np.random.default_rng(5)
    ours, theirs = rng.normal(0.2, 1, 60), rng.normal(0, 1, 60)
    expected = stats.permutation_test(
        (ours, theirs), lambda a, b, axis: (a - b).mean(axis), permutation_type="samples", n_resamples=9999, rng=0,
        vectorized=True,
    )  # fmt: skip
    assert paired_test(ours, theirs).p_value == pytest.approx(expected.pvalue, abs=0.02)


def test_p_of_users_is_that_of_their_sums():
    rng = np.random.default_rng(1)
    users = np.repeat(np.arange(40), rng.integers(1, 9, 40))
    ours, theirs = rng.normal(0.1, 1, (2, len(users)))
    sums = np.bincount(users, ours - theirs)
    test = paired_test(ours, theirs, users=users)
    assert test.p_value == paired_test(sums, np.zeros(40)).p_value
    assert test.difference == pytest.approx((ours - theirs).mean())
    assert test.n_users == 40


def test_of_models_that_are_alike_one_in_twenty_has_p_below_5_percent():
    rng = np.random.default_rng(0)
    p = [paired_test(*rng.random((2, 40)), n_flips=199, n_resamples=1).p_value for _ in range(600)]
    assert np.mean(np.array(p) <= 0.05) == pytest.approx(0.05, abs=0.025)


@given(st.integers(0, 9999), st.integers(2, 30))
def test_a_test_turned_round_says_the_same(seed, n):
    ours, theirs = np.random.default_rng(seed).random((2, n))
    there, back = (paired_test(*pair, n_flips=99, n_resamples=99) for pair in ((ours, theirs), (theirs, ours)))
    assert back.p_value == there.p_value
    assert back.difference == pytest.approx(-there.difference, abs=1e-15)
    assert back.interval == pytest.approx((-there.interval[1], -there.interval[0]), abs=1e-12)
    assert there == paired_test(ours, theirs, n_flips=99, n_resamples=99)


def test_what_is_the_same_has_p_1():
    values = np.random.default_rng(0).random(30)
    test = paired_test(values, values)
    assert (test.difference, test.interval, test.p_value) == (0, (0, 0), 1)


def test_blocks_do_not_matter(monkeypatch):
    ours, theirs = np.random.default_rng(0).random((2, 50))
    whole = paired_test(ours, theirs)
    monkeypatch.setattr("fmkit.recommend.bootstrap.NUMBERS_AT_ONCE", 1000)
    parts = paired_test(ours, theirs)
    assert parts.interval == pytest.approx(whole.interval)
    assert parts.p_value == pytest.approx(whole.p_value, abs=0.02)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_rejects_step_by_step(p):
    """The textbook's procedure: the smallest at alpha / n, the next at alpha / (n - 1), until one fails."""
    adjusted = holm(p)
    for alpha in (0.01, 0.05, 0.3):
        rejected = np.zeros(len(p), bool)
        for step, row in enumerate(np.argsort(p, kind="stable")):
            if p[row] * (len(p) - step) > alpha:
                break
            rejected[row] = True
        np.testing.assert_array_equal(adjusted <= alpha, rejected)
    assert (adjusted >= p).all()
    assert (adjusted <= 1).all()


def test_models_are_compared_over_queries_that_count():
    rng = np.random.default_rng(0)
    base = rng.random((2, 200))
    base[:, :20] = np.nan
    models = {
        "popularity": base,
        "better": base + rng.normal(0.05, 0.1, base.shape),
        "alike": base + rng.normal(0, 0.1, base.shape),
    }
    metrics = {name: RankMetrics(dict(zip(("ndcg@10", "mrr@10"), v, strict=True))) for name, v in models.items()}
    result = compare_models(metrics, "popularity")
    assert list(result.tests) == [(m, k) for m in ("better", "alike") for k in ("ndcg@10", "mrr@10")]
    for (model, metric), test in result.tests.items():
        alone = paired_test(metrics[model].per_query[metric], metrics["popularity"].per_query[metric])
        assert test.p_value == alone.p_value
        assert test.interval == pytest.approx(alone.interval)
        assert test.n_users == 180
        assert test.difference == pytest.approx((metrics[model] - metrics["popularity"]).mean()[metric])
        interval = (metrics[model] - metrics["popularity"]).interval()[metric]
        assert test.interval == pytest.approx(interval, abs=0.002)
    assert list(result.adjusted.values()) == holm([test.p_value for test in result.tests.values()]).tolist()
    assert result.adjusted["better", "ndcg@10"] < 0.01 < result.adjusted["alike", "ndcg@10"]
    assert "ndcg@10 of better: +0.05" in str(result)


def test_bad_input_is_told():
    one, other = RankMetrics({"mrr@1": np.array([1.0, np.nan])}), RankMetrics({"mrr@1": np.array([1.0, 0.0])})
    with pytest.raises(ValueError, match="row 1 is NaN in one alone"):
        compare_models({"a": one, "b": other}, "a")
    with pytest.raises(ValueError, match="metrics differ: b has ndcg@1, a has mrr@1"):
        compare_models({"a": one, "b": RankMetrics({"ndcg@1": np.ones(2)})}, "a")
    with pytest.raises(ValueError, match="models must hold 'c' and at least one to compare to it, got a"):
        compare_models({"a": one}, "c")
    with pytest.raises(ValueError, match=r"the same rows of both models, got shapes \(2,\) and \(1,\)"):
        paired_test([1, 2], [1])
    with pytest.raises(ValueError, match="users must hold one for each of 2 rows"):
        bootstrap_interval([1, 2], users=[1])
    with pytest.raises(ValueError, match="at least one value that is a number"):
        bootstrap_interval([np.nan])
    with pytest.raises(ValueError, match=r"values must be of shape \(n,\), got \(1, 2\)"):
        bootstrap_interval([[1, 2]])
    with pytest.raises(ValueError, match="level must be a share between 0 and 1, got 95"):
        bootstrap_interval([1, 2], level=95)
    with pytest.raises(ValueError, match="numbers from 0 to 1"):
        holm([1.5])
