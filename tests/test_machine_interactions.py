import copy
import os
import re
from itertools import combinations, combinations_with_replacement

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse
from sklearn.preprocessing import OneHotEncoder

from fmkit import Design, FMClassifier, FMRegressor, RelationBlock, load, save
from fmkit.errors import InputError
from fmkit.estimators.folding import NewColumns
from fmkit.interactions import field_weighted
from fmkit.interactions import machine as machine_module
from fmkit.interactions.machine import Rows, of_fields
from fmkit.interactions.solver import MACHINES, fit_interactions
from fmkit.machine import BLOCK, FactorizationMachine, row_arrays
from fmkit.recommend import Recommender
from fmkit.solvers.losses import LOSSES, Loss
from fmkit.solvers.objective import Objective
from fmkit.solvers.penalties import Penalties
from tests import reference
from tests.problems import torch_loss

ALL = pytest.mark.parametrize("interaction", list(MACHINES))


def machine_of(interaction, fields, k, seed=0, means=None):
    """One of random numbers."""
    rng = np.random.default_rng(seed)
    n, m = len(fields), int(fields.max(initial=-1)) + 1
    shape = {"ffm": (n, m, k), "fwfm": (n, k), "anova3": (n, 2, k)}[interaction]
    own = {} if interaction == "anova3" else {"fields": fields.astype(np.int32)}
    if interaction == "fwfm":
        weights = rng.standard_normal((m, m)).astype(np.float32)
        own["weights"] = weights + weights.T
    return MACHINES[interaction](
        bias=0.5,
        linear=rng.standard_normal(n).astype(np.float32),
        factors=rng.standard_normal(shape).astype(np.float32),
        means=np.zeros(n) if means is None else means,
        **own,
    )


def expected_of(machine, X):
    """What the reference makes of it, in float64."""
    own = machine.bias, machine.linear.astype(float), machine.factors.astype(float)
    if machine.interaction == "ffm":
        return reference.predict_field_aware(*own, machine.fields, X)
    if machine.interaction == "fwfm":
        return reference.predict_field_weighted(*own, machine.fields, machine.weights.astype(float), X)
    return reference.predict_third_order(*own, X)


def rows_of(rng, n_rows, n_columns):
    """Rows with real values, several entries a field, and none."""
    return rng.standard_normal((n_rows, n_columns)) * (rng.random((n_rows, n_columns)) < 0.6)


@ALL
@given(st.integers(0, 5), st.integers(1, 7), st.integers(1, 4), st.integers(0, 9), st.integers(0, 100))
def test_predictions_are_the_equations(interaction, n_rows, n_columns, n_fields, k, seed):
    rng = np.random.default_rng(seed)
    X = rows_of(rng, n_rows, n_columns)
    fields = np.unique(rng.integers(0, n_fields, n_columns), return_inverse=True)[1]
    machine = machine_of(interaction, fields, k, seed)
    for same in (X, sparse.csc_matrix(X), Design.from_matrix(X)):
        np.testing.assert_allclose(machine.predict(same), expected_of(machine, X), rtol=1e-4, atol=1e-3)


@ALL
def test_means_are_taken_off_whether_a_row_has_an_entry_or_not(interaction):
    rng = np.random.default_rng(0)
    X, means = rows_of(rng, 20, 5), np.array([0, 2.5, 0, -1, 0])
    machine = machine_of(interaction, np.array([0, 1, 0, 2, 1]), 3, means=means)
    for same in (X, sparse.csr_array(X), Design.from_matrix(X)):
        np.testing.assert_allclose(machine.predict(same), expected_of(machine, X - means), rtol=1e-4, atol=1e-3)


@ALL
def test_threads_and_blocks_of_rows_change_nothing(interaction):
    rng = np.random.default_rng(0)
    n = BLOCK + 17
    design = Design.from_codes([rng.integers(0, 50, n), rng.integers(-1, 30, n), rng.integers(0, 4, n)])
    machine = machine_of(interaction, of_fields(design), 5)
    whole = machine.predict(design, n_jobs=1)
    np.testing.assert_array_equal(machine.predict(design, n_jobs=3), whole)
    np.testing.assert_array_equal(machine.predict(design.to_csr()[-5:]), whole[-5:])
    with pytest.raises(ValueError, match="machine has 84 features, the design has 2 columns"):
        machine.predict([[1, 2]])


