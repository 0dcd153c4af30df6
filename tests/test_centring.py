"""Columns far from zero are fitted as deviations and told as they were."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fmkit import Design, FactorizationMachine, FMRegressor
from fmkit.solvers.centring import centred, shifted
from tests import reference


@given(st.integers(0, 1000), st.integers(0, 4))
def test_a_shifted_machine_is_the_machine_at_shifted_rows(seed, k):
    rng = np.random.default_rng(seed)
    X, means = rng.standard_normal((5, 4)), np.array([3.0, 0.0, -2.0, 0.5])
    w, V = rng.standard_normal(4).astype(np.float32), rng.standard_normal((4, k)).astype(np.float32)
    machine = FactorizationMachine(0.5, w, V)
    moved = shifted(machine, means)
    expected = reference.predict(0.5, w.astype(float), V.astype(float), X - means)
    np.testing.assert_allclose(moved.predict(X), expected, atol=1e-4)
    np.testing.assert_allclose(shifted(moved, -means).predict(X), machine.predict(X), atol=1e-3)


def test_full_columns_are_centred_and_others_left():
    X = np.array([[2000, 1, 5, 0], [2010, 0, 5, 7], [2020, 1, 5, 0]], np.float32)
    design, means = centred(Design.from_matrix(X), np.float32([1, 1, 2]))
    np.testing.assert_allclose(means, [2012.5, 0, 5, 0])
    np.testing.assert_allclose(design.to_csr().toarray(), X - np.float32([2012.5, 0, 5, 0]))


def test_years_and_ages_are_fitted_as_by_least_squares():
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.uniform(1990, 2020, 2000), rng.uniform(20, 60, 2000)])
    y = 0.1 * X[:, 0] - 0.05 * X[:, 1] + 0.01 * (X[:, 0] - 2005) * (X[:, 1] - 40) + 0.3 * rng.standard_normal(2000)
    for solver in ("als", "sgd"):
        model = FMRegressor(4, solver=solver, random_state=0).fit(X[:1000], y[:1000])
        assert model.score(X[1000:], y[1000:]) > 0.9


def test_callbacks_see_machines_in_the_units_of_X_and_y():
    X, y = np.random.default_rng(0).uniform(100, 110, (50, 3)), np.linspace(1000, 2000, 50)
    seen = []
    model = FMRegressor(2, max_iter=3, random_state=0, callbacks=[lambda p: seen.append(p.machine)]).fit(X, y)
    np.testing.assert_array_equal(seen[-1].predict(X), model.predict(X))
