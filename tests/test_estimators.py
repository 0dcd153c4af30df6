import signal

import numpy as np
import pandas as pd
import pytest
from numpy.random import RandomState
from scipy import sparse
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_diabetes
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from fmkit import Design, FMClassifier, FMRegressor
from fmkit.datasets import load_movielens_small
from fmkit.fitting import FitInterrupted
from tests.problems import problem


@pytest.fixture(scope="module")
def movielens():
    """One-hot users and items, ratings, and whether a row is in the customary test part."""
    X, y = load_movielens_small(return_X_y=True)
    test = np.zeros(len(y), bool)
    test[RandomState(42).permutation(len(y))[: len(y) // 10]] = True
    return OneHotEncoder().fit_transform(X), np.asarray(y), test


def rmse(y, prediction):
    return float(np.sqrt(np.mean((y - prediction) ** 2)))


@pytest.mark.parametrize(("solver", "bar"), [("als", 0.862), ("sgd", 0.865)])
def test_ratings_with_defaults(movielens, solver, bar):
    X, y, test = movielens
    model = FMRegressor(solver=solver, random_state=0).fit(X[~test], y[~test])
    assert rmse(y[test], model.predict(X[test])) < bar


def test_a_useless_column_costs_little(movielens):
    X, y, test = movielens
    useless = RandomState(0).standard_normal((len(y), 1))
    for column in (useless, np.ones_like(useless)):
        wider = sparse.hstack([X, column]).tocsr()
        model = FMRegressor(random_state=0).fit(wider[~test], y[~test])
        assert rmse(y[test], model.predict(wider[test])) < 0.866


def test_likes_are_told_better_than_by_logistic_regression(movielens):
    X, y, test = movielens
    liked = y >= 4
    auc = {}
    for model in (FMClassifier(random_state=0), FMClassifier(solver="sgd", random_state=0), LogisticRegression()):
        model.fit(X[~test], liked[~test])
        auc[str(model)] = roc_auc_score(liked[test], model.decision_function(X[test]))
    *machines, baseline = auc.values()
    assert min(machines) > baseline + 0.005


@pytest.mark.parametrize("solver", ["als", "sgd"])
@pytest.mark.parametrize(("shift", "scale"), [(1000.0, 1.0), (0.0, 1e-7), (-5.0, 300.0)])
def test_units_of_the_target_do_not_matter(solver, shift, scale):
    p = problem("values", n=200)
    X = p.design.to_csr()
    model = FMRegressor(4, solver=solver, random_state=0)
    plain = clone(model).fit(X, p.y).predict(X)
    scaled = clone(model).fit(X, shift + scale * p.y.astype(float)).predict(X)
    np.testing.assert_allclose((scaled - shift) / scale, plain, atol=1e-2)


@pytest.mark.parametrize("solver", ["als", "sgd"])
def test_units_of_the_columns_do_not_matter(solver):
    p = problem("values", n=200)
    X, units = p.design.to_csr().toarray(), np.array([1, 1000, 0.001, 1, 30, 1])
    model = FMRegressor(4, solver=solver, random_state=0)
    plain, scaled = clone(model).fit(X, p.y).predict(X), clone(model).fit(X * units, p.y).predict(X * units)
    np.testing.assert_allclose(scaled, plain, atol=2e-3)


def test_columns_far_from_zero_are_no_disaster():
    X, y = load_diabetes(return_X_y=True, scaled=False)  # blood values around 100, ages, sexes coded 1 and 2
    assert FMRegressor(random_state=0).fit(X[:300], y[:300]).score(X[300:], y[300:]) > 0.3


@pytest.mark.parametrize("kind", ["pair", "gaps", "values"])
@pytest.mark.parametrize("estimator", [FMRegressor(4), FMClassifier(4)])
def test_a_weight_of_two_counts_as_two_rows_and_of_zero_as_none(kind, estimator):
    p = problem(kind, logistic=estimator.__class__ is FMClassifier, n=120)
    X, times = p.design.to_csr(), np.arange(120) % 3
    weighted = clone(estimator).set_params(random_state=0).fit(X, p.y, sample_weight=times)
    rows = np.repeat(np.arange(120), times)
    repeated = clone(estimator).set_params(random_state=0).fit(X[rows], p.y[rows])
    score = "decision_function" if estimator.__class__ is FMClassifier else "predict"
    np.testing.assert_allclose(getattr(weighted, score)(X), getattr(repeated, score)(X), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("labels", [[-1, 1], ["no", "yes"], [False, True], [0, 1], [2.0, 5.0]])
def test_labels_of_two_classes(labels):
    X = np.array([[1, 0], [0, 1]] * 20)
    y = np.array(labels * 20)
    model = FMClassifier(2, random_state=0).fit(X, y)
    assert model.predict(X).tolist() == y.tolist()
    np.testing.assert_array_equal(model.classes_, np.unique(y))
    np.testing.assert_allclose(model.predict_proba(X).sum(axis=1), 1, rtol=1e-6)
    assert model.score(X, y) == 1


def test_several_classes():
    codes = np.arange(90) % 3
    X = np.eye(3)[codes]
    model = FMClassifier(2, random_state=0).fit(X, np.array(["a", "b", "c"])[codes])
    assert model.predict(np.eye(3)).tolist() == ["a", "b", "c"]
    assert model.decision_function(X).shape == (90, 3)
    np.testing.assert_allclose(model.predict_proba(X).sum(axis=1), 1, rtol=1e-6)


def test_a_pipeline_of_named_columns_under_a_grid_search():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"user": rng.integers(0, 9, 200).astype(str), "item": rng.integers(0, 7, 200), "age": 3.0})
    y = (frame["user"] == "3") + (frame["item"] == 2) + 0.1 * rng.standard_normal(200)
    encode = ColumnTransformer([("ids", OneHotEncoder(handle_unknown="ignore"), ["user", "item"])], remainder="drop")
    pipeline = make_pipeline(encode, FMRegressor(max_iter=5, random_state=0))
    assert cross_val_score(pipeline, frame, y, cv=3).mean() > 0.5
    search = GridSearchCV(pipeline, {"fmregressor__n_factors": [0, 2]}, cv=3).fit(frame, y)
    assert set(search.best_params_) == {"fmregressor__n_factors"}
    assert search.score(frame, y) > 0.5


def test_names_of_columns_are_kept_and_asked_for():
    frame = pd.DataFrame({"a": [1.0, 0, 1, 0], "b": [0.0, 1, 1, 0]})
    model = FMRegressor(1, random_state=0).fit(frame, [1, 2, 3, 0])
    assert model.feature_names_in_.tolist() == ["a", "b"]
    with pytest.raises(ValueError, match="feature names"):
        model.predict(frame[["b", "a"]])


def test_a_design_and_its_matrix_give_the_same_model():
    p = problem("gaps", n=100)
    one = FMRegressor(3, random_state=0).fit(p.design, p.y)
    other = FMRegressor(3, random_state=0).fit(p.design.to_csr(), p.y)
    np.testing.assert_allclose(one.predict(p.design), other.predict(p.design.to_csr()), atol=1e-4)


def test_early_stopping_keeps_the_best_machine():
    p = problem("values", n=300)
    model = FMRegressor(8, early_stopping=True, patience=4, reg_factors=0.01, max_iter=200, random_state=0)
    model.fit(p.design, p.y)
    losses = [row["validation_loss"] for row in model.history_]
    assert 4 < len(losses) == model.n_iter_ < 200
    rng = np.random.default_rng(RandomState(0).randint(2**31))
    aside = np.zeros(300, bool)
    aside[rng.permutation(300)[:30]] = True
    prediction = model.predict(p.design.select(aside))
    assert np.mean((p.y[aside] - prediction) ** 2) == pytest.approx(min(losses), rel=1e-3)


@pytest.mark.parametrize("estimator", [FMRegressor(4, max_iter=2), FMClassifier(4, max_iter=2)])
def test_a_warm_start_goes_on(estimator):
    p = problem("gaps", logistic=True, n=200)
    cold = clone(estimator).set_params(random_state=0, max_iter=4).fit(p.design, p.y)
    warm = clone(estimator).set_params(random_state=0, warm_start=True).fit(p.design, p.y).fit(p.design, p.y)
    loss = [m.history_[-1]["train_loss"] for m in (cold, warm)]
    assert loss[0] == pytest.approx(loss[1], rel=1e-3)


def test_callbacks_see_every_sweep_and_may_end_the_fit():
    seen = []
    p = problem("pair")
    model = FMRegressor(callbacks=[lambda progress: seen.append(progress.sweep) or progress.sweep == 3])
    assert model.fit(p.design, p.y).n_iter_ == 3
    assert seen == [1, 2, 3]


def test_who_ends_the_fit_of_one_class_does_not_wait_for_the_others():
    X, y = np.eye(3)[np.arange(30) % 3], np.arange(30) % 3
    seen = []
    model = FMClassifier(1, callbacks=[lambda progress: seen.append(progress.sweep) or progress.sweep == 2])
    assert model.fit(X, y).predict(X).tolist() == y.tolist()
    assert seen == [1, 2, 1, 1]


def test_a_column_that_no_row_has_adds_nothing():
    X = sparse.csr_matrix(([1.0, 1.0], [0, 1], [0, 1, 2]), shape=(2, 5))
    model = FMRegressor(3, random_state=0).fit(X, [1, 2])
    unseen = np.eye(5)[4:]
    assert model.predict(unseen)[0] == pytest.approx(model.machine_.bias)


@pytest.mark.parametrize("solver", ["als", "sgd"])
@pytest.mark.parametrize("shape", [(1, 1), (5, 1), (1, 5)])
def test_odd_shapes_and_a_constant_target(solver, shape):
    model = FMRegressor(2, solver=solver, random_state=0).fit(np.ones(shape), np.full(shape[0], 7.0))
    np.testing.assert_allclose(model.predict(np.ones(shape)), 7, rtol=1e-4)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"n_factors": -1}, "'n_factors' parameter of FMRegressor must be an int in the range"),
        ({"solver": "adam"}, "'solver' parameter of FMRegressor must be a str among"),
        ({"reg_linear": -1.0}, "'reg_linear' parameter of FMRegressor must be a float in the range"),
        ({"reg_factors": [1.0, -2.0]}, "reg_factors must not be negative"),
        ({"reg_factors": [1.0]}, "reg_factors must be a number or one for each of 2 fields"),
        ({"fields": [0]}, "fields must hold a label for each of 2 columns"),
        ({"n_jobs": 0}, "n_jobs must be a positive number of threads or -1"),
    ],
)
def test_bad_parameters_are_told(parameters, message):
    with pytest.raises(ValueError, match=message):
        FMRegressor(**parameters).fit([[1, 0], [0, 1], [1, 1]], [1, 2, 3])


