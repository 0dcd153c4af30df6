"""The training loop: time, callbacks, Ctrl-C, losses that are not finite; and that torch is loaded by nets alone."""

import os
import subprocess
import sys
import time
from functools import partial

import numpy as np
import pytest
import torch
from scipy import sparse

from fmkit import load, save
from fmkit.deep import MLPClassifier, MLPRegressor
from fmkit.errors import InputError
from fmkit.fitting import FitInterrupted


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((500, 5))
    return X, X[:, 0] > X[:, 1] ** 2


def test_history_has_a_row_an_epoch(rows):
    model = MLPClassifier((8,), max_epochs=4, early_stopping=True, random_state=0).fit(*rows)
    assert [row["epoch"] for row in model.history_] == [1, 2, 3, 4]
    assert {"train_loss", "validation_loss", "seconds", "learning_rate"} <= model.history_[0].keys()
    assert model.n_iter_ == 4
    assert "saturation" not in model.history_[0]


def test_the_schedule_ends_with_the_time(rows):
    start = time.perf_counter()
    model = MLPClassifier((8,), max_time=0.5, random_state=0).fit(*rows)
    assert 0.5 <= time.perf_counter() - start < 5
    assert model.history_[-1]["learning_rate"] < 0.001
    assert model.n_iter_ > 3


def test_callbacks_see_nets_and_end_the_fit(rows):
    seen = []

    def three(progress):
        seen.append((progress.sweep, sum(p.numel() for p in progress.machine.parameters())))
        return progress.sweep == 3

    model = MLPClassifier((8,), max_epochs=9, callbacks=[three], random_state=0).fit(*rows)
    assert seen == [(n, 5 * 8 + 8 + 8 + 1) for n in (1, 2, 3)]
    assert model.n_iter_ == 3


def test_ctrl_c_keeps_the_net_of_the_last_epoch(rows):
    def interrupt(progress):
        if progress.sweep == 3:
            raise KeyboardInterrupt

    model = MLPClassifier((8,), max_epochs=9, callbacks=[interrupt], random_state=0)
    with pytest.warns(FitInterrupted, match="interrupted in epoch 4 of 9; the machine of epoch 3 is kept"):
        model.fit(*rows)
    assert model.n_iter_ == 3
    assert model.predict(rows[0]).shape == (500,)


def test_a_loss_that_is_not_finite_halves_the_rate_once(rows):
    X, _ = rows
    diverges = {"optimizer": "sgd", "schedule": "constant", "batch_size": 50, "random_state": 0, "max_epochs": 30}
    model = MLPRegressor((32, 32), learning_rate=1e6, **diverges)
    with (
        pytest.warns(UserWarning, match="begins again at half the learning rate, 500000"),
        pytest.raises(InputError, match="at half the learning rate too: lower learning_rate"),
    ):
        model.fit(X, X[:, 0])


def test_half_the_rate_may_be_enough(rows):
    X, _ = rows

    def fit(rate):
        settings = {"optimizer": "sgd", "momentum": 0.0, "schedule": "constant", "batch_size": "full", "l2": 0.0}
        return MLPRegressor((), learning_rate=rate, max_epochs=400, random_state=0, **settings).fit(X, X @ np.ones(5))

    with pytest.warns(UserWarning, match="begins again"):
        halved = fit(1.2)  # a linear model diverges above some .9
    assert halved.score(X, X @ np.ones(5)) > 0.99
    assert halved.history_[-1]["epoch"] == 400
    assert halved.history_[-1]["learning_rate"] == pytest.approx(0.6)


def test_threads_are_those_before_the_fit(rows):
    before = torch.get_num_threads()
    MLPClassifier((8,), max_epochs=1, n_jobs=1).fit(*rows)
    assert torch.get_num_threads() == before


@pytest.mark.skipif(sys.platform != "linux", reason="other OpenMP libraries tell nothing")
@pytest.mark.parametrize(("first", "sleeps"), [("fmkit.deep", True), ("torch, fmkit.deep", False)])
def test_threads_sleep_while_they_wait_and_the_environment_stays(first, sleeps):
    code = f"import {first}, os; print(os.environ.get('OMP_WAIT_POLICY'))"
    shown = {name: value for name, value in os.environ.items() if name not in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")}
    shown["OMP_DISPLAY_ENV"] = "verbose"
    done = subprocess.run([sys.executable, "-c", code], env=shown, capture_output=True, text=True, timeout=120)
    assert done.stdout == "None\n"
    assert ("GOMP_SPINCOUNT = '0'" in done.stderr) == sleeps


def test_half_precision_learns_the_same(rows):
    model = MLPClassifier((32,), max_epochs=30, random_state=0, amp=True).fit(*rows)
    assert model.score(*rows) > 0.95
    assert model.net_.first.weight.dtype == torch.float32


def test_compiled_steps_learn_the_same(rows, monkeypatch, tmp_path):
    met = []

    def backend(graph, inputs):  # instead of a C++ compiler, which takes its time
        met.append(graph)
        return graph.forward

    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=backend))
    settings = {"dropout": 0.2, "batch_norm": True, "early_stopping": True, "max_epochs": 3, "random_state": 0}
    model = MLPClassifier((8,), compile=True, **settings).fit(*rows)
    assert met
    plain = MLPClassifier((8,), **settings).fit(*rows)
    assert list(model.net_.state_dict()) == list(plain.net_.state_dict())
    save(model, tmp_path / "net.fmkit")
    for same in (model, load(tmp_path / "net.fmkit")):
        np.testing.assert_array_equal(same.predict_proba(rows[0]), plain.predict_proba(rows[0]))


def test_without_a_compiler_a_sentence_tells(rows, monkeypatch):
    def backend(graph, inputs):
        raise RuntimeError("No working C++ compiler found")

    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=backend))
    with pytest.raises(InputError, match=r"torch cannot compile here \(.*No working.*or set compile=False"):
        MLPClassifier((8,), compile=True, max_epochs=1).fit(*rows)


@pytest.mark.skipif(torch.cuda.is_available(), reason="has a GPU")
def test_a_gpu_that_is_not_there_gets_a_sentence(rows):
    with pytest.raises(InputError, match="device='cuda': torch finds none here; set device='auto'"):
        MLPClassifier(device="cuda").fit(*rows)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="has no GPU")
def test_a_gpu_learns_as_well(rows):
    X, y = rows
    for columns in (X, sparse.csr_array(X)):
        model = MLPClassifier((32,), max_epochs=40, dropout=0.1, device="cuda", random_state=0).fit(columns, y)
        again = MLPClassifier((32,), max_epochs=40, dropout=0.1, device="cuda", random_state=0).fit(columns, y)
        assert model.score(columns, y) > 0.95
        np.testing.assert_allclose(model.predict_proba(columns), again.predict_proba(columns), atol=1e-3)
        narrow = columns.astype(np.float32)
        np.testing.assert_allclose(model.predict_proba(narrow), model.predict_proba(columns), atol=1e-2)


def test_nets_load_torch_and_nothing_heavier():
    code = "import sys, fmkit.deep; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    loaded = set(done.stdout.split())
    assert "torch" in loaded
    assert loaded.isdisjoint({"numba", "matplotlib", "polars", "torchvision", "onnx"})  # scikit-learn loads pandas
