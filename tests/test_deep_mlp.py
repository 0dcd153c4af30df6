"""Multilayer perceptrons: what they learn, from which tables, and that the same seed learns the same."""

import json
import pickle
from functools import partial

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from scipy import sparse
from sklearn.base import clone

from fmkit import FMClassifier, FMRegressor, load, save
from fmkit.deep import MLPClassifier, MLPRegressor
from fmkit.deep.set_aside import set_aside
from fmkit.errors import InputError

Small = partial(MLPClassifier, (16,), max_epochs=5, random_state=0)


@pytest.fixture(scope="module")
def twenty():
    """Twenty rows of three classes that nothing tells apart."""
    rng = np.random.default_rng(0)
    return rng.standard_normal((20, 6)), np.arange(20) % 3


@pytest.fixture(scope="module")
def moons():
    """Two classes that no line tells apart, and a mirror of the second column as a category."""
    rng = np.random.default_rng(1)
    X = rng.standard_normal((300, 4))
    return X, np.where(X[:, 0] * X[:, 1] > 0, "same", "other")


def mixed(n=400, seed=0):
    """A table whose classes hang together with a category and the logarithm of an amount."""
    rng = np.random.default_rng(seed)
    amount = np.exp(rng.normal(0, 3, n))
    town = rng.choice(["Aarau", "Basel", "Chur"], n)
    bought = (town == "Basel") ^ (amount > 1)
    return pd.DataFrame({"amount": amount, "town": town, "age": rng.integers(18, 80, n)}), bought


def weights_of(model):
    return torch.cat([p.detach().ravel() for p in model.net_.parameters()]).numpy()


VARIANTS = [
    *({"activation": a} for a in ("gelu", "leaky_relu", "silu", "tanh")),
    *({"activation": a, "learning_rate": 0.1} for a in ("elu", "logistic", "selu", "softplus")),
    *({"init": i} for i in ("he", "xavier", "lecun", "orthogonal")),
    {"init": "constant-variance", "init_std": 0.1},
    *(
        {"optimizer": o, "learning_rate": r}
        for o, r in (("sgd", 0.3), ("adagrad", 0.2), ("rmsprop", 0.01), ("lbfgs", 1))
    ),
    {"optimizer": "sgd", "nesterov": False, "learning_rate": 0.3},
    {"optimizer": "sgd", "momentum": 0.0, "learning_rate": 1.0, "max_epochs": 200},
    *({"schedule": s} for s in ("cosine", "constant", "step")),
    {"learning_rate": "auto"},
    {"batch_norm": True},
    {"layer_norm": True},
    {"batch_size": "full"},
    {"batch_size": 1, "max_epochs": 50},
    {"ema": 0.9},
    {"grad_clip": 1.0},
    {"hidden_layer_sizes": (32, 32, 32)},
    {"class_weight": "balanced"},
]


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_it_overfits_twenty_rows(twenty, variant):
    X, y = twenty
    settings = {"hidden_layer_sizes": (64,), "max_epochs": 100, "learning_rate": 0.02, "l2": 0.0, **variant}
    model = MLPClassifier(**settings, random_state=0).fit(X, y)
    assert -np.log(model.predict_proba(X)[np.arange(20), y]).mean() < 0.02


@pytest.mark.parametrize("optimizer", ["adamw", "lbfgs"])
def test_a_regressor_overfits_twenty_rows(twenty, optimizer):
    X, y = twenty
    model = MLPRegressor((64,), max_epochs=100, l2=0.0, learning_rate=0.02, optimizer=optimizer, random_state=0)
    assert model.fit(X, y.astype(float)).score(X, y) > 0.999


