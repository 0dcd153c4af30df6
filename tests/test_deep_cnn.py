"""Convolutional nets: what they learn from pictures of every kind, and that the same seed learns the same."""

import subprocess
import sys
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError
from torch import nn

from fmkit import load, save
from fmkit.deep import CNNClassifier
from fmkit.deep.convnet import Pointwise
from fmkit.deep.pictures import as_pictures
from fmkit.errors import InputError

# One thread: the tests' nets are small, and tests run beside each other.
Small = partial(CNNClassifier, max_epochs=2, random_state=0, n_jobs=1)
ARCHITECTURES = ["airbench", "resnet", "classic", ["whiten 2", "conv 16", "pool", "residual 16", "mean all"]]


def pictures(n=24, shape=(16, 16, 3), n_classes=2, seed=0):
    """Bytes: every class has a bright square of its own place, in noise."""
    rng = np.random.default_rng(seed)
    X = rng.integers(0, 120, (n, *shape), dtype=np.uint8)
    y = np.arange(n) % n_classes
    half = shape[0] // 2
    for picture, label in zip(X, y, strict=True):
        top, left = divmod(label, 2)
        picture[top * half : top * half + half, left * half : left * half + half] += 100
    return X, y


def weights_of(model):
    return torch.cat([tensor.ravel().float() for tensor in model.net_.state_dict().values()]).numpy()


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=str)
@pytest.mark.parametrize("shape", [(12, 12), (16, 16, 3)])
def test_it_overfits_twenty_pictures(architecture, shape):
    rng = np.random.default_rng(0)
    X, y = rng.integers(0, 256, (20, *shape), dtype=np.uint8), np.arange(20) % 3
    model = Small(architecture, max_epochs=60, flip=False, shift=0, label_smoothing=0.0, l2=0.0).fit(X, y)
    assert -np.log(model.predict_proba(X)[np.arange(20), y]).mean() < 0.02


@pytest.mark.parametrize(
    "variant",
    [
        {"activation": "tanh", "init": "xavier"},
        {"batch_norm": False},
        {"batch_norm": False, "layer_norm": True},
        {"optimizer": "adamw"},
        {"optimizer": "lbfgs", "max_epochs": 10},
        {"learning_rate": "auto"},
        {"ema": 0.9},
        {"cutout": 2},
        {"flip": True, "shift": 1, "max_epochs": 120},
    ],
    ids=str,
)
def test_it_overfits_with_every_ingredient(variant):
    X, y = np.random.default_rng(0).random((20, 10, 10)), np.arange(20) % 3
    settings = {"max_epochs": 80, "shift": 0, "label_smoothing": 0.0, "l2": 0.0, **variant}
    model = Small("classic", channels=(16, 16), **settings).fit(X, y)
    assert model.score(X, y) == 1.0


@pytest.mark.parametrize("side", [8, 13, 28, 64])
@pytest.mark.parametrize("channels", [None, 1, 3, 4])
@pytest.mark.parametrize("architecture", ["auto", "airbench", "resnet", "classic"])
def test_every_size_and_number_of_channels(side, channels, architecture):
    X, y = pictures(8, (side, side + 2, *([channels] if channels else [])))
    model = Small(architecture, channels=(8, 8), max_epochs=1, batch_size=4).fit(X, y)
    assert model.predict_proba(X[:1]).shape == (1, 2)
    assert model.picture_shape_ == (side, side + 2, channels or 1)
    np.testing.assert_allclose(model.predict_proba(X)[:1], model.predict_proba(X[:1]), rtol=1e-4)


def test_the_largest_pictures():
    X, y = pictures(4, (224, 224, 3))
    for architecture in ("airbench", "resnet"):
        assert Small(architecture, max_epochs=1, channels=(8, 8, 8)).fit(X, y).predict(X).shape == (4,)
    assert len(Small("airbench").fit(*pictures(4, (64, 64, 3))).layers_) == 11


