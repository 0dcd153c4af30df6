"""The learning rate of SGD: found by itself, lowered where a fit diverges, refused where nothing helps."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning

from fmkit import FMClassifier, FMRegressor, load, save
from fmkit.errors import InputError
from fmkit.recommend import Recommender
from fmkit.solvers.rates import USUAL, choose_rate


@pytest.fixture(scope="module")
def words():
    """Rows of 60 words of 1,000, of unit length, and targets that follow from them."""
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 1000, (3000, 60))
    X = sparse.csr_array((np.ones(codes.size), codes.ravel(), np.arange(0, codes.size + 1, 60)), shape=(3000, 1000))
    X.sum_duplicates()
    X = X.multiply(1 / np.sqrt(X.multiply(X).sum(axis=1))[:, None]).tocsr()
    return X, X @ rng.standard_normal(1000) + 0.3 * rng.standard_normal(3000)


@given(st.integers(-9, 9), st.floats(0.1, 100))
def test_the_rate_of_the_lowest_loss_is_found_from_both_sides(steps, steep):
    best, tried = USUAL * 2.0**steps, []

    def loss(rate):
        tried.append(rate)
        return 1 + steep * np.log(rate / best) ** 2

    assert choose_rate(loss) == pytest.approx(best)
    assert len(tried) == len(set(tried)) <= abs(steps) + 3


def test_rates_that_diverge_or_gain_nothing_are_passed_by():
    assert choose_rate(lambda rate: np.nan if rate > 0.01 else 1.0) == pytest.approx(USUAL / 16)
    assert choose_rate(lambda rate: 1 - 1e-4 * rate) == USUAL
    assert np.isfinite(choose_rate(lambda rate: np.nan))


def test_a_table_for_which_the_usual_rate_is_far_too_large_is_fitted_by_default(words):
    X, y = words
    model = FMRegressor(4, solver="sgd", random_state=0).fit(X[:2500], y[:2500])
    usual = FMRegressor(4, solver="sgd", learning_rate=0.1, random_state=0).fit(X[:2500], y[:2500])
    assert model.learning_rate_ < 0.1
    assert model.score(X[2500:], y[2500:]) > 0.1
    assert model.score(X[2500:], y[2500:]) > usual.score(X[2500:], y[2500:]) + 0.2


def test_a_fit_that_is_done_again_finds_the_same_rate_and_is_the_fit_with_it(words, tmp_path):
    X, y = words
    for model in (FMRegressor(4, solver="sgd"), FMClassifier(4, solver="sgd")):
        targets = y if isinstance(model, FMRegressor) else np.where(y > 0.5, "a", np.where(y < -0.5, "b", "c"))
        found = [model.set_params(random_state=0).fit(X, targets).learning_rate_ for _ in range(2)]
        assert found[0] == found[1]
        save(model, tmp_path / "model.fm")
        assert load(tmp_path / "model.fm").learning_rate_ == found[1]
    one = FMRegressor(4, solver="sgd", random_state=0).fit(X, y)
    other = FMRegressor(4, solver="sgd", learning_rate=one.learning_rate_, random_state=0).fit(X, y)
    np.testing.assert_array_equal(one.predict(X), other.predict(X))


@pytest.mark.parametrize("parameters", [{"optimizer": "sgd"}, {"optimizer": "sgd", "loss": "poisson"}])
def test_a_fit_that_diverges_goes_on_with_a_tenth_of_the_rate(parameters, words):
    X, y = words
    y = np.random.default_rng(0).poisson(np.exp(y / 2)) if "loss" in parameters else y
    X = X.toarray()[:, :20] * 10
    how = {"solver": "sgd", "learning_rate": 0.5, "max_iter": 5, "random_state": 0, **parameters}
    with pytest.warns(ConvergenceWarning, match=r"diverged in epoch 1 with learning_rate=0.5: it goes on with 0.05"):
        model = FMRegressor(2, **how).fit(X, y)
    assert [row["sweep"] for row in model.history_] == [1, 2, 3, 4, 5]
    assert np.isfinite(model.predict(X)).all()
    assert max(row["train_loss"] for row in model.history_) < 10 * y.var()


def test_a_good_rate_brings_no_warning_even_on_targets_that_are_all_the_same():
    X = np.eye(5)[np.arange(50) % 5]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for loss in ("squared", "absolute", "huber", "poisson"):
            model = FMRegressor(2, solver="sgd", loss=loss, random_state=0).fit(X, np.full(50, 7.0))
            np.testing.assert_allclose(model.predict(X), 7, rtol=0.02)


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        (
            {"solver": "als", "loss": "huber"},
            "loss='huber' is for solver='sgd', got solver='als': set solver='sgd', or",
        ),
        ({"solver": "vb", "optimizer": "adam"}, "optimizer='adam' is for solver='sgd', got solver='vb'"),
        (
            {"optimizer": "ftrl", "interaction": "ffm"},
            "optimizer='ftrl' is for interaction='fm', got interaction='ffm'",
        ),
        ({"l1_linear": 1.0}, "l1_linear is for optimizer='ftrl', got optimizer='adagrad'"),
        ({"l1_factors": [0.0, 1.0], "optimizer": "sgd"}, "l1_factors is for optimizer='ftrl', got optimizer='sgd'"),
        ({"optimizer": "ftrl", "l1_linear": [1.0, 2.0, 3.0]}, "l1_linear must be a number or one for each of"),
        ({"optimizer": "ftrl", "l1_factors": [-1.0]}, "l1_factors must not be negative"),
        ({"loss": "poisson"}, "loss='poisson' is for counts, targets that are not negative: y holds -1"),
        ({"loss": "logistic"}, "'loss' parameter of FMRegressor must be a str among"),
        ({"learning_rate": "find"}, "'learning_rate' parameter of FMRegressor"),
    ],
)
def test_what_does_not_exist_is_refused_with_a_sentence(parameters, sentence):
    with pytest.raises(ValueError, match=sentence):
        FMRegressor(2, **{"solver": "sgd", **parameters}).fit(np.eye(4), [1, 2, 3, -1])


def test_what_asks_a_machine_of_squared_errors_says_so():
    model = FMRegressor(2, solver="sgd", loss="absolute", random_state=0)
    with pytest.raises(InputError, match="set loss='squared', got loss='absolute'"):
        Recommender(model=model).fit({"user": ["a", "b"], "item": ["x", "y"], "rating": [1.0, 2.0]})
    model.fit(np.eye(4), [1, 2, 3, 4])
    with pytest.raises(ValueError, match="is for loss='squared', this model was fitted with loss='absolute'"):
        model.partial_fit(np.eye(4), [1, 2, 3, 4])


def test_means_of_counts_come_back_from_a_file(words, tmp_path):
    X, y = words
    model = FMRegressor(2, solver="sgd", loss="poisson", max_iter=3, random_state=0)
    model.fit(X, np.random.default_rng(0).poisson(np.exp(y / 2)))
    save(model, tmp_path / "model.fm")
    np.testing.assert_array_equal(load(tmp_path / "model.fm").predict(X), model.predict(X))