def test_penalties_keep_it_from_that(twenty):
    X, y = twenty
    free, ridge, lasso = (
        MLPClassifier((64,), max_epochs=100, random_state=0, **kw).fit(X, y)
        for kw in ({"l2": 0.0}, {"l2": 10.0}, {"l2": 0.0, "l1": 0.5})
    )
    assert np.square(weights_of(ridge)).sum() < np.square(weights_of(free)).sum() / 4
    assert (weights_of(lasso) == 0).mean() > 0.3
    assert (weights_of(free) == 0).mean() < 0.1  # biases
    smooth = MLPClassifier((64,), max_epochs=100, random_state=0, l2=0.0, label_smoothing=0.3).fit(X, y)
    assert smooth.predict_proba(X).max(axis=1).mean() == pytest.approx(0.8, abs=0.1)
    bent = MLPClassifier((64,), max_epochs=5, random_state=0, optimizer="lbfgs", l2=0.1, l1=0.001).fit(X, y)
    assert np.square(weights_of(bent)).sum() < np.square(weights_of(free)).sum()


def test_a_seed_is_a_net_bit_for_bit(moons):
    X, y = moons
    settings = {"dropout": 0.3, "early_stopping": True, "batch_norm": True}
    a, b = Small(**settings).fit(X, y), Small(**settings).fit(X, y)
    np.testing.assert_array_equal(weights_of(a), weights_of(b))
    before = torch.get_rng_state()
    other = Small(**settings).set_params(random_state=1).fit(X, y)
    assert (weights_of(a) != weights_of(other)).any()
    assert torch.equal(before, torch.get_rng_state())  # the user's own draws are left alone


def test_permuted_rows_give_another_net_as_good(moons):
    X, y = moons
    order = np.random.default_rng(0).permutation(len(y))
    a = MLPClassifier(random_state=0).fit(X, y)
    b = MLPClassifier(random_state=0).fit(X[order], y[order])
    assert (weights_of(a) != weights_of(b)).any()
    assert (a.predict(X) == b.predict(X)).mean() > 0.95
    full = {"batch_size": "full", "schedule": "constant"}  # there, only sums change their order
    a, b = Small(**full).fit(X, y), Small(**full).fit(X[order], y[order])
    np.testing.assert_allclose(weights_of(a), weights_of(b), atol=1e-3)


@pytest.mark.parametrize("make", [lambda X: X, sparse.csr_array])
def test_weights_are_repeated_rows_where_all_rows_are_a_step(moons, make):
    X, y = moons
    X = np.round(np.abs(X[:60]), 1)
    X = X / X.max(axis=0)  # scales of repeated rows are others: there are none to learn
    y = X[:, 0] * X[:, 1] > 0.1
    times = np.random.default_rng(0).integers(0, 4, 60)
    settings = {"batch_size": "full", "max_epochs": 30, "l2": 0.0}
    for kind in (MLPClassifier, MLPRegressor):
        model = kind((16,), random_state=0, **settings)
        target = y if kind is MLPClassifier else X[:, 0] * X[:, 1]
        weighted = clone(model).fit(sparse.csr_array(X), target, sample_weight=times)
        repeated = clone(model).fit(sparse.csr_array(np.repeat(X, times, axis=0)), np.repeat(target, times))
        np.testing.assert_allclose(weighted.predict(make(X)), repeated.predict(make(X)), atol=2e-3)


def test_partial_fits_are_the_epochs_of_a_fit(moons):
    X, y = moons
    settings = {"schedule": "constant", "dropout": 0.2}
    whole, parts = Small(**settings).fit(X, y), Small(**settings)
    for _ in range(5):
        parts.partial_fit(X, y)
    np.testing.assert_array_equal(weights_of(whole), weights_of(parts))
    assert [row["train_loss"] for row in parts.history_] == [row["train_loss"] for row in whole.history_]
    again = pickle.loads(pickle.dumps(parts))
    np.testing.assert_array_equal(weights_of(parts.partial_fit(X, y)), weights_of(again.partial_fit(X, y)))
    with pytest.raises(InputError, match="did not name"):
        parts.partial_fit(X, np.full(len(y), "new"))


def test_partial_fit_waits_for_classes_that_come_later(moons):
    X, y = moons
    model = Small().partial_fit(X[y == "same"], y[y == "same"], classes=["other", "same"])
    for _ in range(60):
        model.partial_fit(X, y)
    assert model.score(X, y) > 0.9
    assert MLPRegressor((4,), random_state=0).partial_fit(X, X[:, 0]).partial_fit(X, X[:, 0]).n_iter_ == 2


