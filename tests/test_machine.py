import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from fmkit.design import Design, RelationBlock
from fmkit.machine import BLOCK, FactorizationMachine, sum_factors
from tests import reference
from tests.test_blocks import block_designs


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


@given(block_designs(), st.integers(0, 9), st.integers(0, 100))
def test_blocks_are_predicted_and_summed_as_the_rows_written_out(case, k, seed):
    design, dense = case
    machine = random_machine(design.n_features, k, seed)
    w, V = machine.linear.astype(float), machine.factors.astype(float)
    predicted = machine.predict(design, n_jobs=1)
    np.testing.assert_allclose(predicted, reference.predict(0.5, w, V, dense), rtol=1e-4, atol=1e-3)
    np.testing.assert_array_equal(machine.predict(design, n_jobs=2), predicted)
    np.testing.assert_allclose(sum_factors(design, machine.factors, 1), dense @ V, rtol=1e-4, atol=1e-4)
    for block in design.blocks:
        q, c = machine.block_rows(block, 1)
        table = block.table.to_csr().toarray().astype(float)
        np.testing.assert_allclose(q, table @ V[block.columns], rtol=1e-4, atol=1e-4)
        own = reference.predict(0.0, w[block.columns], V[block.columns], table)
        np.testing.assert_allclose(c, own, rtol=1e-4, atol=1e-3)


def test_one_hot_blocks_are_predicted_as_fields_bit_for_bit_by_any_number_of_threads():
    rng = np.random.default_rng(0)
    codes = [rng.integers(0, m, BLOCK + 17) for m in (50, 30)]
    design = Design.from_blocks([RelationBlock(sparse.eye_array(m), c) for m, c in zip((50, 30), codes, strict=True)])
    machine = random_machine(80, 5)
    flat = machine.predict(Design.from_codes(codes))
    np.testing.assert_array_equal(machine.predict(design), flat)
    np.testing.assert_array_equal(machine.predict(design, n_jobs=1), flat)
