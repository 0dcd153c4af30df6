"""Nets as ONNX files: onnxruntime answers as predict_proba and predict do, of any number of rows and steps."""

import json
import re
import unicodedata
from zlib import crc32

import numpy as np
import pytest

from fmkit import load, save
from fmkit.deep import CNNClassifier, RNNClassifier, RNNRegressor

runtime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

CLOSE = {"rtol": 1e-4, "atol": 1e-4}


def opened(model, folder):
    model.to_onnx(folder / "net.onnx")
    return runtime.InferenceSession(str(folder / "net.onnx"))


def told(session):
    return {name: json.loads(fact) for name, fact in session.get_modelmeta().custom_metadata_map.items()}


@pytest.mark.parametrize(
    ("architecture", "shape", "kind", "settings"),
    [
        ("airbench", (16, 16, 3), "bytes", {"flip": True}),
        ("airbench", (16, 18, 1), "floats", {"flip": True, "test_time_augmentation": False, "activation": "silu"}),
        ("resnet", (9, 10, 3), "floats", {"dropout": 0.1}),
        ("classic", (8, 8), "floats", {"activation": "tanh", "batch_norm": False, "layer_norm": True}),
        (["conv 4 5 2", "pool 3", "mean all", "dense 6"], (28, 28), "bytes", {"activation": "selu"}),
    ],
    ids=str,
)
def test_pictures(architecture, shape, kind, settings, tmp_path):
    rng = np.random.default_rng(0)
    X = rng.integers(0, 256, (24, *shape), dtype=np.uint8)
    X = X if kind == "bytes" else (X / np.float32(50) - 3).astype(np.float32)
    y = np.array(["frog", "newt", "toad"])[np.arange(24) % (3 if len(shape) == 3 else 2)]
    channels = None if isinstance(architecture, list) else (4, 6)
    model = CNNClassifier(architecture, channels=channels, max_epochs=2, random_state=0, n_jobs=1, **settings).fit(X, y)
    session = opened(model, tmp_path)
    for rows in (X[:1], X[:7]):
        (answer,) = session.run(None, {"X": rows})
        np.testing.assert_allclose(answer, model.predict_proba(rows), **CLOSE)
    assert told(session) == {"estimator": "CNNClassifier", "classes": model.classes_.tolist()}


def test_boxes_are_a_second_answer_and_a_model_file_keeps_what_pictures_were(tmp_path):
    rng = np.random.default_rng(0)
    X, classes, corners = rng.integers(0, 256, (20, 16, 24), dtype=np.uint8), np.arange(20) % 2, np.arange(40) % 8
    corners = corners.reshape(20, 2)
    model = CNNClassifier(task="localize", channels=(4, 6), max_epochs=2, random_state=0, n_jobs=1)
    save(model.fit(X, (classes, np.hstack([corners, corners + 6]))), tmp_path / "net.fmkit")
    session = opened(load(tmp_path / "net.fmkit"), tmp_path)
    for rows in (X[:1], X[:7]):
        answer, boxes = session.run(["answer", "boxes"], {"X": rows})
        np.testing.assert_allclose(answer, model.predict_proba(rows), **CLOSE)
        np.testing.assert_allclose(boxes, model.predict_boxes(rows), rtol=1e-4, atol=1e-3)


def padded(sequences, dtype, more=0, fill=np.nan):
    """Sequences as one array, and their lengths."""
    lengths = np.array([len(x) for x in sequences])
    array = np.full((len(sequences), max(1, *lengths, 0) + more, *np.shape(sequences[0])[1:]), fill, dtype)
    for row, x in zip(array, sequences, strict=True):
        row[: len(x)] = x
    return array, lengths


@pytest.mark.parametrize(
    "settings",
    [
        {"cell": "gru"},
        {"cell": "gru", "bidirectional": False, "n_layers": 2, "pooling": "last", "layer_norm": False},
        {"cell": "lstm", "n_layers": 2, "pooling": "max", "hidden_layer_sizes": (5, 4)},
        {"cell": "lstm", "bidirectional": False, "pooling": "attention", "activation": "gelu", "layer_norm": False},
        {"cell": "tanh", "n_layers": 2, "pooling": "mean"},
    ],
    ids=str,
)
def test_series_of_unequal_length(settings, tmp_path):
    rng = np.random.default_rng(0)
    X = [(1000 + rng.standard_normal((n, 3))).astype(np.float32) for n in rng.integers(1, 12, 30)]
    batch_norm = not settings.get("layer_norm", True)
    y = np.arange(30) % (2 if batch_norm else 3)
    model = RNNClassifier(n_units=5, batch_norm=batch_norm, max_epochs=2, random_state=0, **settings).fit(X, y)
    session = opened(model, tmp_path)
    for rows in ([X[3]], X[:7], [X[0][:1]], [X[0][:0], X[0]]):
        for more, fill in ((0, np.nan), (4, 7e3)):  # padding changes no result
            steps, lengths = padded(rows, np.float32, more, fill)
            (answer,) = session.run(["answer"], {"X": steps, "lengths": lengths})
            np.testing.assert_allclose(answer, model.predict_proba(rows), **CLOSE)
    assert told(session)["classes"] == model.classes_.tolist()