def test_warm_start_goes_on(moons):
    X, y = moons
    model = Small(warm_start=True).fit(X, y)
    first = model.history_[-1]["train_loss"]
    assert model.fit(X, y).history_[0]["train_loss"] < first
    assert model.fit(X[:, :2], y).n_features_in_ == 2
    good = MLPClassifier(random_state=0, warm_start=True).fit(X, y)
    spoilt = clone(good).set_params(early_stopping=True, optimizer="sgd", max_epochs=1, learning_rate=10.0)
    spoilt.fit(X, y)  # from a random start
    good.set_params(early_stopping=True, optimizer="sgd", max_epochs=1, learning_rate=10.0).fit(X, y)
    assert good.best_epoch_ == 0
    assert good.score(X, y) > spoilt.score(X, y)


def parts(model, y):
    """The rows that a fit trained on, and those that it set aside."""
    return set_aside(np.arange(len(y)), y, model.validation_fraction, model._generator())


def test_scales_are_those_of_the_training_rows_alone(moons):
    X, y = moons
    model = Small(early_stopping=True, validation_fraction=0.5).fit(X, y)
    rows = {tuple(np.round(row, 12)) for row in X}
    assert len(rows) == len(X)
    seen = model.encoder_.centre * 150
    train, held = parts(model, y)
    np.testing.assert_allclose(seen, X[train].sum(axis=0))
    moved = X.copy()
    moved[held] += 1e6  # what is set aside may hold anything
    np.testing.assert_array_equal(weights_of(model.set_params(patience=99)), weights_of(clone(model).fit(X, y)))
    np.testing.assert_array_equal(clone(model).fit(moved, y).encoder_.spread, model.encoder_.spread)
    table, bought = mixed()
    model = Small(early_stopping=True).fit(table, bought)
    train, held = parts(model, bought)
    table.loc[held, "town"] = "Zug"
    assert "Zug" not in Small(early_stopping=True).fit(table, bought).encoder_.levels[0].to_pylist()


def test_early_stopping_keeps_the_best_net(moons):
    X, _ = moons
    noise = np.random.default_rng(0).integers(0, 2, len(X))
    model = MLPClassifier((128,), max_epochs=200, patience=5, early_stopping=True, random_state=0).fit(X, noise)
    losses = [row["validation_loss"] for row in model.history_]
    assert len(losses) < 200
    _, held = parts(model, noise)
    p = model.predict_proba(X[held])[np.arange(len(held)), noise[held]]
    assert -np.log(p).mean() == pytest.approx(min(losses), rel=1e-5)


def test_tables_of_numbers_and_categories():
    table, bought = mixed()
    test, truth = mixed(seed=1)
    model = MLPClassifier((32,), random_state=0).fit(table, bought)
    assert model.score(test, truth) > 0.93
    assert model.feature_names_in_.tolist() == ["amount", "town", "age"]
    arrow = pa.Table.from_pandas(table)
    np.testing.assert_array_equal(
        MLPClassifier((32,), random_state=0).fit(arrow, bought).predict_proba(arrow), model.predict_proba(table)
    )
    array = table.to_numpy(object)
    for columns in ([1], [False, True, False]):
        other = MLPClassifier((32,), random_state=0, categorical_features=columns).fit(array, bought)
        np.testing.assert_array_equal(other.predict(array), model.predict(table))
    assert np.isfinite(model.predict_proba(test.assign(town="Zug"))).all()
    assert np.isfinite(model.predict_proba(test.assign(town=None))).all()
    scaled = MLPClassifier((32,), random_state=0, n_knots=0).fit(table, bought)
    assert scaled.encoder_.n_numbers == 2