def test_fields_are_labels_where_there_are_some_or_those_of_the_design():
    known = Design.from_matrix(np.eye(3), fields=[5, 5, 3])
    np.testing.assert_array_equal(of_fields(known), [1, 1, 0])
    block = RelationBlock(np.eye(2), [0, 1, 0])
    np.testing.assert_array_equal(of_fields(Design.from_blocks([block], known)), [1, 1, 0, 2, 2])
    np.testing.assert_array_equal(of_fields(Design.from_codes([[0, 1], [1, 0]])), [0, 0, 1, 1])


def slopes_of(machine, X, y, weight, penalty, loss):
    """What a row's visit adds to the loss, and the slopes that it steps along, by name.

    AdaGrad's sums start from 1e8 here, so that a step is the slope times the learning rate / 1e4.
    """
    n = X.shape[1]
    share, one = np.full(n, penalty, np.float32), np.ones(n, np.float32)
    table = row_arrays(sparse.csr_array(np.float32(X)))
    rows = Rows(*table, np.float32([y]), np.float32([weight]), share, share, one, 100.0, 1.0, loss.code)
    moved = machine.copy()
    visit, keep = moved.visits(rows)
    loss = visit(np.zeros(1, np.int32))
    keep()
    return loss, {name: (array - moved.arrays()[name]) / 0.01 for name, array in machine.arrays().items()}


@ALL
@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("seed", range(6))
def test_a_visit_steps_along_the_slopes_that_autograd_finds(interaction, name, seed, monkeypatch):
    torch = pytest.importorskip("torch")
    for module in (machine_module, field_weighted):
        monkeypatch.setattr(module, "UNSEEN", np.float32(1e8))
    rng = np.random.default_rng(seed)
    n, k, fields = 7, 5, np.array([0, 0, 0, 1, 1, 2, 3])
    machine = machine_of(interaction, fields, k, seed)
    if name == "poisson":  # of values without thousands in their exponentials: slopes are small beside AdaGrad's sums
        machine.linear *= np.float32(0.3)
        machine.factors *= np.float32(0.3)
    X = np.where(rng.random(n) < (1 if seed == 0 else 0.7), np.round(rng.standard_normal(n), 2), 0)[None]
    y, weight, penalty = float(seed % 2), 1.5, 0.3
    parts = {
        name: torch.tensor(np.float64(array), requires_grad=True)
        for name, array in machine.arrays().items()
        if name in ("linear", "factors", "weights")
    }
    w, V, x = parts["linear"], parts["factors"], X[0]
    f = machine.bias + sum(w[i] * x[i] for i in range(n))
    for i, j in combinations(range(n), 2):
        if interaction == "ffm":
            f = f + x[i] * x[j] * (V[i, fields[j]] @ V[j, fields[i]])
        elif interaction == "fwfm":
            f = f + x[i] * x[j] * parts["weights"][fields[j], fields[i]] * (V[i] @ V[j])
        else:
            f = f + x[i] * x[j] * (V[i, 0] @ V[j, 0])
    if interaction == "anova3":
        f = f + sum(x[i] * x[j] * x[l] * (V[i, 1] * V[j, 1] * V[l, 1]).sum() for i, j, l in combinations(range(n), 3))
    kind = Loss(name, 0.7 if name == "huber" else 0.0)
    loss = torch_loss(kind, f, y)
    squares = V**2
    if interaction == "ffm":  # a vector counts in the rows that have its field, the less the more fields they have
        most = min(np.count_nonzero(x), 4)
        squares = squares[:, torch.tensor(np.isin(np.arange(4), fields[x != 0]))] * np.sqrt(2 / max(most, 2))
    norms = torch.tensor(np.float64(x != 0)) * (w**2 + squares.reshape(n, -1).sum(1))
    penalties = penalty / 2 * norms.sum()
    if interaction == "fwfm":  # what a weight is beyond 1 has a penalty that goes by the columns of its two fields
        counts = np.bincount(fields)
        for a, b in combinations_with_replacement(np.unique(fields[x != 0]), 2):
            tie = kind.curvature(1.0, y) * k / 2 * (counts[a] + counts[b]) / 3
            penalties = penalties + tie / 2 * torch.relu(parts["weights"][b, a].abs() - 1) ** 2
    (weight * (loss + penalties)).backward()
    told, slopes = slopes_of(machine, X, y, weight, penalty, kind)
    expected = weight * reference.told(y, float(f.detach()), name, kind.width)
    assert told == pytest.approx(expected, rel=1e-4, abs=1e-5)
    for name, part in parts.items():
        expected = part.grad.numpy()
        if name == "weights":  # of a pair there is one, told twice
            slopes[name] = np.tril(slopes[name])
        np.testing.assert_allclose(slopes[name], expected, rtol=1e-3, atol=1e-4 * max(1, np.abs(expected).max()))


