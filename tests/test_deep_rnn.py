"""Recurrent nets: what they learn, what padding must not change, gates, sequences of no length, files."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fmkit
from fmkit.deep import RNNClassifier, RNNRegressor, next_steps, ragged
from fmkit.errors import InputError

CELLS = ("gru", "lstm", "tanh")
SMALL = {"n_units": 6, "max_epochs": 3, "random_state": 0}


def some_series(n=40, channels=2, seed=0, shortest=1):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal((length, channels)) for length in rng.integers(shortest, 9, n)]


@pytest.fixture(scope="module")
def series():
    X = some_series()
    return X, np.array([["odd", "even"][len(x) % 2 == 0] for x in X])


@pytest.fixture(scope="module")
def texts():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 60)
    fill = np.array(["the", "film", "is", ",", "and", "plot"])
    words = [rng.choice(fill, rng.integers(1, 6)).tolist() for _ in y]
    return [" ".join([*w, ["dull", "bright"][label], "."]) for w, label in zip(words, y, strict=True)], y


@pytest.mark.parametrize("cell", CELLS)
def test_twenty_sequences_are_learned_by_heart(cell):
    X = some_series(20)
    y = np.random.default_rng(1).integers(0, 3, 20)
    by_heart = {"batch_size": "full", "dropout": 0.0, "l2": 0.0, "learning_rate": 0.02, "max_epochs": 60}
    model = RNNClassifier(cell, n_units=32, random_state=0, **by_heart).fit(X, y)
    assert model.history_[-1]["train_loss"] < 0.01
    assert model.score(X, y) == 1


@pytest.mark.parametrize(
    "settings",
    [
        {"pooling": "attention"},
        {"pooling": "last", "bidirectional": False},
        {"pooling": "mean", "n_layers": 2},
        {"pooling": "max", "hidden_layer_sizes": (16,)},
        {"batch_norm": True, "layer_norm": False},
        {"optimizer": "sgd", "learning_rate": 0.5, "init": "orthogonal"},
        {"optimizer": "lbfgs", "learning_rate": None, "max_epochs": 5},
        {"batch_size": 4, "max_epochs": 30, "ema": 0.9},
    ],
    ids=str,
)
def test_every_parameter_learns_twenty_by_heart(settings):
    X = some_series(20, shortest=3)
    y = np.random.default_rng(1).integers(0, 2, 20)
    usual = {"n_units": 32, "batch_size": "full", "learning_rate": 0.02, "dropout": 0.0, "l2": 0.0, "max_epochs": 60}
    model = RNNClassifier(**{**usual, **settings}, random_state=0).fit(X, y)
    assert model.score(X, y) == 1


def test_a_net_remembers_what_stood_first():
    rng = np.random.default_rng(0)
    X = [rng.standard_normal(n) for n in rng.integers(3, 9, 300)]
    y = np.array([x[0] > 0 for x in X])
    model = RNNClassifier(n_units=16, bidirectional=False, pooling="last", dropout=0.0, max_epochs=15, random_state=0)
    assert model.fit(X[:200], y[:200]).score(X[200:], y[200:]) > 0.75


@pytest.fixture(scope="module")
def nets(series):
    kinds = zip(CELLS, ("last+mean+max", "attention", "last+mean+max"), (2, 1, 1), strict=True)
    return [RNNClassifier(cell, pooling=pooling, n_layers=n, **SMALL).fit(*series) for cell, pooling, n in kinds]


@settings(max_examples=12)
@given(st.lists(st.integers(0, 7), min_size=1, max_size=6), st.integers(0, 4), st.integers(0, 99))
def test_padding_changes_no_result(nets, lengths, more, seed):
    rng = np.random.default_rng(seed)
    X = [rng.standard_normal((length, 2)) for length in lengths]
    padded = np.full((len(X), max(1, *lengths, 0) + more, 2), np.nan)
    for row, x in zip(padded, X, strict=True):
        row[: len(x)] = x
    X.append(np.ones((1, 2)))  # beside which empty ones are float64, too
    padded = np.vstack([padded, np.full((1, padded.shape[1], 2), np.nan)])
    padded[-1, 0] = 1
    close = {"rtol": 1e-9, "atol": 1e-12}
    for model in nets:
        expected = np.array([model.decision_function([x, X[-1]])[0] for x in X])
        np.testing.assert_allclose(model.decision_function(X), expected, **close)
        np.testing.assert_allclose(model.decision_function(padded), expected, **close)
        other = np.nan_to_num(padded, nan=rng.standard_normal())
        np.testing.assert_array_equal(model.decision_function(ragged(other, [*lengths, 1])), model.decision_function(X))


def test_padding_changes_no_fit(series):
    X, y = series
    padded = np.full((len(X), 12, 2), np.nan)
    for row, x in zip(padded, X, strict=True):
        row[: len(x)] = x
    of_list, of_array = (RNNClassifier(**SMALL).fit(Z, y) for Z in (X, padded))
    np.testing.assert_array_equal(of_list.decision_function(X), of_array.decision_function(padded))


def numpy_states(model, x, cell):
    """One layer, forward, by plain numpy and the textbook's equations."""
    net = {name: value.double().numpy() for name, value in model.net_.recurrent.state_dict().items()}
    W, U, b, c = (net[f"{name}_l0"] for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
    sigmoid = lambda v: 1 / (1 + np.exp(-v))  # noqa: E731
    n = U.shape[1]
    h = C = np.zeros(n)
    gates = []
    for step in x:
        a, s = W @ step + b, U @ h + c
        if cell == "gru":
            r, z = sigmoid(a[:n] + s[:n]), sigmoid(a[n : 2 * n] + s[n : 2 * n])
            h = (1 - z) * np.tanh(a[2 * n :] + r * s[2 * n :]) + z * h
            gates.append({"reset": r, "update": z, "state": h})
        else:
            i, f, g, o = np.split(a + s, 4)
            C = sigmoid(f) * C + sigmoid(i) * np.tanh(g)
            h = sigmoid(o) * np.tanh(C)
            gates.append({"input": sigmoid(i), "forget": sigmoid(f), "output": sigmoid(o), "cell": C, "state": h})
    return {name: np.array([step[name] for step in gates]) for name in gates[0]}


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_gates_are_those_of_a_slow_twin(series, cell):
    X, y = series
    model = RNNClassifier(cell, **SMALL).fit(X, y)
    for x, found in zip(X[:5], model.gates(X[:5]), strict=True):
        expected = numpy_states(model, (x - model.encoder_.mean) / model.encoder_.spread, cell)
        assert found.keys() == expected.keys()
        for name, values in expected.items():
            assert found[name].shape == (1, 2, len(x), 6)
            np.testing.assert_allclose(found[name][0, 0], values, atol=1e-10)


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_own_recurrence_has_torchs_states(series, cell):
    import torch

    X, y = series
    X = [x.astype(np.float32) for x in X]
    model = RNNClassifier(cell, n_layers=2, **SMALL).fit(X, y)
    inputs = model.encoder_.inputs(model._read(X, reset=False), torch.float32)
    with torch.inference_mode():
        expected = model.net_.states(*inputs.batch(torch.arange(len(X))))
    for x, states, found in zip(X, expected, model.gates(X), strict=True):
        forward, backward = found["state"][-1]
        np.testing.assert_allclose(np.hstack([forward, backward]), states[: len(x)], atol=1e-5)


def test_an_elman_net_has_no_gates(series):
    model = RNNClassifier("tanh", **SMALL).fit(*series)
    with pytest.raises(InputError, match="no gates: fit with cell='gru'"):
        model.gates(series[0])


@pytest.mark.parametrize("kind", ["series", "text"])
def test_gates_of_the_first_sequence_stay_from_the_fit(kind, series, texts, tmp_path):
    X, y = series if kind == "series" else texts
    model = RNNClassifier("lstm", **SMALL)
    assert not hasattr(model, "gates_")
    model.fit(X, y)
    for name, values in model.gates(X[:1])[0].items():
        np.testing.assert_array_equal(model.gates_[name], values)
    model.partial_fit(X, y)
    np.testing.assert_array_equal(model.gates_["forget"], model.gates(X[:1])[0]["forget"])
    assert not hasattr(RNNClassifier("tanh", **SMALL).fit(X, y), "gates_")
    fmkit.save(model, tmp_path / "net.fmkit")
    with pytest.raises(AttributeError, match=r"ask gates\(X\)"):
        fmkit.load(tmp_path / "net.fmkit").gates_  # noqa: B018


@pytest.mark.parametrize("pooling", ["last+mean+max", "attention"])
def test_sequences_of_length_0_and_1(pooling):
    X = [np.empty((0, 2)), np.ones((1, 2)), np.zeros((1, 2)), np.empty(0), [], np.ones((3, 2))]
    model = RNNClassifier(pooling=pooling, **SMALL).fit(X * 3, [0, 1, 0, 0, 0, 1] * 3)
    assert np.isfinite(model.predict_proba(X)).all()
    np.testing.assert_array_equal(model.predict_proba(X)[[0, 3]], model.predict_proba(X)[[4, 4]])
    assert np.isfinite(model.predict_proba([[]])).all()
    assert model.gates([[]])[0]["update"].shape == (1, 2, 0, 6)
    assert np.isfinite(RNNClassifier(**SMALL).fit([[], []], [0, 1]).predict_proba([[], []])).all()


def test_arrays_and_lists_are_read_alike(series):
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((20, 5)), np.arange(20) % 2
    answers = [
        RNNClassifier(**SMALL).fit(Z, y).decision_function(Z)
        for Z in (X, list(X), X.tolist(), X[..., None], list(X[..., None]), ragged(X, np.full(20, 5)))
    ]
    for other in answers[1:]:
        np.testing.assert_array_equal(other, answers[0])


def test_scales_are_of_the_training_part_alone():
    X = [np.full((4, 1), float(n)) for n in range(20)]
    model = RNNClassifier(early_stopping=True, **SMALL)
    seen = []
    learn = model._learn
    model._learn = lambda rows, chosen: seen.append(chosen) or learn(rows, chosen)
    model.fit(X, np.arange(20) % 2)
    assert len(seen[0]) == 18
    assert model.encoder_.mean[0] == pytest.approx(seen[0].mean())
    assert model.encoder_.spread[0] == pytest.approx(seen[0].std())


def test_a_seed_says_all(series):
    X, y = series
    first, again = (RNNClassifier(**SMALL).fit(X, y).decision_function(X) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    other = RNNClassifier(**{**SMALL, "random_state": 1}).fit(X, y).decision_function(X)
    assert not np.array_equal(first, other)


def test_partial_fits_are_the_epochs_of_a_fit(series):
    usual = {**SMALL, "schedule": "constant"}
    whole = RNNClassifier(**usual).fit(*series)
    rng = np.random.RandomState(0)
    parts = RNNClassifier(**{**usual, "random_state": rng})
    for _ in range(3):
        parts.partial_fit(*series)
    np.testing.assert_array_equal(whole.decision_function(series[0]), parts.decision_function(series[0]))


def test_a_batch_of_one(series):
    X, y = series
    model = RNNClassifier(batch_size=1, **SMALL).fit(X, y)
    assert model.predict(X[:1]).shape == (1,)
    assert RNNClassifier(**SMALL).fit([[1.0, 2], [3.0]], ["a", "b"]).predict([[1.0]])[0] in ("a", "b")


def test_one_class_is_told(series):
    with pytest.raises(InputError, match="one class only: 'same'"):
        RNNClassifier(**SMALL).fit(series[0], ["same"] * 40)


def test_warm_start_goes_on_and_another_kind_begins_anew(series, texts):
    X, y = series
    model = RNNClassifier(warm_start=True, **SMALL).fit(X, y)
    before = model.history_[-1]["train_loss"]
    assert model.fit(X, y).history_[0]["train_loss"] < model.history_[0]["train_loss"] + before
    assert model.fit(*texts).kind_ == "text"


@pytest.mark.parametrize(
    ("X", "message"),
    [
        ([[1.0, np.nan], [1.0, 2.0]], r"X\[0\] contains NaN in step 1"),
        (np.array([[1.0, np.nan, 2.0], [1.0, 2.0, 3.0]]), r"X\[0\] contains NaN in step 1"),
        ([[1.0], [np.inf]], r"X\[1\] contains infinity in step 0"),
        ([np.ones((2, 2)), np.ones((2, 3))], r"X\[0\] has 2 and X\[1\] has 3"),
        ([[1.0], ["a"]], r"X\[1\] must hold numbers"),
        (["a text", None], r"X\[1\] is None and no text: give ''"),
        ([1.0, 2.0], "got single numbers"),
        (np.ones((2, 2, 2, 2)), "got 4 dimensions"),
    ],
)
def test_what_is_wrong_is_told(X, message):
    with pytest.raises(InputError, match=message):
        RNNClassifier(**SMALL).fit(X, [0, 1])


def test_an_archives_array_is_told_how_to_be_turned():
    X = np.full((4, 2, 6), np.nan)
    X[:, :, :4] = 1
    with pytest.raises(InputError, match=r"pass X.transpose\(0, 2, 1\)"):
        RNNClassifier(**SMALL).fit(X, [0, 1, 0, 1])


@pytest.mark.parametrize("shape", [(1, 24), (6, 100)])
def test_an_unpadded_archives_array_is_asked_about(shape):
    X, y = np.random.default_rng(0).standard_normal((8, *shape)), [0, 1] * 4
    asked = rf"sequences of {shape[0]} steps? at most, of {shape[1]} channels: if it is.* pass X.transpose\(0, 2, 1\)"
    for turned in (X, list(X)):
        with pytest.warns(UserWarning, match=asked) as met:
            RNNClassifier(**SMALL).fit(turned, y)
        assert met[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        RNNClassifier(**SMALL).fit(X.transpose(0, 2, 1), y)
        RNNClassifier(**SMALL).fit([x.T for x in X], y).predict(
            [x[:, :1].T for x in X]
        )  # a step of a net's own channels


def test_lengths_that_do_not_fit_are_told():
    with pytest.raises(InputError, match="from 0 to 3"):
        ragged(np.ones((2, 3)), [1, 4])
    with pytest.raises(InputError, match="as many whole lengths"):
        ragged(np.ones((2, 3)), [1])


def test_other_channels_are_told(series):
    model = RNNClassifier(**SMALL).fit(*series)
    with pytest.raises(InputError, match="X has 3 channels, but the net was fitted to 2"):
        model.predict([np.ones((4, 3))])


def test_texts_are_learned_with_and_without_ngrams(texts):
    X, y = texts
    for ngrams in (0, 2):
        model = RNNClassifier(n_units=8, ngrams=ngrams, max_epochs=20, random_state=0).fit(X[:40], y[:40])
        assert model.kind_ == "text"
        assert model.score(X[40:], y[40:]) == 1
    strange = model.predict_proba(["", "zebra quagga", "¿¡"])
    assert np.isfinite(strange).all()
    np.testing.assert_array_equal(strange[:1], model.predict_proba([""]))


def test_sounds_are_told_apart():
    rng = np.random.default_rng(0)
    y = np.arange(30) % 3
    seconds = [np.arange(n) / 8000 for n in rng.integers(800, 1600, 30)]
    pitch = np.array([200, 600, 1800])[y]
    X = [(3e4 * np.sin(2 * np.pi * f * t)).astype(np.int16) for f, t in zip(pitch, seconds, strict=True)]
    model = RNNClassifier(n_units=8, sampling_rate=8000, max_epochs=20, random_state=0).fit(X[:20], y[:20])
    assert model.kind_ == "audio"
    assert model.score(X[20:], y[20:]) == 1
    assert np.isfinite(model.predict_proba([np.empty(0), X[0][:1], np.zeros(500, np.int16)])).all()
    with pytest.raises(InputError, match="needs sampling_rate"):
        RNNClassifier(kind="audio").fit(X, y)


@pytest.mark.parametrize("kind", ["series", "text", "audio"])
@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_a_file_holds_all_bit_for_bit(kind, cell, series, texts, tmp_path):
    if kind == "audio":
        rng = np.random.default_rng(0)
        X, y = [rng.standard_normal(n) for n in rng.integers(400, 900, 12)], np.arange(12) % 3
    else:
        X, y = series if kind == "series" else texts
    rate = 8000 if kind == "audio" else None
    model = RNNClassifier(cell, sampling_rate=rate, pooling="attention", **SMALL).fit(X, y)
    fmkit.save(model, tmp_path / "model.fmkit")
    loaded = fmkit.load(tmp_path / "model.fmkit")
    np.testing.assert_array_equal(loaded.predict_proba(X), model.predict_proba(X))
    np.testing.assert_array_equal(loaded.predict(X), model.predict(X))
    assert loaded.kind_ == kind
    if kind == "text":
        assert loaded.encoder_.words == model.encoder_.words


def test_forecasts_go_on_from_their_own():
    t = np.arange(300)
    two = np.column_stack([np.sin(t / 4), np.cos(t / 4)])
    X, y = next_steps(two, 8)
    model = RNNRegressor(n_units=16, batch_size=50, learning_rate=0.02, max_epochs=40, random_state=0)
    model.fit(X[:200], y[:200])
    assert model.score(X[200:], y[200:]) > 0.98
    ahead = model.forecast(X[200:203], 3)
    assert ahead.shape == (3, 3, 2)
    np.testing.assert_allclose(ahead[:, 0], model.predict(X[200:203]))
    np.testing.assert_allclose(ahead[:, 2], two[210:213], atol=0.3)
    one = RNNRegressor(**SMALL).fit(*next_steps(two[:, 0], 5))
    assert one.forecast([two[:9, 0], []], 2).shape == (2, 2)
    with pytest.raises(InputError, match="the next step of every channel as y"):
        RNNRegressor(**SMALL).fit(X, y[:, 0]).forecast(X)
    with pytest.raises(InputError, match="window must be from 1 to 299"):
        next_steps(two, 300)


def test_a_number_of_a_sequence_is_learned_and_kept(tmp_path):
    rng = np.random.default_rng(0)
    X = [rng.standard_normal(n) for n in rng.integers(2, 7, 200)]
    y = np.array([x.max() for x in X])
    model = RNNRegressor(n_units=16, batch_size=32, learning_rate=0.02, max_epochs=30, random_state=0)
    assert model.fit(X[:150], y[:150]).score(X[150:], y[150:]) > 0.7
    fmkit.save(model, tmp_path / "model.fmkit")
    np.testing.assert_array_equal(fmkit.load(tmp_path / "model.fmkit").predict(X), model.predict(X))
