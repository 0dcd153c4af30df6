"""ALS beyond the plain sweep: non-negative factors, averages of shaken sweeps, paths and chosen regularisations."""

import signal
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
from numpy.random import RandomState
from scipy.optimize import lsq_linear, nnls
from sklearn.base import clone
from sklearn.preprocessing import OneHotEncoder

from benchmarks.synth_ratings import make
from fmkit import Design, FMClassifier, FMRegressor, RelationBlock, load, regularisation_path, save
from fmkit.datasets import load_movielens_small
from fmkit.fitting import FitInterrupted
from fmkit.solvers.als import Als
from fmkit.solvers.nonnegative import lower_nonnegative
from tests import reference
from tests.problems import problem

KINDS = ["pair", "gaps", "values"]


@pytest.fixture(scope="module")
def movielens():
    X, y = load_movielens_small(return_X_y=True)
    test = np.zeros(len(y), bool)
    test[RandomState(42).permutation(len(y))[: len(y) // 10]] = True
    return Design.from_matrix(OneHotEncoder().fit_transform(X)), np.asarray(y), test


@pytest.fixture(scope="module")
def strong():
    """Ratings with strong interactions, for which the default penalises too much."""
    data = make(2_000, 800, 150_000)
    return Design.from_codes([data["user"], data["item"]], [2_000, 800]), data["rating"], data["test"]


def error_of(model, X, y, test):
    return float(np.sqrt(np.mean((y[test] - model.predict(X.select(test))) ** 2)))


def fitted(model, X, y, test):
    return clone(model).set_params(random_state=0).fit(X.select(~test), y[~test])


def nonnegative_sweeps(p, sweeps, n_threads=1):
    machine = p.start.copy()
    machine.factors = np.abs(machine.factors)
    solver = Als(p.objective, machine, n_threads, nonnegative=True)
    yield machine.copy()
    for _ in islice(solver, sweeps):
        yield machine.copy()


@pytest.mark.parametrize("k", [1, 3, 16, 40])
def test_coordinates_find_the_least_squares_that_are_not_negative(k):
    rng = np.random.default_rng(k)
    Z, y = rng.standard_normal((k + 20, k)), rng.standard_normal(k + 20)
    A, b = (Z.T @ Z).astype(np.float32), Z.T @ y
    v = np.zeros(k, np.float32)
    passes = lower_nonnegative(A, k, v, (-b).astype(np.float32))
    np.testing.assert_allclose(v, nnls(Z, y)[0], atol=2e-4)
    assert passes < 200


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("weighted", [False, True])
def test_a_step_is_bounded_least_squares_of_a_column(kind, weighted):
    """Everything fixed but the last field's last column: scipy solves for its factors and its free weight."""
    p = problem(kind, weighted=weighted, n=80)
    start, after = nonnegative_sweeps(p, 1)
    X, y, omega, penalty_w, penalty_v = p.dense
    column = p.design.fields[-1].columns[-1]
    at = after.copy()  # the others as that step met them: those before it are solved already, the bias is not
    rows = np.flatnonzero(X[:, column])
    x = X[rows, column]
    V, w = at.factors.astype(float), at.linear.astype(float)
    q = X[rows] @ V - np.outer(x, V[column])
    w_rest, V_rest = w.copy(), V.copy()
    w_rest[column], V_rest[column] = 0, 0
    rest = reference.predict(start.bias, w_rest, V_rest, X[rows])
    z = np.column_stack([x[:, None] * q, x])
    root = np.sqrt(omega[rows])[:, None]
    ridge = np.diag(np.sqrt(np.r_[np.full(3, penalty_v[column]), penalty_w[column]]))
    system = np.vstack([root * z, ridge]), np.r_[root[:, 0] * (y[rows] - rest), np.zeros(4)]
    expected = lsq_linear(*system, bounds=([0, 0, 0, -np.inf], np.inf), tol=1e-12).x
    np.testing.assert_allclose(np.r_[V[column], w[column]], expected, atol=1e-3)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("logistic", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_the_objective_never_rises_above_zero_factors_too(kind, logistic, seed):
    p = problem(kind, logistic=logistic, weighted=True, seed=seed)
    values = []
    for m in nonnegative_sweeps(p, 8):
        assert (m.factors >= 0).all()
        values.append(reference.objective(m.bias, m.linear.astype(float), m.factors.astype(float), *p.dense, logistic))
    assert (np.diff(values) <= 1e-6 * np.abs(values[:-1])).all()
    assert values[-1] < values[0]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("logistic", [False, True])
def test_at_the_end_slopes_are_zero_or_push_against_the_bound(kind, logistic):
    p = problem(kind, logistic=logistic, weighted=True)
    *_, m = nonnegative_sweeps(p, 600)
    X, y, omega, penalty_w, penalty_v = p.dense
    w, V = m.linear.astype(float), m.factors.astype(float)
    g, _ = reference.derivatives(y, reference.predict(m.bias, w, V, X), logistic)
    np.testing.assert_allclose(X.T @ (omega * g), penalty_w * w, atol=1e-3)
    downhill = X.T @ ((omega * g)[:, None] * (X @ V)) - (X**2).T @ (omega * g)[:, None] * V - penalty_v[:, None] * V
    assert (downhill <= 1e-3).all()
    np.testing.assert_allclose(downhill[V > 0], 0, atol=1e-3)


def test_factors_that_are_not_negative_still_tell_tastes(movielens):
    model = fitted(FMRegressor(nonnegative=True), *movielens)
    assert (model.machine_.factors >= 0).all()
    assert (model.machine_.factors == 0).mean() > 0.1
    assert error_of(model, *movielens) < error_of(fitted(FMRegressor(0), *movielens), *movielens) - 0.003


def test_non_negative_factors_are_the_same_for_any_number_of_threads(movielens):
    one, two = (fitted(FMRegressor(8, nonnegative=True, max_iter=3, n_jobs=n), *movielens) for n in (1, 2))
    np.testing.assert_array_equal(one.machine_.factors, two.machine_.factors)


def test_averages_of_shaken_sweeps_are_better(movielens):
    """Mean of three seeds, .8545; plain ALS has .8589."""
    X, y, test = movielens
    model = FMRegressor(average=True)
    errors = [
        error_of(clone(model).set_params(random_state=seed).fit(X.select(~test), y[~test]), X, y, test)
        for seed in range(3)
    ]
    assert np.mean(errors) < 0.855


def test_averages_of_strong_interactions_are_better(strong):
    plain, averaged = (fitted(FMRegressor(average=average), *strong) for average in (False, True))
    assert averaged.machine_.factors.shape == plain.machine_.factors.shape
    assert error_of(averaged, *strong) < error_of(plain, *strong) - 0.005


@pytest.mark.parametrize("kind", [*KINDS, "blocks"])
@pytest.mark.parametrize("weighted", [False, True])
def test_what_is_kept_a_row_follows_the_noise(kind, weighted):
    p = problem("gaps" if kind == "blocks" else kind, weighted=weighted, n=200)
    if kind == "blocks":
        p.objective = block_objective(p)
    machine = p.start.copy()
    solver = Als(p.objective, machine, 2)
    solver.average(1.0, 2, 1)
    for progress in islice(solver, 6):
        told = progress.machine
    assert solver.shaking.count == 4
    assert told is solver.shaking.mean
    assert not np.allclose(machine.factors, told.factors)
    if not solver.sides.pair:
        np.testing.assert_allclose(solver.sides.f, machine.predict(p.design), atol=1e-4)
        np.testing.assert_allclose(solver.sides.Q, p.design.to_csr() @ machine.factors, atol=1e-4)


def block_objective(p):
    """The problem's targets with a relation block beside two fields."""
    n = p.design.n_rows
    rng = np.random.default_rng(1)
    table = (rng.random((5, 4)) < 0.5).astype(np.float32)
    others = Design.from_codes([rng.integers(-1, m, n) for m in (3, 2)])
    return replace(p.objective, design=Design.from_blocks([RelationBlock(table, rng.integers(0, 5, n))], others))


def test_an_average_is_the_same_for_any_number_of_threads_and_with_early_stopping_the_best(movielens):
    one, two = (fitted(FMRegressor(8, average=True, max_iter=6, n_jobs=n), *movielens) for n in (1, 2))
    np.testing.assert_array_equal(one.machine_.factors, two.machine_.factors)
    stopped = fitted(FMRegressor(8, average=True, early_stopping=True, patience=2, max_iter=40), *movielens)
    assert 20 < stopped.n_iter_ <= 40


@pytest.mark.usefixtures("ctrl_c_works")
@pytest.mark.parametrize(("sweep", "kept"), [(3, "the machine so far is"), (9, "the average of the last 4 sweeps is")])
def test_ctrl_c_keeps_the_average(sweep, kept):
    def press(progress):
        if progress.sweep == sweep:
            signal.raise_signal(signal.SIGINT)

    p = problem("pair")
    model = FMRegressor(2, average=True, callbacks=[press], max_iter=10, random_state=0)
    with pytest.warns(FitInterrupted, match=kept):
        model.fit(p.design, p.y)
    assert np.isfinite(model.predict(p.design)).all()


@pytest.mark.parametrize("kind", [*KINDS, "blocks"])
def test_shaken_sweeps_go_on_from_a_state(kind):
    p = problem("gaps" if kind == "blocks" else kind, weighted=True, n=200)
    if kind == "blocks":
        p.objective = block_objective(p)
    solvers = []
    for _ in range(2):
        solver = Als(p.objective, p.start.copy(), 1)
        solver.average(1.0, 2, 1)
        solvers.append(solver)
    whole, part = solvers
    for _ in islice(whole, 4):
        pass
    state = whole.state()
    part.resume(type(state)(state.facts, {name: array.copy() for name, array in state.arrays.items()}))
    for solver in solvers:
        for _ in islice(solver, 3):
            pass
    np.testing.assert_array_equal(whole.machine.factors, part.machine.factors)
    assert whole.machine.bias == part.machine.bias


def test_an_average_of_likes_is_no_worse(movielens):
    X, y, test = movielens
    losses = []
    for average in (False, True):
        model = fitted(FMClassifier(average=average), X, y >= 4, test)
        p = model.predict_proba(X.select(test))[:, 1]
        losses.append(-np.mean(np.log(np.where(y[test] >= 4, p, 1 - p))))
    assert losses[1] < losses[0]


def test_a_path_goes_from_the_strongest_on_and_costs_less_than_fits(movielens):
    X, y, test = movielens
    path = regularisation_path(FMRegressor(random_state=0), X, y, [0.45, 1.8, 0.9])
    assert [row["reg_factors"] for row in path] == [1.8, 0.9, 0.45]
    losses = np.array([[row["train_loss"], row["validation_loss"]] for row in path])
    assert (np.diff(losses[:, 0]) < 0).all()
    assert losses[:, 1].argmin() == 1
    given = regularisation_path(
        FMRegressor(random_state=0), X.select(~test), y[~test], [1.8, 0.9], (X.select(test), y[test])
    )
    machine = given[-1]["machine"]
    assert given[-1]["validation_loss"] == pytest.approx(np.mean((y[test] - machine.predict(X.select(test))) ** 2))
    assert given[-1]["validation_loss"] ** 0.5 == pytest.approx(0.859, abs=0.002)  # that of a fit by itself


def test_dimensions_that_a_strong_penalty_held_at_zero_come_back():
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 20, (2, 3000))
    factors = rng.standard_normal((2, 20, 2))
    y = np.einsum("nf,nf->n", factors[0][codes[0]], factors[1][codes[1]]) + 0.1 * rng.standard_normal(3000)
    first, last = regularisation_path(FMRegressor(4, random_state=0), Design.from_codes(list(codes)), y, [50, 0.1])
    assert np.abs(first["machine"].factors).max() < 1e-3
    assert last["validation_loss"] < 0.1 * first["validation_loss"]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_chosen_regularisation_is_within_a_thousandth_of_the_best_by_hindsight(movielens, seed):
    X, y, test = movielens
    model = FMRegressor(reg_factors="auto", random_state=seed).fit(X.select(~test), y[~test])
    again = FMRegressor(reg_factors="auto", random_state=seed).fit(X.select(~test), y[~test])
    assert model.reg_factors_ == again.reg_factors_
    assert model.get_params()["reg_factors"] == "auto"
    grid = [FMRegressor(reg_factors=r, random_state=seed).fit(X.select(~test), y[~test]) for r in (0.7, 0.9, 1.1)]
    assert error_of(model, X, y, test) < min(error_of(m, X, y, test) for m in grid) + 0.001


def test_a_chosen_regularisation_pays_where_interactions_are_strong(strong):
    default, chosen = (fitted(FMRegressor(reg_factors=r), *strong) for r in (0.9, "auto"))
    assert chosen.reg_factors_ < 0.8
    assert error_of(chosen, *strong) < error_of(default, *strong) - 0.004


def test_choosing_sees_nothing_but_its_rows():
    p = problem("pair", n=300)
    one = FMRegressor(3, reg_factors="auto", random_state=0).fit(p.design, p.y, sample_weight=np.r_[0, np.ones(299)])
    other = FMRegressor(3, reg_factors="auto", random_state=0).fit(
        p.design, np.r_[np.float32(1e6), p.y[1:]], sample_weight=np.r_[0, np.ones(299)]
    )
    assert one.reg_factors_ == other.reg_factors_


def test_classes_choose_each_for_itself():
    codes = np.random.default_rng(0).integers(0, 3, (2, 300))
    X, y = Design.from_codes(list(codes)), codes.sum(axis=0) % 3
    model = FMClassifier(2, reg_factors="auto", random_state=0).fit(X, y)
    assert len(model.reg_factors_) == 3
    assert model.score(X, y) > 0.9


@pytest.mark.parametrize("how", [{"nonnegative": True}, {"average": True}, {"reg_factors": "auto"}])
def test_model_files_keep_what_is_new(tmp_path, how):
    p = problem("gaps", n=200)
    model = FMRegressor(3, random_state=0, **how).fit(p.design, p.y)
    save(model, tmp_path / "model")
    loaded = load(tmp_path / "model")
    assert loaded.get_params() == model.get_params()
    assert loaded.reg_factors_ == model.reg_factors_
    np.testing.assert_array_equal(loaded.predict(p.design), model.predict(p.design))


def blocks(times=None, n=400):
    """Users and items with tags in relation blocks, and targets; rows repeated `times`."""
    rng = np.random.default_rng(0)
    user, item = rng.integers(0, 20, n), rng.integers(0, 15, n)
    tables = [np.hstack([np.eye(m), rng.random((m, 4)) < 0.4]) for m in (20, 15)]
    rows = np.repeat(np.arange(n), 1 if times is None else times)
    known = [RelationBlock(table, codes[rows]) for table, codes in zip(tables, (user, item), strict=True)]
    return Design.from_blocks(known), rng.standard_normal(n)[rows]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("how", [{"nonnegative": True}, {"average": True}])
def test_a_weight_of_two_counts_as_two_rows(kind, how):
    p = problem(kind, n=120)
    X, times = p.design.to_csr(), np.arange(120) % 3
    rows = np.repeat(np.arange(120), times)
    weighted = FMRegressor(3, random_state=0, **how).fit(X, p.y, sample_weight=times)
    repeated = FMRegressor(3, random_state=0, **how).fit(X[rows], p.y[rows])
    np.testing.assert_allclose(weighted.predict(X), repeated.predict(X), rtol=1e-3, atol=1e-4)


def test_weights_of_rows_with_blocks_count_rows():
    times = np.arange(400) % 3
    design, y = blocks()
    weighted = FMRegressor(3, random_state=0).fit(design, y, sample_weight=times)
    repeated = FMRegressor(3, random_state=0).fit(*blocks(times))
    np.testing.assert_allclose(weighted.predict(design), repeated.predict(design), rtol=1e-3, atol=1e-4)


def test_a_group_of_a_block_has_a_regularisation_of_its_own():
    design, y = blocks()
    n_groups = len(np.unique(FMRegressor(3, random_state=0).fit(design, y).evidence_.groups))
    strong = [1e6] + [0.5] * (n_groups - 1)
    model = FMRegressor(3, reg_factors=strong, reg_linear=strong, random_state=0).fit(design, y)
    assert np.abs(model.machine_.factors[:20]).max() < 1e-3
    assert np.abs(model.machine_.factors[20:]).max() > 1e-2
    with pytest.raises(ValueError, match=f"one for each of {n_groups} fields"):
        FMRegressor(reg_factors=[1.0]).fit(design, y)


@pytest.mark.parametrize("average", [False, True])
def test_a_warm_start_with_blocks_goes_on(average):
    design, y = blocks()
    model = FMRegressor(3, max_iter=20, average=average, warm_start=True, random_state=0).fit(design, y)
    first = model.history_[-1]["train_loss"]
    model.set_params(max_iter=1, average=False).fit(design, y)
    assert model.history_[-1]["train_loss"] < 1.05 * first


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"average": True, "solver": "sgd"}, "average=True is for solver='als', got solver='sgd'"),
        ({"nonnegative": True, "solver": "vb"}, "nonnegative=True is for solver='als', got solver='vb'"),
        ({"reg_factors": "auto", "solver": "mcmc"}, "reg_factors='auto' is for solver='als', got solver='mcmc'"),
        ({"reg_factors": "best"}, "'reg_factors' parameter of FMRegressor must be"),
        ({"nonnegative": True}, "nonnegative=True is for designs without relation blocks"),
    ],
)
def test_what_does_not_go_together_is_told(parameters, message):
    design, y = blocks()
    with pytest.raises(ValueError, match=message):
        FMRegressor(**parameters).fit(design, y)


@pytest.mark.parametrize(
    ("estimator", "how", "error", "message"),
    [
        (FMClassifier(), {}, TypeError, "a path takes an FMRegressor, got FMClassifier"),
        (FMRegressor(solver="vb"), {}, ValueError, "a path is fitted by solver='als', got solver='vb'"),
        (FMRegressor(), {"reg_factors": []}, ValueError, "at least one value"),
        (FMRegressor(), {"validation": 1.5}, ValueError, "a share between 0 and 1"),
        (FMRegressor(), {"validation": ([[1, 0]], [1, 2])}, ValueError, "a target for each of 1 rows"),
    ],
)
def test_a_path_that_cannot_be_gone_is_told(estimator, how, error, message):
    with pytest.raises(error, match=message):
        regularisation_path(estimator, np.eye(2), [1.0, 2.0], **how)
