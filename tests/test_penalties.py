"""Penalties mean the same for any unit and any shape of the table."""

import numpy as np
import pytest

from fmkit.design import Design
from fmkit.solvers.penalties import column_units, noise_levels, scaled_penalties


def full_table(*levels, n=3600):
    rng = np.random.default_rng(0)
    return Design.from_codes([rng.permutation(np.arange(n) % m) for m in levels])


def test_two_fields_get_the_spectral_norm_of_noise():
    np.testing.assert_allclose(noise_levels(full_table(36, 100), None), [10 + 6, 10 + 6])


def test_three_fields_get_levels_whose_products_are_all_three_norms():
    level = noise_levels(full_table(36, 100, 1), None)
    norms = np.array([[0, 10 + 6, 10 + 60], [0, 0, 6 + 60], [0, 0, 0]])
    pairs = np.triu_indices(3, 1)
    np.testing.assert_allclose(np.sqrt(np.outer(level, level))[pairs], norms[pairs])


def test_noise_is_what_the_level_says():
    """The gradient of the interactions of two fields, from noise of unit variance alone."""
    design = full_table(36, 100)
    users, items = (f.codes for f in design.fields)
    gradient = np.zeros((36, 100))
    np.add.at(gradient, (users, items), np.random.default_rng(1).standard_normal(design.n_rows))
    assert noise_levels(design, None)[0] == pytest.approx(np.linalg.norm(gradient, 2), rel=0.1)


def test_a_weight_of_four_is_four_rows():
    design = full_table(36, 100)
    np.testing.assert_allclose(
        noise_levels(design, np.full(design.n_rows, 4, np.float32)), 2 * noise_levels(design, None), rtol=1e-6
    )


def test_columns_and_targets_bring_their_units():
    X = np.array([[1.0, 2], [0, 4], [3, 0]])
    design = Design.from_matrix(X)
    units = column_units(design, None)
    np.testing.assert_allclose(units, [np.sqrt(5), np.sqrt(10)])
    plain = scaled_penalties(design, None, np.ones(2, np.float32), 1, 1, 1, 1)
    scaled = scaled_penalties(design, None, units, 2, [3, 4], 0.25, 10)
    np.testing.assert_allclose(scaled.linear, plain.linear * 2 * 0.25 * units**2)
    np.testing.assert_allclose(scaled.factors, plain.factors * np.array([3, 4]) * 10 * 0.25 * units**2, rtol=1e-6)


def test_many_fields_are_paired_with_some(monkeypatch):
    rng = np.random.default_rng(0)
    design = Design.from_matrix(rng.standard_normal((50, 40)))
    exact = noise_levels(design, None)
    monkeypatch.setattr("fmkit.solvers.penalties.PARTNERS", 7)
    np.testing.assert_allclose(noise_levels(design, None), exact)