def test_numbers_of_series_in_their_units(tmp_path):
    rng = np.random.default_rng(0)
    X = [rng.standard_normal((n, 1)).astype(np.float32) for n in rng.integers(1, 9, 40)]
    y = np.column_stack([1000 + np.arange(40.0), -np.arange(40.0)])
    model = RNNRegressor("lstm", n_units=5, max_epochs=2, random_state=0).fit(X, y)
    session = opened(model, tmp_path)
    for rows in (X[:1], X[:7]):
        steps, lengths = padded(rows, np.float32)
        (answer,) = session.run(None, {"X": steps, "lengths": lengths})
        np.testing.assert_allclose(answer, model.predict(rows), rtol=1e-5, atol=1e-3)
    assert told(session) == {"estimator": "RNNRegressor"}


def numbers_of(texts, facts):
    """Words and n-grams as numbers, by what the file tells and nothing else."""
    known = {word: n for n, word in enumerate(facts["vocabulary"], 1)}
    split = [re.findall(facts["words"]["pattern"], unicodedata.normalize("NFC", text.lower())) for text in texts]
    words = [[known.get(word, facts["words"]["unknown"]) for word in of] for of in split]
    if facts["ngrams"] is None:
        return words, None
    return words, [sorted({*grams(of, facts["ngrams"])}) for of in split]


def grams(words, facts):
    characters = [ord(c) for c in f" {' '.join(words)} "]
    numbers = {"of_words": [crc32(word.encode()) for word in words], "of_characters": characters}
    for kind, of in numbers.items():
        for n in range(facts[kind]["shortest"], facts[kind]["longest"] + 1):
            for i in range(len(of) - n + 1):
                first, *others = of[i : i + n]
                for number in others:
                    first = (first * facts["factor"] + number) % 2**64
                yield first * facts["factor"] % 2**64 >> facts["shift"]


@pytest.mark.parametrize(
    ("estimator", "ngrams", "y"), [(RNNClassifier, 2, list("+-+-+")), (RNNRegressor, 0, [5.0, 1, 4, 2, 4])], ids=str
)
def test_texts_by_what_the_file_tells_of_them(estimator, ngrams, y, tmp_path):
    X = ["It's good", "so, so bad!", "GOOD café", "the bad café isn't it", "good it is"] * 6
    model = estimator(n_units=5, ngrams=ngrams, max_epochs=2, random_state=0).fit(X, y * 6)
    session = opened(model, tmp_path)
    for rows in (X[3:4], [*X[:5], "strange, good words", ""]):
        words, grams = numbers_of(rows, told(session))
        given = dict(zip(("X", "lengths"), padded(words, np.int64, 2, 99_999), strict=True))
        if grams is not None:
            given |= dict(zip(("ngrams", "n_ngrams"), padded(grams, np.int64, 1, -1), strict=True))
        (answer,) = session.run(None, given)
        expected = model.predict_proba(rows) if ngrams else model.predict(rows)[:, None]
        np.testing.assert_allclose(answer, expected, **CLOSE)


def test_sounds_need_no_spectra(tmp_path):
    rng = np.random.default_rng(0)
    X = [(3000 * rng.standard_normal(n)).astype(np.int16) for n in rng.integers(300, 900, 20)]
    model = RNNClassifier(n_units=5, sampling_rate=8000, max_epochs=2, random_state=0).fit(X, np.arange(20) % 3)
    session = opened(model, tmp_path)
    tone = (1e4 * np.sin(np.arange(4000) / 3)).astype(np.int16)
    for rows in (X[:1], [*X[:4], tone, X[0][:1], X[0][:0]]):
        samples, lengths = padded(rows, np.float32, 100)
        (answer,) = session.run(None, {"X": samples, "lengths": lengths})
        np.testing.assert_allclose(answer, model.predict_proba(rows), **CLOSE)
    assert told(session)["sampling_rate"] == 8000