def test_columns_that_are_no_numbers_get_a_sentence():
    table, bought = mixed(40)
    with pytest.raises(InputError, match=r"column 'town' holds .*string and no numbers: name it"):
        Small(categorical_features=["age"]).fit(table, bought)
    with pytest.raises(InputError, match="names the column 'city': there are amount, town, age"):
        Small(categorical_features=["city"]).fit(table, bought)
    with pytest.raises(ValueError, match="NaN"):
        Small().fit(table.assign(age=np.nan), bought)
    with pytest.raises(InputError, match="not of sparse matrices"):
        Small(categorical_features=[0]).fit(sparse.csr_array(np.eye(40)), bought)


def test_sparse_and_dense_rows_are_the_same_to_a_fitted_net(moons):
    X, y = moons
    X = X * (np.abs(X) > 0.7)
    model = MLPClassifier((32,), random_state=0).fit(sparse.csr_array(X), y)
    np.testing.assert_allclose(model.predict_proba(X), model.predict_proba(sparse.csc_array(X)), atol=1e-12)
    dense = MLPClassifier((32,), random_state=0).fit(X, y)
    np.testing.assert_allclose(dense.predict_proba(X), dense.predict_proba(sparse.csr_array(X)), atol=1e-12)


def test_labels_of_a_row_may_be_several(moons):
    X, _ = moons
    Y = (X[:, :3] > 0).astype(int)
    model = MLPClassifier((32,), random_state=0, max_epochs=60).fit(X, Y)
    assert model.predict(X).shape == model.predict_proba(X).shape == Y.shape
    assert model.score(X, Y) > 0.9
    wide = MLPRegressor((32,), random_state=0, max_epochs=60).fit(X, X[:, :2] * [1, 1000] + 5)
    assert wide.score(X, X[:, :2] * [1, 1000] + 5) > 0.95


def test_classes_with_one_row_or_none():
    X = np.arange(22.0)[:, None]
    y = np.array(["a"] * 10 + ["b"] * 11 + ["c"])
    for early in (False, True):
        model = MLPClassifier((8,), early_stopping=early, random_state=0, max_epochs=3).fit(X, y)
        assert model.classes_.tolist() == ["a", "b", "c"]
        assert model.predict_proba(X).shape == (22, 3)
    with pytest.raises(InputError, match="holds one class only: 'a'"):
        Small().fit(X[:10], y[:10])


def test_dropout_and_batch_norm_rest_in_predictions(moons):
    X, y = moons
    model = Small(dropout=0.9, batch_norm=True).fit(X, y)
    np.testing.assert_array_equal(model.predict_proba(X), model.predict_proba(X))
    alone = np.vstack([model.predict_proba(X[i : i + 1]) for i in range(5)])
    np.testing.assert_allclose(alone, model.predict_proba(X)[:5], rtol=1e-9)
    with pytest.raises(InputError, match="batch_norm needs two rows a batch"):
        Small(batch_norm=True, batch_size=1).fit(X, y)
    Small(batch_norm=True, batch_size=299).fit(X, y)  # not 299 and one, but 150 and 150
    with pytest.raises(InputError, match="by batch_norm or by layer_norm"):
        Small(batch_norm=True, layer_norm=True).fit(X, y)


def test_balanced_classes_count_the_same():
    X = np.zeros((100, 1))
    y = np.arange(100) < 10
    plain = MLPClassifier((), max_epochs=100, random_state=0, batch_size="full", learning_rate=0.1)
    assert plain.fit(X, y).predict_proba(X)[0, 1] == pytest.approx(0.1, abs=0.01)
    assert plain.set_params(class_weight="balanced").fit(X, y).predict_proba(X)[0, 1] == pytest.approx(0.5, abs=0.02)
    assert plain.set_params(class_weight={True: 18.0}).fit(X, y).predict_proba(X)[0, 1] == pytest.approx(
        2 / 3, abs=0.02
    )


def test_saturation_shows_why_tanh_of_wide_weights_stops_learning(moons):
    X, y = moons
    wide = Small(activation="tanh", init="constant-variance", init_std=5.0, tell_saturation=True).fit(X, y)
    right = Small(activation="tanh", init="xavier", tell_saturation=True).fit(X, y)
    told = [next(iter(model.history_[-1]["saturation"].values())) for model in (wide, right)]
    assert told[0] > 0.5 > 0.1 > told[1]


