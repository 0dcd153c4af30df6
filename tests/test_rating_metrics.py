"""Metrics of ratings: closed forms, a Gaussian that is calibrated, and intervals over users."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import mean_absolute_error, root_mean_squared_error

from fmkit.recommend import bootstrap_interval, rating_metrics


def problem(seed, n=300):
    rng = np.random.default_rng(seed)
    std = rng.uniform(0.5, 1.5, n)
    predicted = rng.normal(3.5, 0.5, n)
    return predicted + std * rng.standard_normal(n), predicted, std, rng.integers(0, 40, n)


@given(st.integers(0, 9999))
def test_values_are_those_of_the_definitions(seed):
    truth, predicted, std, _ = problem(seed, 50)
    values = rating_metrics(truth, predicted, std).values
    assert values["rmse"] == pytest.approx(root_mean_squared_error(truth, predicted))
    assert values["mae"] == pytest.approx(mean_absolute_error(truth, predicted))
    assert values["bias"] == pytest.approx(predicted.mean() - truth.mean())
    assert values["nll"] == pytest.approx(-stats.norm.logpdf(truth, predicted, std).mean())
    for level in (50, 80, 90, 95):
        low, high = stats.norm.interval(level / 100, predicted, std)
        assert values[f"inside_{level}"] == np.mean((low <= truth) & (truth <= high))
    assert list(rating_metrics(truth, predicted).values) == ["rmse", "mae", "bias"]


def test_an_honest_std_is_calibrated_and_the_likelihood_prefers_it():
    truth, predicted, std, _ = problem(0, 40_000)
    honest = rating_metrics(truth, predicted, std).values
    for level in (50, 80, 90, 95):
        assert honest[f"inside_{level}"] == pytest.approx(level / 100, abs=0.01)
    for scale in (0.7, 1.4):
        other = rating_metrics(truth, predicted, scale * std).values
        assert other["nll"] > honest["nll"] + 0.05
        assert np.sign(other["inside_90"] - 0.9) == np.sign(scale - 1)


def test_reliability_by_tenths_is_that_of_sorted_ratings():
    truth, predicted, std, _ = problem(1, 1000)
    table = rating_metrics(truth, predicted, std).reliability
    parts = np.split(np.argsort(predicted), 10)
    assert table["n"].tolist() == [100] * 10
    np.testing.assert_allclose(table["predicted"], [predicted[part].mean() for part in parts])
    np.testing.assert_allclose(table["observed"], [truth[part].mean() for part in parts])
    np.testing.assert_allclose(table["rmse"], [np.square(truth - predicted)[part].mean() ** 0.5 for part in parts])
    np.testing.assert_allclose(table["std"], [np.square(std[part]).mean() ** 0.5 for part in parts])
    inside = np.abs(truth - predicted) <= 1.6449 * std
    np.testing.assert_allclose(table["inside_90"], [inside[part].mean() for part in parts])


def test_equal_predictions_are_one_bin():
    table = rating_metrics([1, 2, 6, 4], [3, 3, 3, 3]).reliability
    assert {name: values.tolist() for name, values in table.items()} == {
        "n": [4], "predicted": [3], "observed": [3.25], "rmse": [3.75**0.5]
    }  # fmt: skip


def test_intervals_are_those_of_drawn_users():
    truth, predicted, std, users = problem(2)
    result = rating_metrics(truth, predicted, std, users=users)
    assert result.intervals.keys() == result.values.keys()
    low, high = bootstrap_interval((truth - predicted) ** 2, users=users)
    assert result.intervals["rmse"] == pytest.approx((low**0.5, high**0.5))
    assert result.intervals["mae"] == pytest.approx(bootstrap_interval(np.abs(truth - predicted), users=users))
    for name, (low, high) in result.intervals.items():
        assert low < result.values[name] < high
    assert rating_metrics(truth, predicted).intervals == {}


def test_a_users_level_widens_the_interval_of_the_bias():
    """A hundred ratings by each of 50 users whose levels differ: rows taken for independent miss the truth, 0."""
    held = {"users": 0, "rows": 0}
    users = np.repeat(np.arange(50), 100)
    for seed in range(40):
        rng = np.random.default_rng(seed)
        error = rng.normal(size=50)[users] + rng.normal(size=5000)
        for name, groups in (("users", users), ("rows", np.arange(5000))):
            low, high = rating_metrics(np.zeros(5000), error, users=groups, n_resamples=200).intervals["bias"]
            held[name] += low < 0 < high
    assert held["users"] >= 34
    assert held["rows"] <= 20


def test_the_order_of_rows_does_not_matter():
    truth, predicted, std, users = problem(3)
    order = np.random.default_rng(0).permutation(len(truth))
    some, shuffled = (
        rating_metrics(truth[o], predicted[o], std[o], users=users[o]) for o in (np.arange(len(truth)), order)
    )
    assert shuffled.values == pytest.approx(some.values)
    for name, ends in some.intervals.items():
        assert shuffled.intervals[name] == pytest.approx(ends)
    assert str(shuffled) == str(some)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1, 2], [1]), "y_true must be as long as y_pred, got 2 and 1"),
        (([], []), "at least one rating is needed"),
        (([1, np.nan], [1, 2]), "y_true must be finite, row 1 is not"),
        (([1, 2], [[1, 2]]), r"y_pred must be of shape \(n,\), got \(1, 2\)"),
        (([1, 2], [1, 2], [1, 0]), "std must be above 0, row 1 has 0"),
        (([1, 2], [1, 2], [1]), "std must be as long as y_pred"),
    ],
)
def test_bad_input_is_told(arguments, message):
    with pytest.raises(ValueError, match=message):
        rating_metrics(*arguments)
