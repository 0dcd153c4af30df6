"""The steps on torch's devices, held to those of the package's own kernels: the same sums, systems and draws."""

from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from fmkit.design import Design
from fmkit.draws import fill_normals
from fmkit.lanes import table
from fmkit.machine import FactorizationMachine, row_arrays
from fmkit.ranking.implicit import Implicit, Objective
from fmkit.ranking.machine import RankingMachine
from fmkit.ranking.pairs import Pairs
from fmkit.ranking.side import Side
from fmkit.ranking.topn import top_n
from fmkit.solvers.als import Als
from fmkit.solvers.latent import MANY
from fmkit.solvers.losses import LOSSES, Loss
from fmkit.solvers.mcmc import Chain
from fmkit.solvers.ordinal import Ordinal
from fmkit.solvers.penalties import column_shares
from fmkit.solvers.sgd import visit_rows
from fmkit.solvers.sides import Sides
from fmkit.tensors import entries, sides, topn
from fmkit.tensors.draws import normals
from fmkit.tensors.entries import LENGTHS, Entries
from fmkit.tensors.prediction import predict
from fmkit.tensors.sgd import sgd as sgd_there
from fmkit.tensors.sides import TensorSides
from fmkit.tensors.systems import PIECE, products, solve
from tests import reference
from tests.problems import problem
from tests.test_ranking_implicit import DESIGNS, N_ITEMS, N_USERS, interactions

DEVICES = [torch.device("cpu")] + [torch.device("cuda")] * torch.cuda.is_available()
KINDS = ["pair", "gaps", "values"]

pytestmark = pytest.mark.parametrize("device", DEVICES, ids=str)


