from dataclasses import replace
from itertools import islice

import numpy as np
import pytest

from fmkit import threads
from fmkit.blocks import find_blocks
from fmkit.design import Design, RelationBlock
from fmkit.machine import FactorizationMachine
from fmkit.solvers import members
from fmkit.solvers.als import als
from fmkit.solvers.members import Members
from fmkit.solvers.noise import NoiseLevels
from fmkit.solvers.objective import Objective
from fmkit.solvers.penalties import Penalties
from fmkit.solvers.sides import Prior, Sides
from tests import reference

KINDS = ["two blocks", "field and block", "three blocks", "gaps and blocks"]


def block_design(kind, n=80, seed=0):
    """Tables with values, gaps, a row that nobody has, one without entries, and fields beside them."""
    rng = np.random.default_rng(seed)
    user, item = rng.integers(0, 9, n), rng.integers(0, 7, n)
    rated = (rng.random((11, 6)) < 0.5) * rng.standard_normal((11, 6))
    rated[2] = 0
    raters = np.c_[np.eye(8), rng.random((8, 5)) < 0.5, np.zeros(8)]  # ids, a set, a column without a row
    users, items = RelationBlock(rated, (user + 3) % 11), RelationBlock(raters, item)
    if kind == "two blocks":
        return Design.from_blocks([users, items])
    if kind == "field and block":
        return Design.from_blocks([users], Design.from_codes([item]))
    if kind == "three blocks":
        return Design.from_blocks([users, items, RelationBlock(rng.standard_normal((4, 2)), rng.integers(0, 4, n))])
    fields = Design.from_codes([rng.integers(-1, 3, n), user])
    return Design.from_blocks([users, items], fields)


def order_of(design):
    """The columns of each field in the order in which they are solved."""
    of_tables = [block.columns[field.columns] for block in design.blocks for field in block.table.fields]
    return [field.columns for field in design.fields] + of_tables


def a_machine(design, k, rng):
    factors = (0.4 * rng.standard_normal((design.n_features, k))).astype(np.float32)
    return FactorizationMachine(0.25, (0.3 * rng.standard_normal(design.n_features)).astype(np.float32), factors)


def arguments(machine, design):
    """The parameters and the matrix as the reference takes them."""
    parameters = machine.bias, machine.linear.astype(float), machine.factors.astype(float)
    return *parameters, design.to_csr().toarray().astype(float)


def als_problem(kind, weighted, k):
    rng = np.random.default_rng(1)
    design = block_design(kind)
    y = rng.standard_normal(design.n_rows).astype(np.float32)
    weights = (0.5 + rng.random(len(y))).astype(np.float32) if weighted else None
    penalties = Penalties(*(0.5 + rng.random((2, design.n_features))).astype(np.float32))
    return Objective(design, y, weights, penalties, False), a_machine(design, k, rng)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("k", [0, 3, 17])