def epochs(machine, design, y, count=5, logistic=False, penalty=1.0, n_threads=1, seed=0):
    n = design.n_features
    penalties = Penalties(np.full(n, penalty, np.float32), np.full(n, penalty, np.float32))
    objective = Objective(design, np.float32(y), None, penalties, logistic)
    told = fit_interactions(
        objective, machine, np.ones(n, np.float32), learning_rate=0.1, spread=1.0,
        random_state=np.random.default_rng(seed), n_threads=n_threads,
    )  # fmt: skip
    return [next(told).train_loss for _ in range(count)]


def categories(n=1000, levels=(6, 5, 4), seed=0):
    rng = np.random.default_rng(seed)
    return rng, [rng.integers(0, m, n) for m in levels]


@ALL
def test_without_factors_all_are_one_linear_model(interaction):
    rng, codes = categories()
    design, y = Design.from_codes(codes), rng.standard_normal(1000)
    machines = [MACHINES[kind].begin(design, 0, 0.0, 0.1, 1.0, np.ones(15), rng) for kind in (interaction, "ffm")]
    for machine in machines:
        epochs(machine, design, y)
    np.testing.assert_allclose(machines[0].linear, machines[1].linear, rtol=1e-5, atol=1e-6)
    linear = FMRegressor(0, solver="sgd", max_iter=200, random_state=0).fit(design, y)
    other = FMRegressor(0, solver="sgd", max_iter=200, interaction=interaction, random_state=0).fit(design, y)
    exact = FMRegressor(0).fit(design, y)
    np.testing.assert_allclose(other.predict(design), linear.predict(design), atol=0.01)
    np.testing.assert_allclose(other.predict(design), exact.predict(design), atol=0.01)


def test_all_weights_one_or_no_triples_are_the_plain_machine():
    rng = np.random.default_rng(0)
    X, fields = rows_of(rng, 30, 6), np.array([0, 0, 1, 1, 2, 2])
    weighted, third = machine_of("fwfm", fields, 3), machine_of("anova3", fields, 3)
    weighted.weights[:], third.factors[:, 1] = 1, 0
    for machine, V in ((weighted, weighted.factors), (third, third.factors[:, 0])):
        plain = FactorizationMachine(machine.bias, machine.linear, np.ascontiguousarray(V))
        np.testing.assert_allclose(machine.predict(X), plain.predict(X), rtol=1e-4, atol=1e-4)


def test_a_fit_without_triples_or_moved_weights_stays_one():
    rng, codes = categories()
    design, y = Design.from_codes(codes), rng.standard_normal(1000)
    machine = MACHINES["anova3"].begin(design, 4, 0.0, 0.1, 1.0, np.ones(15), rng)
    machine.factors[:, 1] = 0
    epochs(machine, design, y)
    assert not machine.factors[:, 1].any()
    assert machine.factors[:, 0].any()


@ALL
def test_one_thread_is_deterministic_and_several_fit_as_well(interaction):
    rng, codes = categories(3000)
    design = Design.from_codes(codes)
    y = np.float32(codes[0] == codes[1]) + 0.1 * rng.standard_normal(3000)

    def fitted(seed=0, n_threads=1):
        machine = MACHINES[interaction].begin(design, 4, 0.0, 0.1, 1.0, np.ones(15), np.random.default_rng(0))
        return machine, epochs(machine, design, y, 10, seed=seed, n_threads=n_threads)

    one, told = fitted()
    np.testing.assert_array_equal(one.factors, fitted()[0].factors)
    assert not np.array_equal(one.factors, fitted(seed=1)[0].factors)
    assert fitted(n_threads=3)[1][-1] == pytest.approx(told[-1], rel=0.1)


def test_triples_learn_an_exclusive_or_of_three():
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 2, (4000, 5))
    y = (codes[:, 0] + codes[:, 1] + codes[:, 2]) % 2
    X = OneHotEncoder().fit_transform(codes)
    score = {
        kind: FMClassifier(4, solver="sgd", interaction=kind, random_state=0).fit(X[:3000], y[:3000]).score(
            X[3000:], y[3000:]
        )
        for kind in ("fm", "anova3")
    }  # fmt: skip
    assert score["fm"] < 0.6
    assert score["anova3"] > 0.99


