"""Hierarchical blocks: the same machine, members by regression, and what it is good for."""

from itertools import islice

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from fmkit import Design, FactorizationMachine, FMClassifier, FMRegressor, RelationBlock, load, save
from fmkit.blocks import find_blocks
from fmkit.datasets import load_movielens_small
from fmkit.draws import fill_normals
from fmkit.solvers.hierarchy import Hierarchies
from fmkit.solvers.mcmc import Chain
from fmkit.solvers.sides import Prior

N_USERS, N_WORDS = 30, 6


def of_users(rng, hierarchical=True, n=500):
    """Users with words that tell their vectors, items, and targets."""
    users, items = rng.integers(0, N_USERS, n), rng.integers(0, 8, n)
    words = (rng.random((N_USERS, N_WORDS)) < 0.5) * rng.standard_normal((N_USERS, N_WORDS))
    A = words @ rng.standard_normal((N_WORDS, 2)) + 0.2 * rng.standard_normal((N_USERS, 2))
    y = (A[users] * rng.standard_normal((8, 2))[items]).sum(axis=1) + A[users, 0] + 0.3 * rng.standard_normal(n)
    labels = np.repeat([0, 1], [N_USERS, N_WORDS])
    block = RelationBlock(np.c_[np.eye(N_USERS), words], users, labels, hierarchical=hierarchical)
    return Design.from_blocks([block], Design.from_codes([items], [8])), y


def a_machine(design, k, rng):
    draws = 0.4 * rng.standard_normal((design.n_features, k + 1)).astype(np.float32)
    return FactorizationMachine(0.25, draws[:, k].copy(), draws[:, :k].copy())


@given(st.integers(0, 5), st.integers(0, 100))
def test_rows_as_columns_have_the_same_values(k, seed):
    rng = np.random.default_rng(seed)
    design, _ = of_users(rng, n=40)
    machine = a_machine(design, k, rng)
    before = machine.copy()
    hierarchies = Hierarchies(design, machine, 2)
    assert not hierarchies.design.blocks
    np.testing.assert_allclose(machine.predict(hierarchies.design), before.predict(design), atol=2e-5)
    after = hierarchies.expanded(machine)
    np.testing.assert_allclose(after.factors, before.factors, atol=1e-5)
    np.testing.assert_allclose(after.linear, before.linear, atol=2e-5)


@pytest.mark.parametrize("draw", [(0, 0, 0), (7, 1, 3)])
@pytest.mark.parametrize("k", [0, 3, 17])
def test_members_are_a_regression_of_the_rows(draw, k):
    """Against a loop over columns in plain numpy."""
    rng = np.random.default_rng(0)
    design, _ = of_users(rng)
    machine = a_machine(design, k, rng)
    hierarchies = Hierarchies(design, machine, 1)
    (one,) = hierarchies.of_side.values()
    priors = [
        Prior((0.5 + rng.random(k + 1)).astype(np.float32), rng.standard_normal(k + 1).astype(np.float32))
        for _ in range(3)
    ]
    T = np.c_[machine.factors, machine.linear].astype(float)
    x = design.blocks[0].table.to_csr().toarray()[:, N_USERS:].astype(float)
    members, own, prior = design.blocks[0].columns[N_USERS:], priors[one.group], priors[one.groups[0]]
    for l, column in sorted(enumerate(members), key=lambda pair: list(one.members.columns).index(pair[1])):
        rest = T[one.own] - x @ T[members] - own.centre + np.outer(x[:, l], T[column])
        precision = prior.precision + own.precision * (x[:, l] ** 2).sum()
        mean = (prior.precision * prior.centre + own.precision * (x[:, l] @ rest)) / precision
        noise = np.zeros(32, np.float32)
        if draw[0]:
            fill_normals(np.uint64(draw[0]), np.uint32(draw[1]), np.uint32(draw[2]), np.uint32(column), k + 1, noise)
        T[column] = mean + noise[: k + 1] / np.sqrt(precision)
    key = np.uint64(draw[0]), np.uint32(draw[1]), np.uint32(draw[2])
    variances = np.zeros(design.n_features, np.float32), np.zeros((design.n_features, k), np.float32)
    one.solve_members(machine, priors, key, variances)
    np.testing.assert_allclose(machine.factors[members], T[members, :k], atol=1e-4)
    np.testing.assert_allclose(machine.linear[members], T[members, k], atol=1e-4)
    np.testing.assert_allclose(one.told, x @ T[members], atol=1e-4)
    expected = 1 / (prior.precision + own.precision * (x**2).sum(axis=0)[:, None])
    np.testing.assert_allclose(np.c_[variances[1], variances[0]][members], expected, rtol=1e-4)