FITTED = [
    Small(dropout=0.1, batch_norm=True),
    MLPClassifier((), max_epochs=2, random_state=0, class_weight={"same": 2.0, "other": 1.0}),
    MLPClassifier([8, 4], max_epochs=2, random_state=0, factorization=True, embedding_size=3),
]


@pytest.mark.parametrize("model", FITTED, ids=str)
def test_a_loaded_net_is_the_saved_one(moons, tmp_path, model):
    X, y = moons
    check_saved(model.fit(X, y), X, tmp_path)
    check_saved(model.fit(sparse.csr_array(X), y), X, tmp_path)


def test_nets_of_tables_and_of_targets_are_saved(moons, tmp_path):
    table, bought = mixed()
    check_saved(Small().fit(table, bought), table, tmp_path)
    X, _ = moons
    check_saved(Small().fit(X, (X[:, :2] > 0).astype(int)), X, tmp_path)
    check_saved(MLPRegressor((4,), max_epochs=2, random_state=0).fit(X, X[:, 0] * 1e6), X, tmp_path)
    check_saved(MLPRegressor((4,), max_epochs=2, random_state=0).fit(X, X[:, :2]), X, tmp_path)


def check_saved(model, X, folder):
    save(model, folder / "net.fmkit")
    loaded = load(folder / "net.fmkit")
    np.testing.assert_array_equal(loaded.predict(X), model.predict(X))
    assert loaded.predict(X).dtype == model.predict(X).dtype
    if hasattr(model, "predict_proba"):
        np.testing.assert_array_equal(loaded.predict_proba(X), model.predict_proba(X))
    assert loaded.history_ == model.history_
    expected = {k: v for k, v in model.get_params().items() if k != "hidden_layer_sizes"}
    assert {k: v for k, v in loaded.get_params().items() if k != "hidden_layer_sizes"} == expected
    assert tuple(loaded.hidden_layer_sizes) == tuple(model.hidden_layer_sizes)


def test_a_net_that_does_not_fit_its_file_is_refused(moons, tmp_path):
    model = Small().fit(*moons)
    for change, told in [
        (lambda net: setattr(net, "hidden_layer_sizes", (5,)), "not of its shape"),
        (lambda net: net.net_.first.weight.data.fill_(np.nan), "not finite"),
        (lambda net: setattr(net, "n_outputs_", 3), "do not tell its classes apart"),
    ]:
        changed = pickle.loads(pickle.dumps(model))
        change(changed)
        save(changed, tmp_path / "net.fmkit")
        with pytest.raises(InputError, match=told):
            load(tmp_path / "net.fmkit")


@pytest.fixture(scope="module")
def ratings():
    """Users and items by number, and ratings by their factors."""
    rng = np.random.default_rng(0)
    codes = np.stack([rng.integers(0, 30, 2000), rng.integers(0, 40, 2000)], axis=1)
    U, V = rng.standard_normal((30, 2)), rng.standard_normal((40, 2))
    return codes, 3 + (U[codes[:, 0]] * V[codes[:, 1]]).sum(axis=1) + 0.3 * rng.standard_normal(2000)


def test_a_deepfm_begins_as_its_machine(ratings):
    codes, y = ratings
    settings = {"categorical_features": [0, 1], "max_epochs": 1, "learning_rate": 1e-9, "random_state": 0}
    for fm, kind, target in [
        (FMRegressor(4, random_state=0), MLPRegressor, 10 * y),
        (FMClassifier(4, random_state=0), MLPClassifier, y > 3),
        (FMClassifier(4, random_state=0), MLPClassifier, np.digitize(y, [2, 4])),
    ]:
        model = kind((8,), factorization=fm, **settings).fit(codes, target)
        design = model.encoder_.design(model._read(codes, reset=False))
        fitted = clone(fm).fit(design, target)
        given = kind((8,), factorization=fitted, **settings).fit(codes, target)
        for net in (model, given):
            if kind is MLPRegressor:
                expected = fitted.predict(design)
                if net is given:  # fitted to targets in the user's units, not in standard ones
                    np.testing.assert_allclose(net.predict(codes), expected, rtol=1e-4, atol=1e-3)
                assert np.corrcoef(net.predict(codes), expected)[0, 1] > 0.999
            else:
                np.testing.assert_allclose(net.decision_function(codes), fitted.decision_function(design), atol=1e-4)


