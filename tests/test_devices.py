"""The `device` of estimators: the same results wherever they are worked out, and a sentence where they cannot be."""

import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch
from scipy import sparse
from sklearn.preprocessing import OneHotEncoder

from fmkit import Design, FMClassifier, FMOrdinal, FMRanker, FMRegressor, RelationBlock, load, save
from fmkit.datasets import load_movielens_small
from fmkit.tensors import device as devices
from fmkit.tensors.device import find_device, fit_work

GPU = [pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here"))]
DEVICES = ["torch-cpu", *GPU]


@pytest.fixture(scope="module")
def ratings():
    X, y = load_movielens_small(return_X_y=True)
    test = np.random.default_rng(0).random(len(y)) < 0.1
    return OneHotEncoder().fit_transform(X), np.asarray(y), test


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("how", [{"max_iter": 5}, {"solver": "mcmc", "max_iter": 5}, {"average": True, "max_iter": 6}])
def test_ratings_are_predicted_as_by_the_kernels(how, device, ratings):
    X, y, test = ratings
    made = [FMRegressor(8, **how, random_state=0, device=name).fit(X[~test], y[~test]) for name in ("cpu", device)]
    expected, found = (model.predict(X[test]) for model in made)
    np.testing.assert_allclose(found, expected, atol=1e-3)
    assert made[1].history_[-1]["train_loss"] == pytest.approx(made[0].history_[-1]["train_loss"], rel=1e-4)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("how", [{"max_iter": 4}, {"solver": "mcmc", "max_iter": 4}])
def test_classes_are_told_as_by_the_kernels(how, device, ratings):
    X, y, test = ratings
    made = [
        FMClassifier(4, **how, random_state=0, device=name).fit(X[:20_000], y[:20_000] > 3) for name in ("cpu", device)
    ]
    expected, found = (model.predict_proba(X[test][:500]) for model in made)
    np.testing.assert_allclose(found, expected, atol=2e-3)


@pytest.mark.parametrize("device", DEVICES)
def test_grades_are_told_as_by_the_kernels(device, ratings):
    X, y, _ = ratings
    made = [FMOrdinal(4, max_iter=4, random_state=0, device=name).fit(X[:5000], y[:5000]) for name in ("cpu", device)]
    np.testing.assert_allclose(*(model.predict_proba(X[5000:5200]) for model in made), atol=2e-3)


@pytest.mark.parametrize("device", DEVICES)
def test_rankings_are_those_of_the_kernels(device, ratings):
    X, _, _ = ratings
    users, items = (X[:, :610].indices, X[:, 610:].indices)
    pairs = np.column_stack([users, items])[::5]
    how = {"loss": "implicit", "n_factors": 8, "max_iter": 3, "unseen": 0.1, "reg": 0.01, "random_state": 0}
    made = [FMRanker(**how, validation_fraction=0, device=name).fit(pairs) for name in ("cpu", device)]
    (expected, _), (found, _) = (model.rank(n=5) for model in made)
    assert (expected == found).mean() > 0.99
    made[1].partial_fit([[0, 3]])
    assert made[1].rank([0])[0].shape == (1, 10)


def test_early_stopping_and_many_fields(ratings):
    X, y, _ = ratings
    design = Design.from_matrix(sparse.hstack([X, np.arange(len(y))[:, None] % 7 / 7.0], format="csr")[::9])
    how = {"early_stopping": True, "max_iter": 6, "random_state": 0}
    made = [FMRegressor(4, **how, device=name).fit(design, y[::9]) for name in ("cpu", "torch-cpu")]
    np.testing.assert_allclose(made[1].predict(design), made[0].predict(design), atol=2e-3)


def test_a_saved_model_is_of_no_device(tmp_path, ratings):
    X, y, _ = ratings
    model = FMRegressor(2, max_iter=2, device="torch-cpu").fit(X[:500], y[:500])
    save(model, tmp_path / "model.fm")
    assert load(tmp_path / "model.fm").device == "cpu"


@pytest.mark.parametrize("name", ["gpu", "cuda:", "cuda:x", "CUDA", ""])
def test_a_device_that_nobody_knows(name):
    with pytest.raises(
        ValueError, match=r"device must be 'cpu', 'torch-cpu', 'cuda', 'cuda:1' \(and so on\) or 'auto'"
    ):
        FMRegressor(device=name).fit(np.eye(3), [1, 2, 3])
    with pytest.raises(ValueError, match="device must be"):
        FMRanker(device=name).fit([[0, 0], [1, 1]])


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is here")
def test_no_gpu_is_told_with_the_mend():
    with pytest.raises(ValueError, match=r"device='cuda' asks for a GPU, and torch .* sees none.*: set device='cpu'"):
        FMRegressor(device="cuda").fit(np.eye(3), [1, 2, 3])


def test_an_old_driver_is_told(monkeypatch):
    def is_available():
        warnings.warn(
            "CUDA initialization: The NVIDIA driver on your system is too old (found version 11).", stacklevel=2
        )
        return False

    monkeypatch.setattr(torch.cuda, "is_available", is_available)
    with pytest.raises(ValueError, match=r"The NVIDIA driver on your system is too old\): set device='cpu'"):
        find_device("cuda:0", 1, 0)


def test_a_gpu_that_is_not_there_is_told_by_number(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert find_device("cuda", 1, 0) == torch.device("cuda", 0)
    assert find_device("auto", 1, 0) == torch.device("cuda", 0)
    assert find_device("auto", 1, 2) is None
    with pytest.raises(ValueError, match=r"device='cuda:1' asks for a GPU, and torch .* sees 1: set device='cpu'"):
        find_device("cuda:1", 1, 0)


def test_without_torch_it_is_told_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(
        ValueError, match=r"device='cuda' needs torch: pip install 'fmkit\[deep\]', or set device='cpu'"
    ):
        find_device("cuda", 1, 0)
    assert find_device("auto", 1, 0) is None


@pytest.mark.parametrize(
    "how",
    [
        {"solver": "vb"},
        {"nonnegative": True},
        {"solver": "sgd", "interaction": "ffm"},
        {"solver": "sgd", "optimizer": "adam"},
    ],
)
def test_what_has_no_steps_there_is_refused_and_auto_takes_the_kernels(how):
    X, y = np.eye(4)[np.arange(40) % 4], np.arange(40) % 4.0
    with pytest.raises(ValueError, match=r"device='torch-cpu' is for solver='als' and 'mcmc' without nonnegative=True"):
        FMRegressor(2, **how, device="torch-cpu").fit(X, y)
    FMRegressor(2, max_iter=2, **how, device="auto").fit(X, y)


@pytest.mark.parametrize("device", DEVICES)
def test_sgd_ends_where_the_kernels_end(device, ratings):
    X, y, test = ratings
    errors = []
    for name in ("cpu", device):
        model = FMRegressor(8, solver="sgd", max_iter=15, learning_rate=0.1, random_state=0, device=name)
        predicted = model.fit(X[~test], y[~test]).predict(X[test])
        errors.append(np.sqrt(np.mean((predicted - y[test]) ** 2)))
    assert errors[1] < errors[0] + 0.003
    again = FMRegressor(8, solver="sgd", max_iter=2, learning_rate=0.1, random_state=0, device=device)
    first, second = (again.fit(X[~test], y[~test]).predict(X[test]) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_sgd_of_other_losses_and_of_blocks():
    blocks = [RelationBlock(np.eye(n), np.arange(90) % n) for n in (5, 3)]
    design, y = Design.from_blocks(blocks), np.random.default_rng(0).poisson(2, 90)
    for loss in ("absolute", "huber", "poisson"):
        how = {"solver": "sgd", "loss": loss, "max_iter": 20, "random_state": 0}
        made = [FMRegressor(2, **how, device=name).fit(design, y) for name in ("cpu", "torch-cpu")]
        losses = [model.history_[-1]["train_loss"] for model in made]
        assert losses[1] == pytest.approx(losses[0], rel=0.2)


def test_relation_blocks_are_refused_with_the_mend():
    design = Design.from_blocks(
        [RelationBlock(np.eye(3), np.arange(30) % 3), RelationBlock(np.eye(2), np.arange(30) % 2)]
    )
    y = np.arange(30) % 5.0
    with pytest.raises(ValueError, match="device='torch-cpu' is for designs without relation blocks"):
        FMRegressor(2, device="torch-cpu").fit(design, y)
    written_out = Design.from_matrix(design.to_csr())
    expected, found = (
        FMRegressor(2, max_iter=3, random_state=0, device=name).fit(X, y).predict(written_out)
        for name, X in (("auto", design), ("torch-cpu", written_out))
    )
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_small_jobs_never_load_torch():
    code = (
        "import sys, numpy as np; from fmkit import FMRegressor, FMRanker; X = np.eye(4)[np.arange(40) % 4];"
        "FMRegressor(2, device='auto').fit(X, np.arange(40) % 4.0).predict(X);"
        "FMRanker('implicit', n_factors=2, device='auto').fit([[i % 7, i % 5] for i in range(20)]).rank(n=2);"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, timeout=300, capture_output=True, text=True)
    assert done.stdout == "False\n"


def test_the_work_of_a_fit_grows_with_all_that_it_has():
    assert fit_work(1000, 10, 8, 5) == 5 * fit_work(1000, 10, 8, 1)
    assert fit_work(1000, 10, 16, 1) > 3 * fit_work(1000, 10, 8, 1)
    assert fit_work(200_000, 10_000, 16, 30) < devices.WORTH  # MovieLens latest-small by the defaults