@pytest.mark.parametrize(
    ("fit", "message"),
    [
        (lambda: FMClassifier().fit([[1], [2]], ["a", "a"]), "at least two classes, y holds one class only: .*a"),
        (lambda: FMRegressor().fit([[1], [2]], [1, 2], sample_weight=[0, 0]), "at least one non-zero"),
        (lambda: FMRegressor().fit([[1], [2]], [1, 2], sample_weight=[1, -1]), "[Nn]egative"),
        (lambda: FMRegressor().fit([[1], [2]], [1, 2], sample_weight=[1, 1e39]), "largest sample_weight must lie"),
        (lambda: FMRegressor().fit(Design.from_codes([[0, 1]]), [1]), "a target for each of 2 rows, .* got 1"),
        (lambda: FMRegressor(fields=[0, 0]).fit(Design.from_codes([[0, 1]]), [1, 2]), "has its fields already"),
        (lambda: FMRegressor(early_stopping=True).fit([[1]], [1]), "early stopping needs at least two rows"),
    ],
)
def test_bad_input_is_told(fit, message):
    with pytest.raises(ValueError, match=message):
        fit()


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_fit_that_diverges_says_so():
    with pytest.raises(ValueError, match=r"diverged with learning_rate=1e\+25, and with 1e\+24.*: lower"):
        FMRegressor(solver="sgd", learning_rate=1e25, max_iter=50, random_state=0).fit(np.eye(4), [1, 2, 3, 4])


@pytest.mark.usefixtures("ctrl_c_works")
@pytest.mark.parametrize("solver", ["als", "sgd"])
def test_ctrl_c_keeps_what_there_is(solver):
    def press(progress):
        if progress.sweep == 3:
            signal.raise_signal(signal.SIGINT)

    p = problem("pair")
    model = FMRegressor(2, solver=solver, callbacks=[press], max_iter=1000, random_state=0)
    with pytest.warns(FitInterrupted, match="the machine of sweep 3 is kept"):
        model.fit(p.design, p.y)
    np.testing.assert_array_equal(
        model.predict(p.design),
        clone(model).set_params(max_iter=3, callbacks=None).fit(p.design, p.y).predict(p.design),
    )