def test_vectors_of_their_own_serve_fields_that_want_different_things():
    rng = np.random.default_rng(0)
    a, b, c = rng.integers(0, 12, (3, 12000))
    left, right = rng.standard_normal((2, 12, 12))  # what a is to b has nothing to do with what it is to c
    y = left[a, b] + right[a, c]
    X = OneHotEncoder().fit_transform(np.stack([a, b, c], axis=1))
    options = {"solver": "sgd", "max_iter": 60, "reg_factors": 0.1, "random_state": 0}
    errors = {}
    for kind in ("fm", "ffm"):
        model = FMRegressor(6, interaction=kind, **options).fit(X[:10000], y[:10000])
        errors[kind] = np.mean((model.predict(X[10000:]) - y[10000:]) ** 2)
    assert errors["ffm"] < 0.7 * errors["fm"]


@ALL
def test_files_hold_them_bit_for_bit_and_hostile_ones_are_told(interaction, tmp_path):
    rng, codes = categories(300)
    X = np.column_stack([OneHotEncoder().fit_transform(np.stack(codes, 1)).toarray(), 40 + rng.standard_normal(300)])
    regressor = FMRegressor(3, solver="sgd", interaction=interaction, max_iter=3, random_state=0).fit(X, codes[0])
    classifier = FMClassifier(3, solver="sgd", interaction=interaction, max_iter=3, random_state=0).fit(X, codes[2])
    assert regressor.machine_.means.any()
    for name, model in (("regressor", regressor), ("classifier", classifier)):
        save(model, tmp_path / name)
        again = load(tmp_path / name)
        assert again.interaction == interaction
        np.testing.assert_array_equal(again.predict(X), model.predict(X))
    np.testing.assert_array_equal(load(tmp_path / "classifier").predict_proba(X), classifier.predict_proba(X))
    facts, arrays = regressor._to_file()
    for name in ("factors", "linear", "means", *({"fields", "weights"} & arrays.keys())):
        for wrong in (arrays[name][:, :-1], arrays[name].astype(np.float16)):
            with pytest.raises((ValueError, IndexError, KeyError)):
                FMRegressor._from_file(facts, {**arrays, name: wrong})
    with pytest.raises(ValueError, match="do not fit together"):
        FMRegressor._from_file(facts, {**arrays, "factors": arrays["factors"] * np.float32(np.nan)})


@ALL
def test_the_ways_of_other_fits_are_theirs_too(interaction):
    rng, codes = categories(2000)
    X = np.column_stack([OneHotEncoder().fit_transform(np.stack(codes, 1)).toarray(), 7 + rng.standard_normal(2000)])
    y = 30 + np.float32(codes[0] == codes[1]) + 0.1 * X[:, -1]
    seen = []

    def watch(progress):
        seen.append((progress.validation_loss, np.mean((progress.machine.predict(X) - y) ** 2)))
        return len(seen) == 4

    options = {"solver": "sgd", "interaction": interaction, "random_state": 0}
    model = FMRegressor(4, early_stopping=True, callbacks=[watch], **options)
    model.fit(X, y, sample_weight=np.where(rng.random(2000) < 0.1, 0, 1.5))
    assert len(model.history_) == model.n_iter_ == 4
    assert seen[-1][1] == pytest.approx(seen[-1][0], rel=0.5)  # callbacks see the user's units
    assert model.score(X, y) > 0.5
    model.set_params(callbacks=None, early_stopping=False, warm_start=True, max_iter=1).fit(X, y)
    cold = FMRegressor(4, max_iter=1, **options).fit(X, y)
    assert model.history_[0]["train_loss"] < cold.history_[0]["train_loss"] / 2
    other = "fwfm" if interaction == "ffm" else "ffm"
    model.set_params(interaction=other).fit(X, y)
    assert model.machine_.interaction == other
    model.set_params(interaction="fm").fit(X, y)
    assert isinstance(model.machine_, FactorizationMachine)


@ALL
@pytest.mark.parametrize("solver", ["als", "mcmc", "vb"])
def test_other_solvers_refuse_them(interaction, solver):
    for model in (FMRegressor, FMClassifier):
        said = f"interaction='{interaction}' is for solver='sgd', got solver='{solver}': set solver='sgd'"
        with pytest.raises(ValueError, match=re.escape(said)):
            model(solver=solver, interaction=interaction).fit([[1, 0], [0, 1]], [0, 1])