def test_without_factors_it_is_the_model_of_any_block():
    """No pairs, no difference: means and deviations of predictions are those of the other sampler."""
    fits = []
    for hierarchical in (True, False):
        design, y = of_users(np.random.default_rng(0), hierarchical)
        # By draws: of columns apart, those of the other sampler count what level and columns have in common twice.
        kept = 0 if hierarchical else 1000
        fits.append(FMRegressor(0, solver="mcmc", max_iter=6000, keep_draws=kept, random_state=0).fit(design, y))
    (mean, std), (other_mean, other_std) = (model.predict(design, return_std=True) for model in fits)
    np.testing.assert_allclose(mean, other_mean, atol=0.03)
    np.testing.assert_allclose(std, other_std, rtol=0.04)
    for model in fits[:1]:
        by_vb = FMRegressor(0, solver="vb", random_state=0).fit(design, y)
        np.testing.assert_allclose(by_vb.predict(design), model.predict(design), atol=0.03)


@pytest.mark.parametrize("solver", ["als", "sgd"])
def test_ridge_solvers_go_on_as_without(solver):
    one, other = (
        FMRegressor(2, solver=solver, max_iter=4, random_state=0).fit(*of_users(np.random.default_rng(0), hierarchical))
        for hierarchical in (True, False)
    )
    np.testing.assert_array_equal(one.machine_.factors, other.machine_.factors)


@pytest.mark.parametrize("solver", ["mcmc", "vb"])
def test_it_predicts_from_its_file_and_its_draws(solver, tmp_path):
    design, y = of_users(np.random.default_rng(0), n=2000)
    train = np.arange(2000) < 1500
    model = FMRegressor(2, solver=solver, max_iter=200, keep_draws=50 if solver == "mcmc" else 0, random_state=0)
    model.fit(design.select(train), y[train])
    test = design.select(~train)
    assert np.sqrt(np.mean((model.predict(test) - y[~train]) ** 2)) < 0.34  # of a noise of .3
    low, high = model.predict_interval(test, 0.9)
    assert abs(np.mean((low <= y[~train]) & (y[~train] <= high)) - 0.9) < 3 * np.sqrt(0.09 / 500)
    save(model, tmp_path / "model.fmkit")
    np.testing.assert_array_equal(load(tmp_path / "model.fmkit").predict(test), model.predict(test))
    if solver == "mcmc":
        of_draws = np.mean([draw.predict(test) for draw in model.posterior_.draws], axis=0)
        np.testing.assert_allclose(of_draws, model.predict(test), atol=0.1)


@pytest.mark.parametrize("solver", ["mcmc", "vb"])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_classes(solver, n_classes):
    design, y = of_users(np.random.default_rng(0), n=1500)
    classes = np.digitize(y, np.quantile(y, np.arange(1, n_classes) / n_classes))
    train = np.arange(1500) < 1000
    model = FMClassifier(2, solver=solver, random_state=0, max_iter=150 if solver == "mcmc" else None)
    model.fit(design.select(train), classes[train])
    assert model.score(design.select(~train), classes[~train]) > 0.75


@pytest.mark.parametrize(("solver", "sweeps"), [("mcmc", 1000), ("vb", 300), ("als", 30)])
def test_it_takes_more_sweeps_and_tells_so(solver, sweeps, tmp_path):
    design, y = of_users(np.random.default_rng(0), n=60)
    model = FMRegressor(1, solver=solver, random_state=0).fit(design, y)
    assert model.n_iter_ == model.planned_ == sweeps
    if solver == "mcmc":
        assert len(model.trace_) == sweeps
        save(model, tmp_path / "model.fmkit")
        assert load(tmp_path / "model.fmkit").diagnostics() == model.diagnostics()


def test_the_same_draws_for_any_number_of_threads():
    chains = []
    for n_threads in (1, 5):
        design, y = of_users(np.random.default_rng(0))
        machine = a_machine(design, 3, np.random.default_rng(1))
        chain = Chain(design, y.astype(np.float32), None, machine, noise_fields=None, burn_in=1, n_sweeps=5,
                      keep_draws=0, seed=1, n_threads=n_threads)  # fmt: skip
        for _ in islice(chain, 5):
            pass
        chains.append(machine)
    np.testing.assert_array_equal(chains[0].factors, chains[1].factors)


