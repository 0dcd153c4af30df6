"""CIFAR-10: every published form is read, and what is not published is refused."""

import hashlib
import io
import json
import pickle
import tarfile
from dataclasses import replace

import numpy as np
import pytest
import pyvips

from fmkit.datasets import cifar, fetch_cifar10
from fmkit.errors import InputError

N = 4  # pictures a batch, instead of 10,000


@pytest.fixture(scope="module")
def tiny():
    """Batches of a few pictures, and their labels."""
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (6, N, 32, 32, 3), dtype=np.uint8), rng.integers(0, 10, (6, N), dtype=np.uint8)


@pytest.fixture(autouse=True)
def published(tiny, monkeypatch):
    """What is published is taken to be these."""
    X, y = tiny
    parts = {
        "data": X[:5].reshape(-1, 32, 32, 3),
        "target": y[:5].ravel(),
        "test_data": X[5],
        "test_target": y[5],
    }
    sums = {name: hashlib.sha256(np.ascontiguousarray(part).tobytes()).hexdigest() for name, part in parts.items()}
    monkeypatch.setattr(cifar, "CIFAR10", replace(cifar.CIFAR10, sha256=sums))


def binary(X, y):
    rows = np.hstack([y[:, None], X.transpose(0, 3, 1, 2).reshape(len(X), -1)])
    return rows.tobytes()


def pickled(X, y):
    batch = {b"data": X.transpose(0, 3, 1, 2).reshape(len(X), -1), b"labels": y.tolist(), b"batch_label": b"one"}
    return pickle.dumps(batch, protocol=2)


def png(X, y):
    return pyvips.Image.new_from_array(X.reshape(len(X), -1, 3)).write_to_buffer(".png")


def files_of(form, X, y):
    names = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]
    make, suffix = {"binary": (binary, ".bin"), "python": (pickled, ""), "png": (png, ".png")}[form]
    files = {name + suffix: make(*batch) for name, *batch in zip(names, X, y, strict=True)}
    if form == "png":
        files["train_lables.json"] = json.dumps(y[:5].ravel().tolist()).encode()
        files["test_lables.json"] = json.dumps(y[5].tolist()).encode()
    return files


def archive_of(files, path):
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"cifar/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


@pytest.mark.parametrize("form", ["binary", "python", "png"])
def test_every_form_is_read(tiny, tmp_path, form):
    X, y = tiny
    files = files_of(form, X, y)
    (tmp_path / "unpacked").mkdir()
    for name, content in files.items():
        (tmp_path / "unpacked" / name).write_bytes(content)
    for path in (archive_of(files, tmp_path / "cifar.tar.gz"), tmp_path / "unpacked", tmp_path):
        bunch = fetch_cifar10(path)
        np.testing.assert_array_equal(bunch.data, X[:5].reshape(-1, 32, 32, 3))
        np.testing.assert_array_equal(bunch.test_data, X[5])
        assert bunch.target.tolist() == y[:5].ravel().tolist()
        assert bunch.test_target.tolist() == y[5].tolist()
        assert bunch.target_names[6] == "frog"


@pytest.mark.parametrize("form", ["binary", "python", "png"])
def test_other_bytes_are_refused(tiny, tmp_path, form):
    X, y = tiny
    changed = X.copy()
    changed[2, 1, 3, 4, 0] ^= 1
    with pytest.raises(InputError, match="its data is not that of CIFAR-10"):
        fetch_cifar10(archive_of(files_of(form, changed, y), tmp_path / "a.tar.gz"))
    files = files_of(form, X, y)
    with pytest.raises(InputError, match="not CIFAR-10, or a damaged copy"):
        fetch_cifar10(archive_of({name: content[:-7] for name, content in files.items()}, tmp_path / "b.tar.gz"))
    whole = (tmp_path / "a.tar.gz").read_bytes()
    (tmp_path / "c.tar.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"not CIFAR-10, or a damaged copy .*: download CIFAR-10 from https"):
        fetch_cifar10(tmp_path / "c.tar.gz")
    with pytest.raises(InputError, match="no data_batch_1 in it: download CIFAR-10 from https"):
        fetch_cifar10(archive_of({"notes": b""}, tmp_path / "d.tar.gz"))
    with pytest.raises(InputError, match="no such file"):
        fetch_cifar10(tmp_path / "gone")


def test_a_pickle_calls_nothing(tiny, tmp_path):
    class Harm:
        def __reduce__(self):
            return (print, ("called",))

    files = files_of("python", *tiny)
    files["test_batch"] = pickle.dumps({b"data": Harm(), b"labels": []}, protocol=2)
    with pytest.raises(InputError, match=r"it asks for .*print"):
        fetch_cifar10(archive_of(files, tmp_path / "cifar.tar.gz"))