def swept(p, n_sweeps, device):
    machine = p.start.copy()
    told = [progress.train_loss for progress in islice(Als(p.objective, machine, 1, device=device), n_sweeps)]
    return machine, told


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("logistic", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("k", [0, 3, 17])
def test_sweeps_of_als_are_those_of_the_kernels(kind, logistic, weighted, k, device):
    p = problem(kind, logistic=logistic, weighted=weighted, k=k)
    (here, losses), (there, told) = swept(p, 4, None), swept(p, 4, device)
    np.testing.assert_allclose(there.linear, here.linear, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(there.factors, here.factors, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(told, losses, rtol=1e-5)
    assert there.bias == pytest.approx(here.bias, abs=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_a_sweep_is_that_of_the_reference(kind, device):
    p = problem(kind, weighted=True)
    X, y, omega, penalty_w, penalty_v = p.dense
    start = p.start.bias, p.start.linear.astype(float), p.start.factors.astype(float)
    fields = [f.columns for f in p.design.fields]
    bias, w, V = reference.als_sweep(*start, X, y, omega, penalty_w, penalty_v, fields, False)
    machine, _ = swept(p, 1, device)
    np.testing.assert_allclose(machine.linear, w, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(machine.factors, V, rtol=1e-3, atol=1e-4)
    assert machine.bias == pytest.approx(bias, abs=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_noise_between_averaged_sweeps_is_followed(kind, device):
    p = problem(kind)
    machines = []
    for where in (None, device):
        solver = Als(p.objective, p.start.copy(), 1, device=where)
        solver.average(1.0, 3, 5)
        list(islice(solver, 6))
        machines.append(solver.machine)
    np.testing.assert_allclose(machines[1].factors, machines[0].factors, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("kind", ["pair", "gaps"])
@pytest.mark.parametrize("ordinal", [False, True])
def test_a_chain_is_that_of_the_kernels(kind, ordinal, device):
    p = problem(kind, n=200 if kind == "pair" else 60)
    assert kind != "pair" or MANY * 7 <= 200  # levels have a noise of their own
    drawn = []
    for where in (None, device):
        likelihood = Ordinal((p.y > 0).astype(int) + (p.y > 1), 3, None, 1) if ordinal else None
        how = {"noise_fields": None, "burn_in": 0, "n_sweeps": 5, "keep_draws": 0, "seed": 7, "n_threads": 1}
        chain = Chain(p.design, p.y, None, p.start.copy(), **how, likelihood=likelihood, device=where)
        losses = [progress.train_loss for progress in islice(chain, 5)]
        drawn.append((chain.sides.machine, losses))
    (here, losses), (there, told) = drawn
    np.testing.assert_allclose(told, losses, rtol=1e-3)
    np.testing.assert_allclose(there.linear, here.linear, rtol=1e-2, atol=1e-3)
    np.testing.assert_allclose(there.factors, here.factors, rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize("key", [1, 2**63 - 1, 0x123456789ABCDEF])
def test_normals_are_those_of_the_kernels(key, device):
    indices = torch.tensor([0, 1, 77, 2**31 - 1], device=device)
    drawn = normals(key, 3, 12, indices, 37).cpu().numpy()
    out = np.zeros(48, np.float32)
    for row, index in zip(drawn, indices.tolist(), strict=True):
        fill_normals(np.uint64(key), np.uint32(3), np.uint32(12), np.uint32(index), 37, out)
        np.testing.assert_allclose(row, out[:37], atol=5e-6)


@given(st.lists(st.integers(0, 70), max_size=30), st.integers(1, 8))
def test_every_entry_has_one_place_in_the_batches(device, counts, width):
    before = entries.BUDGETS[device.type]
    entries.BUDGETS[device.type] = 300  # many batches
    try:
        made = Entries(np.concatenate([[0], np.cumsum(counts, dtype=np.int64)]), width, device)
    finally:
        entries.BUDGETS[device.type] = before
    n = sum(counts)
    made.put("number", np.arange(n, dtype=np.int32), -1)
    seen = {}
    for batch, parts in made.on_device():
        for level, row in zip(
            batch.levels.tolist(), parts["number"].view(len(batch.levels), batch.length).tolist(), strict=True
        ):
            seen[level] = [entry for entry in row if entry >= 0]
    ptr = np.cumsum([0, *counts])
    assert seen == {level: list(range(ptr[level], ptr[level + 1])) for level in range(len(counts))}


def test_a_level_is_padded_by_half_at_most(device):
    n = np.arange(1, 100_000)
    padded = LENGTHS[np.searchsorted(LENGTHS, n)]
    assert (padded >= n).all()
    assert (padded[n >= 16] <= 1.25 * n[n >= 16]).all()
    assert (padded <= 1.5 * n).all()


def test_products_of_long_levels_add_up_their_pieces(device):
    for length in (3, PIECE, 2 * PIECE, 5 * PIECE, 28 * PIECE):
        A = torch.randn(2, length, 3, dtype=torch.float64, device=device, generator=torch.Generator(device))
        torch.testing.assert_close(products(A), A.mT @ A)


def test_systems_without_full_rank_are_solved_where_they_tell_something(device):
    v = torch.tensor([1.0, 2.0, -1.0], device=device)
    S = torch.stack([torch.outer(v, v), torch.zeros(3, 3, device=device), torch.eye(3, device=device)])
    x = solve(S.clone(), torch.stack([6 * v, torch.zeros(3, device=device), v]), None)
    torch.testing.assert_close(x[0] @ v, torch.tensor(6.0, device=device), rtol=1e-3, atol=1e-3)
    assert (x[1] == 0).all()
    torch.testing.assert_close(x[2], v)


@pytest.mark.parametrize("kind", KINDS)
def test_entries_that_travel_give_the_same_bits(kind, device, monkeypatch):
    p = problem(kind, weighted=True)
    (resident, _) = swept(p, 3, device)
    monkeypatch.setattr(TensorSides, "_check_memory", lambda self, n_table: False)
    monkeypatch.setitem(entries.BUDGETS, device.type, 200)
    (streamed, _) = swept(p, 3, device)
    np.testing.assert_allclose(streamed.factors, resident.factors, rtol=1e-5, atol=1e-6)


def test_entries_that_do_not_fit_travel_and_it_is_told(device, monkeypatch):
    monkeypatch.setattr(sides, "free_memory", lambda device: 30_000)
    monkeypatch.setattr(sides, "BUDGETS", {device.type: 10})
    p = problem("pair", n=3000)
    with pytest.warns(UserWarning, match=r"the entries take 0.0 GB: they stay in memory and travel batch by batch"):
        Als(p.objective, p.start.copy(), 1, device=device)


def test_too_little_memory_is_told(device, monkeypatch):
    monkeypatch.setattr(sides, "free_memory", lambda device: 10_000)
    monkeypatch.setattr(sides, "BUDGETS", {device.type: 10})
    p = problem("gaps", n=3000)
    with pytest.raises(ValueError, match=r"the device has 0.0 GB to spare and the fit keeps 0.0 GB there: take fewer"):
        Als(p.objective, p.start.copy(), 1, device=device)


@pytest.mark.parametrize("kind", ["pair", "gaps"])
def test_a_fit_goes_on_from_its_state_bit_for_bit(kind, device):
    p = problem(kind)
    whole = Als(p.objective, p.start.copy(), 1, device=device)
    list(islice(whole, 3))
    state = whole.state()
    state.arrays = {name: array.copy() for name, array in state.arrays.items()}
    later = Als(p.objective, p.start.copy(), 1, device=device)
    later.resume(state)
    list(islice(whole, 2))
    list(islice(later, 2))
    assert (whole.machine.factors == later.machine.factors).all()
    assert whole.machine.bias == later.machine.bias


@pytest.mark.parametrize("kind", ["pair", "gaps"])
def test_a_scaled_machine_has_scaled_values(kind, device):
    p = problem(kind)
    for make in (Sides, lambda *args: TensorSides(*args, device=device)):
        made = make(p.design, p.start.copy(), p.y, None, 1)
        before = made.predict().copy()
        made.scale(np.float32(4.0))
        np.testing.assert_allclose(made.predict(), 4 * before, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(made.machine.predict(p.design), 4 * before, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("queries", DESIGNS)
def test_sweeps_of_the_implicit_solver_are_those_of_the_kernels(queries, weighted, device):
    pairs, items = interactions(weighted), DESIGNS[1](N_ITEMS)
    design = queries(N_USERS)
    told = []
    for where in (None, device):
        machine = RankingMachine.random(design.n_features, items.n_features, 4, 0.3, np.random.default_rng(0))
        sides = Side.of(design, pairs), Side.of(items, pairs.transposed)
        losses = [p.train_loss for p in islice(Implicit(*sides, machine, Objective(), 1, where), 4)]
        told.append((losses, machine))
    np.testing.assert_allclose(told[1][0], told[0][0], rtol=1e-4)
    np.testing.assert_allclose(told[1][1].query_factors, told[0][1].query_factors, rtol=1e-2, atol=1e-3)


@given(st.integers(0, 1000), st.integers(1, 40), st.integers(0, 12))
def test_lists_are_those_of_the_kernels_ties_and_all(device, seed, n, n_queries):
    rng = np.random.default_rng(seed)
    n_items = int(rng.integers(1, 30))
    queries, items = (rng.integers(-2, 3, (m, 3)).astype(np.float32) for m in (n_queries, n_items))
    seen = [np.sort(rng.permutation(n_items)[: rng.integers(0, n_items + 1)]) for _ in range(n_queries)]
    before = np.concatenate([[0], np.cumsum([len(one) for one in seen])]).astype(np.int64)
    left_out = np.concatenate([np.empty(0, np.int32), *seen]).astype(np.int32)
    expected = top_n(queries, items, n, before, left_out, 1)
    found = topn.top_n(queries, items, n, before, left_out, device)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("k", [0, 5])
def test_predictions_are_those_of_the_kernels(k, device, monkeypatch):
    rng = np.random.default_rng(0)
    machine = FactorizationMachine(
        0.3, rng.standard_normal(12).astype(np.float32), rng.standard_normal((12, k)).astype(np.float32)
    )
    one_hot = Design.from_codes([rng.integers(0, 7, 500), rng.integers(0, 5, 500)], [7, 5])
    matrix = sparse.random_array((500, 12), density=0.3, rng=rng, format="csr", dtype=np.float32)
    monkeypatch.setattr("fmkit.tensors.prediction.NUMBERS", {device.type: 600})  # several blocks
    for X in (one_hot, Design.from_matrix(matrix), matrix, one_hot.select(np.zeros(500, bool))):
        np.testing.assert_allclose(predict(machine, X, device, 1), machine.predict(X), rtol=1e-4, atol=1e-5)


def test_pairs_without_rows_or_weights_are_no_trouble(device):
    pairs = Pairs.of(sparse.csr_array((5, 4)))
    sides = (
        Side.of(Design.from_codes([np.arange(5)]), pairs),
        Side.of(Design.from_codes([np.arange(4)]), pairs.transposed),
    )
    machine = RankingMachine.random(5, 4, 3, 0.3, np.random.default_rng(0))
    (progress,) = islice(Implicit(*sides, machine, Objective(), 1, device), 1)
    assert np.isfinite(progress.train_loss)


@pytest.mark.parametrize("kind", [*KINDS, "ones"])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("weighted", [False, True])
def test_steps_of_batches_of_a_row_are_those_of_the_kernels(kind, loss, weighted, device):
    p = problem(kind, logistic=loss in ("logistic", "poisson"), weighted=weighted, k=5, n=16)
    objective, k = p.objective, 5
    if loss not in ("squared", "logistic"):
        objective = replace(objective, logistic=False, other=Loss(loss, 0.7))
    machine, rng = p.start.copy(), np.random.default_rng(3)
    how = {"learning_rate": 0.1, "spread": 1.5, "random_state": rng, "device": device}
    told = [progress.train_loss for progress in islice(sgd_there(objective, machine, p.units, **how), 3)]

    rng, P = np.random.default_rng(3), table(machine.n_features, k + 3)
    P[:, :k], P[:, k], bias = p.start.factors, p.start.linear, np.float32([p.start.bias, 0])
    shares = column_shares(objective.penalties, objective.design, objective.weights)
    rates, omega = np.float32([0.15, 0.1 * np.sqrt(1.5)]), np.ones(16, np.float32)
    rows = (*row_arrays(objective.design), objective.y, objective.weights if weighted else omega)
    shuffled = rng.permutation(16)
    for epoch in range(3):
        order = shuffled[rng.permutation(16)].astype(np.int32)
        losses = visit_rows(order, *rows, bias, P, k, *shares, 1 / p.units, rates, *objective.loss.code)
        assert told[epoch] == pytest.approx(losses / objective.total_weight, rel=1e-3, abs=1e-5)
    np.testing.assert_allclose(machine.factors, P[:, :k], rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(machine.linear, P[:, k], rtol=1e-3, atol=1e-4)
    assert machine.bias == pytest.approx(bias[0], abs=1e-4)