@ALL
def test_what_needs_the_plain_equation_is_refused(interaction):
    X, y = np.eye(4), [1, 2, 3, 4]
    model = FMRegressor(2, solver="sgd", interaction=interaction, random_state=0)
    model.fit(X, y)
    said = f"is for interaction='fm', this model was fitted with interaction='{interaction}'"
    with pytest.raises(ValueError, match=f"fold_in {said}"):
        model.fold_in(X, y, codes=[0, 0, 0, 0], like=0)
    assert not hasattr(model, "partial_fit")
    with pytest.raises(AttributeError) as told:
        model.partial_fit(X, y)
    assert str(told.value.__cause__) == f"partial_fit is for interaction='fm', got interaction='{interaction}'"
    with pytest.raises(ValueError, match=f"partial_fit to a fitted model {said}"):
        copy.copy(model).set_params(interaction="fm").partial_fit(X, y)
    with pytest.raises(ValueError, match=f"with_columns {said}"):
        model.with_columns(NewColumns(*np.zeros((2, 0), np.float32), 0, np.zeros(0, np.float32)))
    with pytest.raises(InputError, match="asks a plain machine, of interaction='fm': got interaction="):
        Recommender(model=FMRegressor(solver="sgd", interaction=interaction)).fit(
            {"user": ["a", "b"], "item": ["x", "y"], "rating": [1.0, 2.0]}
        )
    deep = pytest.importorskip("fmkit.deep")
    with pytest.raises(InputError, match="must be a plain machine, of interaction='fm': got interaction="):
        deep.MLPRegressor(factorization=FMRegressor(solver="sgd", interaction=interaction)).fit(X, y)
    with pytest.raises(ValueError, match="predict_interval needs a posterior"):
        model.predict_interval(X)


def test_weights_of_pairs_do_not_run_away_from_the_penalty_of_factors():
    rng = np.random.default_rng(0)
    codes = [rng.integers(0, n, 20_000) for n in (300, 200, 5)]
    u, v = rng.standard_normal((300, 3)), rng.standard_normal((200, 3))
    y = (u[codes[0]] * v[codes[1]]).sum(1) + rng.standard_normal(20_000)
    model = FMRegressor(6, solver="sgd", interaction="fwfm", max_iter=40, random_state=0).fit(
        Design.from_codes(codes), y
    )
    weights = model.machine_.weights
    assert 1 <= weights[1, 0] < 3  # 12 if it is free
    assert np.abs(weights[2, :2]).max() < 1


def test_a_machine_that_no_memory_holds_is_refused(monkeypatch):
    monkeypatch.setattr(os, "sysconf", lambda name: 40_000, raising=False)  # pages, and bytes of one: 1.6 GB
    design = Design.from_codes([np.zeros(2, np.int64)] * 200, [100] * 200)
    with pytest.raises(MemoryError, match=r"20,000 columns x 200 fields x 64 factors, whose fit takes 4 GB of 2 GB"):
        FMRegressor(64, solver="sgd", interaction="ffm", learning_rate=0.1).fit(design, [1.0, 2.0])


def test_two_fields_of_one_column_each_are_a_plain_machine():
    rng = np.random.default_rng(0)
    codes = [rng.integers(0, n, 3000) for n in (40, 30)]
    u, v = rng.standard_normal((40, 2)), rng.standard_normal((30, 2))
    design, y = Design.from_codes(codes), (u[codes[0]] * v[codes[1]]).sum(1) + 0.3 * rng.standard_normal(3000)
    how = {"solver": "sgd", "max_iter": 20, "learning_rate": 0.1, "random_state": 0}
    aware = FMRegressor(4, **how, interaction="ffm").fit(design, y)
    plain = FMRegressor(4, **how).fit(design, y)
    assert aware.history_[-1]["train_loss"] == pytest.approx(plain.history_[-1]["train_loss"], rel=0.1)
    fields, factors = aware.machine_.fields, aware.machine_.factors
    assert not factors[np.arange(70), fields].any()  # what a column is to its own field
    np.testing.assert_array_equal(
        FMRegressor(4, **how, interaction="ffm", n_jobs=2).fit(design, y).predict(design), aware.predict(design)
    )
    one_label = FMRegressor(4, **how, interaction="ffm", fields=np.zeros(70, int))
    assert one_label.fit(design.to_csr(), y).history_[-1]["train_loss"] < 0.5  # not by the grid