def test_a_deepfm_of_sparse_rows_begins_as_its_machine(ratings):
    codes, y = ratings
    X = sparse.csr_array(np.hstack([np.eye(30)[codes[:, 0]], np.eye(40)[codes[:, 1]]]))
    fm = FMRegressor(4, random_state=0).fit(X, y)
    model = MLPRegressor((8,), factorization=fm, max_epochs=1, learning_rate=1e-9, random_state=0).fit(X, y)
    np.testing.assert_allclose(model.predict(X), fm.predict(X), atol=1e-4)
    assert MLPRegressor((8,), factorization=True, max_epochs=5, random_state=0).fit(X, y).score(X, y) > 0.9


def test_a_machine_that_training_does_not_better_is_kept_fitted_to_all_rows(ratings):
    codes, y = ratings
    fm = FMRegressor(2, random_state=0)
    settings = {"categorical_features": [0, 1], "factorization": fm, "early_stopping": True, "random_state": 0}
    model = MLPRegressor((8,), max_epochs=2, learning_rate=1.0, **settings).fit(codes, y)
    assert model.best_epoch_ == 0
    design = model.encoder_.design(model._read(codes, reset=False))
    np.testing.assert_allclose(model.predict(codes), clone(fm).fit(design, y).predict(design), atol=0.01)


def test_machines_that_do_not_fit_get_a_sentence(ratings):
    codes, y = ratings
    settings = {"categorical_features": [0, 1], "max_epochs": 1}
    with pytest.raises(InputError, match="was fitted to 2 columns, the table has 0 numbers and 70 levels"):
        MLPRegressor(factorization=FMRegressor(random_state=0).fit(codes, y), **settings).fit(codes, y)
    with pytest.raises(InputError, match="must be True, False or a FMRegressor, got FMClassifier"):
        MLPRegressor(factorization=FMClassifier(), **settings).fit(codes, y)
    with pytest.raises(InputError, match="one target a row"):
        MLPRegressor(factorization=True, **settings).fit(codes, np.stack([y, y], axis=1))


def test_onnx_answers_as_the_net_does(moons, tmp_path):
    runtime = pytest.importorskip("onnxruntime")
    X, y = moons
    X = 100 + 50 * X.astype(np.float32)
    three = np.digitize(X[:, 0], [80, 120])
    for model in (
        MLPClassifier((8,), max_epochs=2, random_state=0, batch_norm=True).fit(X, y),
        MLPClassifier((8, 4), max_epochs=2, random_state=0, factorization=True).fit(X, three),
        MLPRegressor((8,), max_epochs=2, random_state=0, activation="gelu", layer_norm=True).fit(X, X[:, :2]),
    ):
        model.to_onnx(tmp_path / "net.onnx")
        session = runtime.InferenceSession(str(tmp_path / "net.onnx"))
        classes = session.get_modelmeta().custom_metadata_map.get("classes", "null")
        assert json.loads(classes) == (model.classes_.tolist() if hasattr(model, "classes_") else None)
        for rows in (X, X[:1]):
            (answer,) = session.run(["answer"], {"X": rows})
            expected = model.predict_proba(rows) if hasattr(model, "predict_proba") else model.predict(rows)
            np.testing.assert_allclose(answer, expected, rtol=1e-3, atol=1e-4)
    with pytest.raises(InputError, match="numbers that are scaled"):
        Small().fit(*mixed(40)).to_onnx(tmp_path / "net.onnx")