def test_a_pointwise_convolution_that_skips_pixels_is_torchs_own():
    ours, theirs = Pointwise(8, 16, 2), nn.Conv2d(8, 16, 1, 2)
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(2, 8, 57, 56, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(ours(x), theirs(x))
    X, y = pictures(4, (112, 112, 3))
    assert Small(["conv 8", "conv 8 1 2", "pool"], max_epochs=1).fit(X, y).predict(X).shape == (4,)


def test_digits_are_told_apart():
    digits = load_digits()
    train, held = np.arange(0, 1200), np.arange(1200, 1500)  # the last 297 were never looked at
    model = Small(max_epochs=6).fit(digits.images[train], digits.target[train])
    assert model.score(digits.images[held], digits.target[held]) > 0.965
    assert model.layers_ == ["conv 32 5", "pool", "conv 64 5", "pool", "dense 128"]


def test_auto_mirrors_colour_and_leaves_grey_as_it_is():
    X, y = pictures(8, (32, 32, 3))
    assert Small(channels=(8,)).fit(X, y).augmentation_ == {"flip": True, "shift": 2, "cutout": 0}
    assert Small(channels=(8,)).fit(X[..., 0], y).augmentation_ == {"flip": False, "shift": 2, "cutout": 0}
    mirrored = X[:, :, ::-1]
    model = Small(channels=(8,)).fit(X, y)
    np.testing.assert_allclose(model.predict_proba(X), model.predict_proba(mirrored), atol=1e-6)
    model = Small(channels=(8,), test_time_augmentation=False).fit(X, y)
    assert np.abs(model.predict_proba(X) - model.predict_proba(mirrored)).max() > 1e-4


def test_a_seed_is_a_net_bit_for_bit():
    X, y = pictures()
    settings = {"dropout": 0.3, "early_stopping": True, "cutout": 4, "channels": (8, 8)}
    a, b = Small(**settings).fit(X, y), Small(**settings).fit(X, y)
    np.testing.assert_array_equal(weights_of(a), weights_of(b))
    assert (weights_of(a) != weights_of(Small(**settings).set_params(random_state=1).fit(X, y))).any()


def test_bytes_stay_bytes_and_floats_are_narrow():
    X, y = pictures()
    model = Small("classic", channels=(8, 8)).fit(X, y)
    inputs = model.encoder_.inputs(model._read(X, reset=False), torch.float32)
    assert inputs.pixels.dtype == torch.uint8
    assert np.shares_memory(inputs.pixels.numpy(), X)
    assert inputs.batch(torch.arange(4))[0].dtype == torch.float32
    assert model._read(X / 255.0, reset=False).pixels.dtype == np.float32
    values = inputs.batch(torch.arange(len(X)))[0]
    np.testing.assert_allclose(values.mean((0, 1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(values.std((0, 1, 2)), 1, atol=1e-3)


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=str)
def test_a_loaded_net_is_the_saved_one(architecture, tmp_path):
    X, y = pictures()
    model = Small(architecture).fit(X, np.array(["cat", "dog"])[y])
    save(model, tmp_path / "net.fmkit")
    loaded = load(tmp_path / "net.fmkit")
    np.testing.assert_array_equal(loaded.predict_proba(X), model.predict_proba(X))
    assert loaded.predict(X).tolist() == model.predict(X).tolist()
    assert loaded.layers_ == model.layers_
    assert loaded.history_ == model.history_
    assert loaded.picture_shape_ == (16, 16, 3)


def test_partial_fits_and_warm_starts_go_on():
    X, y = pictures(40)
    model = Small("classic", channels=(8, 8), flip=False)
    for _ in range(5):
        model.partial_fit(X, y, classes=[0, 1])
    assert model.history_[-1]["train_loss"] < model.history_[0]["train_loss"]
    assert model.n_iter_ == 5
    model = Small("classic", channels=(8, 8), flip=False, warm_start=True, max_epochs=6).fit(X, y)
    first = model.history_[0]["train_loss"]
    assert model.fit(X, y).history_[0]["train_loss"] < first / 1.2


def test_time_ends_a_fit():
    X, y = pictures(400)
    model = Small("classic", max_epochs=None, max_time=1.0).fit(X, y)
    assert model.history_[-1]["seconds"] < 3
    assert model.history_[-1]["learning_rate"] < 0.02


def test_labels_weights_and_two_classes():
    X, y = pictures(60, n_classes=4)
    model = Small("classic", channels=(8, 8), flip=False, max_epochs=15, class_weight="balanced")
    assert model.fit(X, y, np.ones(60)).score(X, y) > 0.9
    several = np.stack([y % 2, y // 2], axis=1)
    assert model.set_params(class_weight=None).fit(X, several).predict(X).shape == (60, 2)
    told = clone(model).set_params(tell_saturation=True, activation="tanh", max_epochs=1).fit(X, y).history_
    assert len(told[0]["saturation"]) == 3


def test_what_is_wrong_gets_a_sentence():
    X, y = pictures()
    with pytest.raises(InputError, match="holds one class only: 0"):
        Small().fit(X, np.zeros(len(X)))
    with pytest.raises(InputError, match=r"must have the shape \(n, height, width\)"):
        Small().fit(X.reshape(len(X), -1), y)
    with pytest.raises(InputError, match="not finite"):
        Small().fit(np.where(X > 3, X, np.nan), y)
    with pytest.raises(InputError, match="all of one size"):
        Small().fit([X[0], X[1, :5]], y[:2])
    with pytest.raises(InputError, match="has no layer 'convolve 3': there are"):
        Small(["convolve 3"]).fit(X, y)
    with pytest.raises(InputError, match="after a dense one"):
        Small(["dense 3", "conv 3"]).fit(X, y)
    with pytest.raises(InputError, match="too small for the layer 'pool'"):
        Small(["pool"] * 5).fit(X, y)
    with pytest.raises(InputError, match="channels are of an architecture with a name"):
        Small(["conv 3"], channels=[3]).fit(X, y)
    with pytest.raises(InputError, match="less than a side"):
        Small(shift=16).fit(X, y)
    with pytest.raises(InputError, match="two rows a batch"):
        Small("classic", batch_size=1).fit(X, y)
    with pytest.raises(NotFittedError):
        Small().predict(X)
    model = Small("classic", channels=(8, 8)).fit(X, y)
    with pytest.raises(InputError, match="are 16 x 16 x 1, the net was fitted to 16 x 16 x 3"):
        model.predict(X[..., 0])
    with pytest.raises(InputError, match="fitted to pictures of uint8, these are of floats"):
        model.predict(X / 255)


def test_no_warnings_of_arrays_that_are_read_only():
    X, y = pictures()
    X.flags.writeable = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = Small("classic", channels=(8, 8)).fit(X, y)
    np.testing.assert_array_equal(model.predict(X), model.predict(X.copy()))


MEMORY = """
import re
import numpy as np
from fmkit.deep import CNNClassifier

def peak():
    return 1024 * int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1])

X, y = np.zeros((100_000, 28, 28), np.uint8), np.arange(100_000) % 2
X[::2, 3] = 200
model = CNNClassifier(["conv 1 5 3", "pool", "dense 2"], max_epochs=1, batch_size=500, n_jobs=1, early_stopping=True)
model.fit(X[:2000], y[:2000]).predict(X[:2000])  # what any fit takes
before = peak()
model.fit(X, y)
model.predict(X)
print((peak() - before) / X.nbytes)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux alone tells the peak of a process")
def test_bytes_never_become_floats_all_at_once():
    # As float32 they would take four times their own memory. A process of its own: a peak never falls. Steps and parts
    # take 17 MB of these 78 MB of pictures, and what the allocator keeps of them between adds up to 50 MB in some runs.
    told = subprocess.run([sys.executable, "-c", MEMORY], capture_output=True, text=True, check=True, timeout=120)
    assert float(told.stdout) < 2


def test_predictions_are_means_over_the_moves_that_training_knows():
    X, y = pictures(8, (32, 32, 3))
    model = Small(channels=(8,), flip=False).fit(X, y)
    padded = np.pad(X, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="reflect")
    views = X, padded[:, 2:, 2:], padded[:, :-2, :-2]
    many, alone = model.net_.copy().eval(), model.net_.copy().eval()
    alone.many_views = False
    inputs = [model.encoder_.inputs(as_pictures(view), torch.float32).batch(torch.arange(8)) for view in views]
    with torch.inference_mode():
        here, down, up = (alone(*batch) for batch in inputs)
        torch.testing.assert_close(many(*inputs[0]), here / 2 + (down + up) / 4)
    assert (here - down).abs().max() > 1e-4