def test_a_fit_is_the_same_bit_for_bit_wherever_its_arrays_lie_in_memory():
    # Sums whose order goes by addresses differed in one fit of six.
    design, y = of_users(np.random.default_rng(3))
    rng, held, found = np.random.default_rng(0), [], set()
    for _ in range(40):
        held += [np.empty(size) for size in rng.integers(1, 400, 5)]  # moves what is allocated next
        machine = FMRegressor(3, solver="mcmc", max_iter=4, random_state=0).fit(design, y).machine_
        found.add(machine.factors.tobytes() + machine.linear.tobytes())
    assert len(found) == 1


def test_noise_is_told_of_the_side_that_was_meant():
    """Hierarchical blocks are worked on before others: numbers stay those of the design."""
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 4, 60), rng.integers(0, 5, 60)
    plain = RelationBlock(np.c_[np.eye(4), rng.standard_normal(4)], a)
    whole = RelationBlock(np.c_[np.eye(5), rng.standard_normal(5)], b, [0] * 5 + [1], hierarchical=True)
    design = Design.from_blocks([plain, whole])
    hierarchies = Hierarchies(design, a_machine(design, 1, rng), 1)
    assert hierarchies.sides([0]) == [1]
    assert hierarchies.sides([1]) == [0]
    for number, own in ((0, design.blocks[0].columns[:4]), (1, design.blocks[1].columns[:5])):
        model = FMRegressor(1, solver="vb", max_iter=3, noise_fields=[number], random_state=0)
        model.fit(design, rng.standard_normal(60))
        levels = model.posterior_.noise_levels
        assert (levels[own] != 1).all()
        assert (np.delete(levels, own) == 1).all()


def test_what_repeats_with_its_key_joins_a_hierarchical_block():
    design, _ = of_users(np.random.default_rng(0))
    users = design.blocks[0].codes
    found = find_blocks(Design.from_blocks([RelationBlock(
        design.blocks[0].table.to_csr(), users, np.repeat([0, 1], [N_USERS, N_WORDS]), hierarchical=True)],
        Design.from_codes([users % 5])))  # fmt: skip
    (block,) = found.blocks
    assert block.hierarchical
    assert not found.fields


def test_what_is_no_hierarchy_is_told():
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 4, 20)
    with pytest.raises(ValueError, match=r"needs a column of its own for each row .* put an identity"):
        RelationBlock(rng.standard_normal((4, 3)), codes, hierarchical=True)
    with pytest.raises(ValueError, match="must be a group of their own: give them a label"):
        RelationBlock(np.c_[np.eye(4), rng.standard_normal(4)], codes, [0] * 5, hierarchical=True)


def test_movielens_with_rated_sets():
    """Without the hierarchy VB has .837 here, and .836 of ids alone."""
    bunch = load_movielens_small()
    user, item = (np.unique(column, return_inverse=True)[1] for column in bunch.data.T)
    test = np.zeros(len(user), bool)
    test[np.random.RandomState(42).permutation(len(user))[: len(user) // 10]] = True
    n_users, n_items = user.max() + 1, item.max() + 1
    rated = sparse.csr_array((np.ones((~test).sum()), (user[~test], item[~test])), shape=(n_users, n_items))
    blocks = []
    for table, codes in ((rated, user), (rated.T.tocsr(), item)):
        size = np.maximum(np.diff(table.indptr), 1)
        whole = sparse.hstack([sparse.eye_array(len(size)), sparse.diags_array(size**-0.5) @ table])
        blocks.append(RelationBlock(whole, codes, np.repeat([0, 1], [len(size), table.shape[1]]), hierarchical=True))
    design = Design.from_blocks(blocks)
    model = FMRegressor(8, solver="vb", max_iter=60, random_state=0).fit(design.select(~test), bunch.target[~test])
    assert np.sqrt(np.mean((model.predict(design.select(test)) - bunch.target[test]) ** 2)) < 0.826


@pytest.mark.parametrize("solver", ["mcmc", "vb"])
def test_a_table_may_have_nothing_but_own_columns(solver):
    """Then its rows are what ids are."""
    rng = np.random.default_rng(0)
    codes, items = rng.integers(0, 9, 200), rng.integers(0, 5, 200)
    y = rng.standard_normal(9)[codes] + 0.1 * rng.standard_normal(200)
    alone = RelationBlock(sparse.eye_array(9), codes, hierarchical=True)
    fits = [
        FMRegressor(1, solver=solver, max_iter=60, random_state=0).fit(design, y).predict(design)
        for design in (Design.from_blocks([alone], Design.from_codes([items])), Design.from_codes([items, codes]))
    ]
    np.testing.assert_allclose(*fits, atol=0.02)