def test_a_sweep_of_als_is_that_of_the_rows_written_out(kind, weighted, k):
    o, machine = als_problem(kind, weighted, k)
    omega = np.ones(len(o.y)) if o.weights is None else o.weights.astype(float)
    steps = als(o, machine, 1)
    for _ in range(3):
        bias, w, V, X = arguments(machine, o.design)
        penalties = o.penalties.linear.astype(float), o.penalties.factors.astype(float)
        expected = reference.als_sweep(bias, w, V, X, o.y.astype(float), omega, *penalties, order_of(o.design), False)
        progress = next(steps)
        np.testing.assert_allclose(machine.linear, expected[1], rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(machine.factors, expected[2], rtol=1e-3, atol=1e-4)
        assert machine.bias == pytest.approx(expected[0], abs=1e-4)
        f = reference.predict(*arguments(machine, o.design))
        assert progress.train_loss == pytest.approx(np.average((o.y - f) ** 2, weights=omega), rel=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_the_optimum_is_that_of_the_rows_written_out(kind):
    o, machine = als_problem(kind, True, 2)
    flat, label = machine.copy(), np.empty(o.design.n_features, int)
    for number, columns in enumerate(order_of(o.design)):
        label[columns] = number
    written_out = Objective(Design.from_matrix(o.design.to_csr(), label), o.y, o.weights, o.penalties, False)
    for _ in islice(als(o, machine, 1), 200):
        pass
    for _ in islice(als(written_out, flat, 1), 200):
        pass
    np.testing.assert_allclose(machine.predict(o.design), flat.predict(o.design), atol=1e-3)
    np.testing.assert_allclose(machine.factors @ machine.factors.T, flat.factors @ flat.factors.T, atol=1e-3)


@pytest.mark.parametrize("logistic", [False, True])
def test_the_objective_never_rises_with_blocks(logistic):
    o, machine = als_problem("two blocks", True, 3)
    if logistic:
        o = replace(o, y=(o.y > 0).astype(np.float32), logistic=True)
    penalties = o.penalties.linear.astype(float), o.penalties.factors.astype(float)
    values = []
    for _ in islice(als(o, machine, 1), 10):
        y, omega = o.y.astype(float), o.weights.astype(float)
        values.append(reference.objective(*arguments(machine, o.design), y, omega, *penalties, logistic))
    assert (np.diff(values) <= 1e-6 * np.abs(values[:-1])).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("k", [0, 1, 5, 16])
def test_gibbs_draws_are_those_of_the_rows_written_out(kind, weighted, k):
    """The same normals give the same draws, and the sums of each level are those of its rows' errors."""
    rng = np.random.default_rng(2)
    design = block_design(kind)
    n = design.n_rows
    y, weights = rng.standard_normal(n).astype(np.float32), None
    if weighted:
        weights = rng.integers(1, 4, n).astype(np.float32)
    machine = a_machine(design, k, rng)
    sides = Sides(design, machine, y, weights, 1)
    noise = NoiseLevels(sides, [s for s in range(len(sides.sides)) if sides.sides[s].own], weights)
    noise.common = 2.5
    noise.levels = {s: (0.5 + rng.random(len(tau))).astype(np.float32) for s, tau in noise.levels.items()}
    omega = np.full(n, noise.common) if weights is None else noise.common * weights.astype(float)
    for s, tau in noise.levels.items():
        omega *= tau[sides.sides[s].codes]
    n_groups = sides.groups.max() + 1
    priors = [Prior(*np.float32([3 + rng.random(k + 1), 0.3 * rng.random(k + 1)])) for _ in range(n_groups)]
    precision, centre = (np.array([getattr(prior, name) for prior in priors])[sides.groups].astype(float)
                         for name in ("precision", "centre"))  # fmt: skip
    for sweep in range(1, 4):
        draw = np.uint64(7), np.uint32(1), np.uint32(sweep)
        expected = reference.gibbs_columns(
            *arguments(machine, design), y.astype(float), omega, order_of(design), precision, centre, draw
        )
        for s in range(len(sides.sides)):
            sums = sides.solve(s, priors, scale=noise.scale(s), level=noise.level(s), draw=draw)
        np.testing.assert_allclose(machine.linear, expected[0], rtol=2e-3, atol=1e-3)
        np.testing.assert_allclose(machine.factors, expected[1], rtol=2e-3, atol=1e-3)
        e = y - reference.predict(*arguments(machine, design))
        np.testing.assert_allclose(sides.predict(), y - e, atol=1e-3)
        if sides.pair:
            without = omega / noise.scale(1)[sides.sides[1].codes % len(noise.scale(1))]
            for column, powers in enumerate((without * e**2, without * e, without)):
                told = np.bincount(sides.sides[1].codes, powers, sides.sides[1].n_levels)
                np.testing.assert_allclose(sums[:, column], told, rtol=1e-3, atol=2e-3)
        slope, curve = sides.residual_sums(noise.scale(1) if sides.pair else noise.of_rows())
        assert slope == pytest.approx(omega @ e, abs=5e-3 * np.sqrt(omega.sum()))
        assert curve == pytest.approx(omega.sum(), rel=1e-4)
        sides.move_bias(0.1)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("k", [0, 9])
def test_the_same_bits_for_any_number_of_threads(kind, k, monkeypatch):
    monkeypatch.setattr(members, "WORTH_CUTTING", 2)  # also fields as small as these are cut up
    monkeypatch.setattr(threads, "WORTH_A_THREAD", 5)
    machines = []
    for n_threads in (1, 7):
        rng = np.random.default_rng(3)
        design = block_design(kind, 500)
        y, machine = rng.standard_normal(500).astype(np.float32), a_machine(design, k, rng)
        sides = Sides(design, machine, y, None, n_threads)
        prior = Prior(np.ones(k + 1, np.float32), np.zeros(k + 1, np.float32))
        for sweep in range(1, 4):
            for s in range(len(sides.sides)):
                draw = np.uint64(7), np.uint32(1), np.uint32(sweep)
                sides.solve(s, [prior] * 9, draw=draw)
            sides.move_bias(0.01)
        machines.append(machine)
    np.testing.assert_array_equal(machines[0].linear, machines[1].linear)
    np.testing.assert_array_equal(machines[0].factors, machines[1].factors)


def test_found_blocks_are_solved_as_the_given_design():
    """Ids, sets and what follows from them: another order of the columns, the same optimum."""
    rng = np.random.default_rng(4)
    user, item = rng.integers(0, 9, 300), rng.integers(0, 7, 300)
    sets = [RelationBlock((rng.random((m, 4)) < 0.5) * 0.7, c) for m, c in ((9, user), (7, item))]
    design = Design.from_blocks(sets, Design.from_codes([user, item, item % 2]))
    found = find_blocks(design)
    assert len(found.blocks) == 2
    y = rng.standard_normal(300).astype(np.float32)
    penalties = Penalties(*np.full((2, design.n_features), 2, np.float32))
    values = []
    for d in (design, found):
        machine = a_machine(design, 0, np.random.default_rng(0))
        for _ in islice(als(Objective(d, y, None, penalties, False), machine, 1), 2000):
            pass
        values.append(machine)
    np.testing.assert_allclose(values[0].linear, values[1].linear, atol=1e-4)


def test_members_are_the_entries_of_a_table_column_by_column():
    rng = np.random.default_rng(5)
    dense = ((rng.random((30, 12)) < 0.3) * rng.standard_normal((30, 12))).astype(np.float32)
    dense[:, 4] = 0
    table = Design.from_matrix(dense, np.arange(12) // 5)
    groups = np.repeat([0, 3, 2], [105, 5, 2]).astype(np.int32)
    found = Members.of_table(table, np.arange(100, 112, dtype=np.int32), groups)
    assert sorted(found.columns) == list(range(100, 112))
    for j, column in enumerate(found.columns):
        entries = slice(found.ptr[j], found.ptr[j + 1])
        np.testing.assert_array_equal(found.holders[entries], np.flatnonzero(dense[:, column - 100]))
        np.testing.assert_array_equal(found.x[entries], dense[found.holders[entries], column - 100])
    assert [run[:3] for run in found.runs] == [(0, 5, 0), (5, 10, 3), (10, 12, 2)]
