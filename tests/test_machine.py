import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from fmkit.design import Design
from fmkit.machine import BLOCK, FactorizationMachine
from tests import reference


def random_machine(n_features, k, seed=0):
    rng = np.random.default_rng(seed)
    w, V = rng.standard_normal(n_features), rng.standard_normal((n_features, k))
    return FactorizationMachine(0.5, w.astype(np.float32), V.astype(np.float32))


@given(st.integers(0, 6), st.integers(1, 7), st.integers(0, 9), st.integers(0, 100))
def test_predictions_are_the_equations(n_rows, n_features, k, seed):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n_rows, n_features)) * (rng.random((n_rows, n_features)) < 0.7)
    machine = random_machine(n_features, k, seed)
    expected = reference.predict(0.5, machine.linear.astype(float), machine.factors.astype(float), X)
    for same in (X, sparse.csc_matrix(X), Design.from_matrix(X)):
        np.testing.assert_allclose(machine.predict(same), expected, rtol=1e-4, atol=1e-4)


def test_blocks_and_threads_change_nothing():
    rng = np.random.default_rng(0)
    n = 2 * BLOCK + 17
    design = Design.from_codes([rng.integers(0, 50, n), rng.integers(-1, 30, n)])
    machine = random_machine(design.n_features, 5)
    whole = machine.predict(design, n_jobs=1)
    np.testing.assert_array_equal(machine.predict(design, n_jobs=3), whole)
    np.testing.assert_array_equal(machine.predict(design.to_csr()[BLOCK - 1 : BLOCK + 2]), whole[BLOCK - 1 : BLOCK + 2])


def test_a_copy_has_its_own_memory():
    machine = random_machine(3, 2)
    copy = machine.copy()
    copy.factors[:] = 0
    assert machine.factors.any()


def test_a_design_of_another_width_is_refused():
    with pytest.raises(ValueError, match="machine has 3 features, the design has 2 columns"):
        random_machine(3, 1).predict([[1, 2]])
