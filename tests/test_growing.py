import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.base import clone

from fmkit import Design, FMRegressor, load, save
from fmkit.datasets import load_movielens_small
from fmkit.design import RelationBlock
from fmkit.estimators.growing import grown_columns
from tests import reference

SOLVERS = ["als", "sgd", "vb", "mcmc"]


def rmse(y, prediction):
    return float(np.sqrt(np.mean((y - prediction) ** 2)))


@pytest.fixture(scope="module")
def movielens():
    """Codes of users and items, ratings, test rows, and the batch of each row: 0 for 80 % of the users, then 1 to 4.

    Users and items are numbered as they come.
    """
    X, y = load_movielens_small(return_X_y=True)
    users, items = (np.unique(column, return_inverse=True)[1] for column in np.asarray(X).T)
    rng = np.random.default_rng(0)
    n_users = users.max() + 1
    users = np.argsort(rng.permutation(n_users))[users]
    n_old = round(0.8 * n_users)
    batch = np.where(users < n_old, 0, 1 + (users - n_old) * 4 // (n_users - n_old))
    test = rng.random(len(y)) < 0.1
    order = np.argsort(batch, kind="stable")
    order = order[~test[order]]
    _, first = np.unique(items[order], return_index=True)
    number = np.full(items.max() + 1, -1)
    number[items[order][np.sort(first)]] = np.arange(len(first))
    items = number[items]
    known = items >= 0
    return users[known], items[known], np.asarray(y, float)[known], test[known], batch[known]


@pytest.mark.parametrize(("solver", "sweeps"), [("als", None), ("vb", None), ("mcmc", 120)])
def test_later_users_and_items_are_told_as_by_a_fit_of_all(movielens, solver, sweeps):
    users, items, y, test, batch = movielens

    def design(rows, levels):
        return Design.from_codes([users[rows], items[rows]], levels)

    def levels_of(rows):
        return [int(users[rows].max()) + 1, int(items[rows].max()) + 1]

    model = FMRegressor(8, solver=solver, max_iter=sweeps, random_state=0)
    rows = ~test & (batch == 0)
    levels = levels_of(rows)
    model.fit(design(rows, levels), y[rows])
    old = test & (batch == 0) & (items < levels[1])
    before = rmse(y[old], model.predict(design(old, levels)))
    for number in range(1, 5):
        rows, earlier = ~test & (batch == number), levels
        levels = np.maximum(levels, levels_of(rows)).tolist()
        model.partial_fit(design(rows, levels), y[rows], columns=grown_columns(earlier, levels))
    assert model.n_features_in_ == model.machine_.n_features == sum(levels)
    full = clone(model).fit(design(~test, levels), y[~test])
    new = test & (batch > 0)
    assert rmse(y[old], model.predict(design(old, levels))) < before + 0.005
    told, told_by_all = (rmse(y[new], m.predict(design(new, levels))) for m in (model, full))
    assert told < told_by_all + 0.02
    if solver != "als":
        low, high = model.predict_interval(design(new, levels), 0.9)
        assert 0.86 < np.mean((low < y[new]) & (y[new] < high)) < 0.94


@pytest.mark.parametrize(("solver", "sweeps"), [("als", None), ("vb", None), ("mcmc", 120)])
def test_users_folded_in_are_told_better_than_by_items_alone(movielens, solver, sweeps):
    users, items, y, test, batch = movielens
    n_items, n_old = int(items.max()) + 1, int(users[batch == 0].max()) + 1
    levels = [n_old, n_items]
    rows = ~test & (batch == 0)
    model = FMRegressor(8, solver=solver, max_iter=sweeps, random_state=0)
    model.fit(Design.from_codes([users[rows], items[rows]], levels), y[rows])

    def of_new(rows):
        return Design.from_codes([np.full(np.count_nonzero(rows), -1), items[rows]], levels), users[rows] - n_old

    rows, new = ~test & (batch > 0), test & (batch > 0)
    known, codes = of_new(rows)
    grown = model.with_columns(model.fold_in(known, y[rows], codes, like=0))
    known, codes = of_new(new)
    of_users = sparse.csr_array(
        (np.ones(len(codes)), (np.arange(len(codes)), codes)), (len(codes), users.max() + 1 - n_old)
    )
    prediction = grown.predict(sparse.hstack([known.to_csr(), of_users]))
    assert rmse(y[new], prediction) < rmse(y[new], model.predict(known)) - 0.09
    assert rmse(y[new], prediction) < 0.86


def small(solver, k=3, numeric=False, n=400, **parameters):
    """A model of users, items and perhaps a number far from zero, its design and targets."""
    rng = np.random.default_rng(0)
    codes = [rng.integers(0, 9, n), rng.integers(0, 7, n)]
    w, V = rng.standard_normal(16), rng.standard_normal((16, 2))
    y = 3 + w[codes[0]] + w[9 + codes[1]] + (V[codes[0]] * V[9 + codes[1]]).sum(axis=1) + 0.3 * rng.standard_normal(n)
    X = Design.from_codes(codes).to_csr()
    if numeric:
        X = sparse.csr_array(sparse.hstack([X, 50 + 3 * rng.standard_normal((n, 1))], dtype=np.float32))
    model = FMRegressor(k, solver=solver, max_iter=30, reg_factors=0.2, random_state=0, **parameters)
    return model.fit(X, y), X, y


@pytest.mark.parametrize("numeric", [False, True])
@pytest.mark.parametrize("solver", SOLVERS)
def test_folded_columns_solve_their_system(solver, numeric):
    model, X, y = small(solver, numeric=numeric)
    rows, codes = X[:30].toarray().astype(float), np.arange(30) % 4
    rows[:, :9] = 0
    weights = 0.5 + np.arange(30) % 3
    new = model.fold_in(rows, y[:30], codes, like=2, sample_weight=weights)
    np.testing.assert_array_equal(new.counts, np.bincount(codes, weights))
    machine, k = model.machine_, model.machine_.n_factors
    f = reference.predict(machine.bias, machine.linear.astype(float), machine.factors.astype(float), rows)
    means = (model.evidence_ if model.posterior_ is None else model.posterior_).means
    centred = rows - means
    Q = centred @ machine.factors
    if model.posterior_ is None:
        precision = np.append(np.full(k, model.penalties_.factors[2]), model.penalties_.linear[2])
        centre, omega, level = np.zeros(k + 1), weights, np.ones(4)
    else:
        posterior = model.posterior_
        own = posterior.factor_variance.shape[1]
        group, unit = posterior.priors.groups[2], posterior.priors.units[2]
        of_group = posterior.priors.groups == group
        further = 1 / np.square(machine.factors[of_group, own:]).mean(axis=0, dtype=float)
        precision = posterior.priors.precision[group].astype(float) * unit**2
        precision = np.concatenate([precision[:own], further, precision[own:]])
        centre = np.concatenate(
            [posterior.priors.centre[group, :own], np.zeros(k - own), posterior.priors.centre[group, own:]]
        )
        omega, level = weights / posterior.noise_variance(rows), new.noise_levels
    for j in range(4):
        mine = codes == j
        z = np.column_stack([Q[mine], np.ones(mine.sum())])
        omega_j = level[j] * omega[mine]
        A = (z * omega_j[:, None]).T @ z + np.diag(precision)
        h = z.T @ (omega_j * (y[:30] - f)[mine]) + precision * centre
        theta = np.linalg.solve(A, h)
        np.testing.assert_allclose(new.factors[j], theta[:-1], rtol=1e-3, atol=2e-4)
        total = means @ machine.factors
        assert new.linear[j] == pytest.approx(theta[-1] - theta[:-1] @ total, abs=2e-3)


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_user_folded_in_with_an_old_ones_rows_is_about_that_user(solver):
    model, X, y = small(solver, n=900)
    mine = X[:, [4]].toarray()[:, 0] == 1
    rows = X[mine].toarray()
    rows[:, 4] = 0
    new = model.fold_in(rows, y[mine], np.zeros(mine.sum(), int), like=0)
    grown = model.with_columns(new)
    wider = np.column_stack([rows, np.ones(len(rows))])
    tolerance = 1e-2 if solver == "als" else 0.15
    np.testing.assert_allclose(grown.predict(wider), model.predict(X[mine]), atol=tolerance)
    if model.posterior_ is not None:
        _, std = grown.predict(wider, return_std=True)
        assert std.mean() == pytest.approx(model.predict(X[mine], return_std=True)[1].mean(), rel=0.2)


@pytest.mark.parametrize("solver", SOLVERS)
def test_grown_models_are_kept_in_files(solver, tmp_path):
    model, X, y = small(solver, numeric=True, **({"keep_draws": 12} if solver == "mcmc" else {}))
    n = X.shape[1]
    model = model.with_columns(model.fold_in(X[:6], y[:6], [0, 0, 0, 1, 1, 1], like=0))
    wider = sparse.csr_array(sparse.hstack([X[:6], np.repeat(np.eye(2), 3, axis=0), np.zeros((6, 1))]))
    model.partial_fit(wider, y[:6], columns=[*range(n + 2), -1], like=n + 1)
    save(model, tmp_path / "model.fmkit")
    loaded = load(tmp_path / "model.fmkit")
    assert loaded.n_features_in_ == n + 3
    np.testing.assert_array_equal(loaded.predict(wider), model.predict(wider))
    if model.posterior_ is not None:
        np.testing.assert_array_equal(
            loaded.predict(wider, return_std=True)[1], model.predict(wider, return_std=True)[1]
        )
        assert not model.posterior_.draws
    later = [m.partial_fit(wider, y[:6]).predict(wider) for m in (loaded, model)]
    np.testing.assert_array_equal(*later)


@pytest.mark.parametrize("solver", SOLVERS)
def test_only_touched_columns_move(solver):
    model, X, y = small(solver)
    before = model.machine_.copy()
    rows = X[:3]
    model.partial_fit(rows, y[:3] + 1)
    touched = rows.toarray().any(axis=0)
    np.testing.assert_array_equal(model.machine_.linear[~touched], before.linear[~touched])
    assert (model.machine_.linear[touched] != before.linear[touched]).all()
    assert model.machine_.bias == before.bias


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_weight_of_two_counts_as_two_rows(solver):
    model, X, y = small(solver)
    again = clone(model).fit(X, y)
    columns = [*range(15), -1, 15]
    rows = np.insert(X[:40].toarray(), 15, np.arange(40) % 2, axis=1)
    model.partial_fit(rows, y[:40], np.full(40, 2.0), columns=columns)
    again.partial_fit(np.repeat(rows, 2, axis=0), np.repeat(y[:40], 2), columns=columns)
    np.testing.assert_allclose(model.predict(rows), again.predict(rows), atol=1e-4)


@pytest.mark.parametrize("numeric", [False, True])
def test_all_columns_for_all_rows_is_als(numeric):
    model, X, y = small("als", numeric=numeric)
    penalties = model.penalties_
    model.set_params(max_iter=400).fit(X, y)
    other = clone(model).set_params(max_iter=2).fit(X, y).partial_fit(X, y, all_columns=True, max_iter=400)
    np.testing.assert_array_equal(penalties.linear, other.penalties_.linear)
    np.testing.assert_allclose(other.predict(X), model.predict(X), atol=2e-2)
    np.testing.assert_allclose(other.evidence_.counts, model.evidence_.counts, rtol=1e-4)


@pytest.mark.parametrize("solver", ["vb", "mcmc"])
def test_all_columns_for_all_rows_is_about_the_fit(solver):
    model, X, y = small(solver)
    before = model.predict(X, return_std=True)
    model.partial_fit(X, y, all_columns=True, max_iter=20)
    prediction, std = model.predict(X, return_std=True)
    assert np.abs(prediction - before[0]).mean() < 0.05
    least = 0.85 if solver == "vb" else 0.6  # these are VB's steps, which lack what columns have in common
    assert least < np.median(std / before[1]) < 1.05


@pytest.mark.parametrize("solver", SOLVERS)
def test_the_first_call_is_a_fit(solver):
    model, X, y = small(solver)
    np.testing.assert_array_equal(clone(model).partial_fit(X, y).predict(X), model.predict(X))
    with pytest.raises(ValueError, match="not fitted"):
        clone(model).partial_fit(X, y, columns=np.arange(16))


def test_new_columns_go_with_the_old_one_to_their_left():
    rng = np.random.default_rng(0)
    codes, y = [rng.integers(0, 5, 300), rng.integers(0, 4, 300)], rng.standard_normal(300)
    model = FMRegressor(2, solver="vb", random_state=0).fit(Design.from_codes(codes), y)
    later = Design.from_codes([[5, 6, 0], [0, 4, 4]], [7, 5])
    columns = grown_columns([5, 4], [7, 5])
    model.partial_fit(later, [1, 2, 3], columns=columns)
    np.testing.assert_array_equal(model.posterior_.priors.groups, [0] * 7 + [1] * 5)
    other = FMRegressor(2, solver="vb", random_state=0).fit(Design.from_codes(codes), y)
    other.partial_fit(later, [1, 2, 3], columns=columns, like=[1, 2, 7])
    np.testing.assert_array_equal(other.posterior_.priors.groups, model.posterior_.priors.groups)
    np.testing.assert_array_equal(other.predict(later), model.predict(later))


@pytest.mark.parametrize("solver", ["als", "vb", "mcmc"])
def test_rows_of_relation_blocks_are_written_out(solver):
    rng = np.random.default_rng(0)
    users, items = rng.integers(0, 6, 200), rng.integers(0, 5, 200)
    table = np.column_stack([np.eye(6), rng.random((6, 2))])
    X = Design.from_blocks([RelationBlock(table, users)], Design.from_codes([items]))
    y = rng.standard_normal(200) + users
    model = FMRegressor(2, solver=solver, max_iter=20, random_state=0).fit(X, y)
    error = rmse(y[:9] + 2, model.predict(X)[:9])
    few = X.select(np.arange(200) < 9)
    model.partial_fit(few, y[:9] + 2)
    assert rmse(y[:9] + 2, model.predict(few)) < error


def test_names_of_columns_grow_along():
    frame = pd.DataFrame(np.eye(4)[np.arange(40) % 4], columns=["ann", "bob", "tea", "rum"])
    y = np.arange(40) % 4
    model = FMRegressor(1, random_state=0).fit(frame, y)
    new = model.fold_in(frame[:2] * [0, 0, 1, 1], y[:2], [0, 0], like="bob")
    assert new.like == 1
    assert model.with_columns(new, ["cat"]).feature_names_in_.tolist() == ["ann", "bob", "tea", "rum", "cat"]
    with pytest.raises(ValueError, match="names must hold a name for each of 1 new columns"):
        model.with_columns(new)
    with pytest.raises(ValueError, match="'dan' is none"):
        model.fold_in(frame[:2], y[:2], [0, 0], like="dan")
    wider = frame.assign(milk=1.0)[["ann", "milk", "bob", "tea", "rum"]]
    with pytest.raises(ValueError, match="feature names"):
        model.partial_fit(wider, y)
    model.partial_fit(frame, y)
    assert model.feature_names_in_.tolist() == frame.columns.tolist()
    model.partial_fit(wider, y, columns=[0, -1, 1, 2, 3], like="tea")
    assert model.feature_names_in_.tolist() == wider.columns.tolist()
    assert model.predict(wider).shape == (40,)


def test_what_is_wrong_is_told_and_leaves_the_model_as_it_was():
    model, X, y = small("als")
    state = dict(model.__dict__)
    rows = X[:4]
    for call, told in [
        (lambda: model.partial_fit(X[:, :9], y), "9 features"),
        (lambda: model.partial_fit(Design.from_codes([[0]], [9]), [1]), "say with columns=... where its columns were"),
        (lambda: model.partial_fit(rows, y[:4], columns=[0, 1]), "an integer for each of 16 columns"),
        (lambda: model.partial_fit(rows, y[:4], columns=[-1, *range(15)]), "each of the model's columns 0..15 once"),
        (lambda: model.partial_fit(rows, y[:4], max_iter=0), "max_iter must be at least 1"),
        (lambda: model.partial_fit(rows, [1, 2, np.nan, 3]), "NaN"),
        (lambda: model.fold_in(rows, y[:4], [0, 1], like=0), "a value for each of 4 rows"),
        (lambda: model.fold_in(rows, y[:4], [0, 1, -1, 0], like=0), "codes must be integers from 0"),
        (lambda: model.fold_in(rows, y[:4], [0, 1, 0.5, 0], like=0), "codes must be integers from 0"),
        (lambda: model.fold_in(rows, y[:4], [0, 1, 0, 0], like=16), "one of the model's columns 0..15"),
        (lambda: model.fold_in(X[:4, :9], y[:4], [0, 1, 0, 0], like=0), "9 features"),
        (lambda: model.fold_in(Design.from_codes([[0]], [9]), [1], [0], like=0), "leave out the new ones"),
        (lambda: model.with_columns(small("vb")[0].fold_in(rows, y[:4], [0] * 4, like=0)), "of another model"),
        (lambda: model.with_columns(model.fold_in(rows, y[:4], [0] * 4, like=0), ["a"]), "they have no names"),
        (lambda: grown_columns([3], [2]), "it cannot have 2 now"),
        (lambda: grown_columns([3], [3, 4]), "a number for each of 1 variables"),
    ]:
        with pytest.raises(ValueError, match=told):
            call()
    assert model.__dict__.keys() == state.keys()
    assert all(model.__dict__[name] is value for name, value in state.items())
