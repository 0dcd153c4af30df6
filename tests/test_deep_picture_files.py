"""Folders of pictures by class: what is read, what is skipped or refused, and what is kept."""

from functools import partial

import numpy as np
import pytest
import pyvips

from fmkit import load, save
from fmkit.deep import CNNClassifier
from fmkit.deep.picture_files import common_shape, files_by_class, read_files
from fmkit.errors import InputError

Small = partial(CNNClassifier, "classic", channels=(8, 8), max_epochs=6, random_state=0, n_jobs=2, flip=False, shift=0)


def write(path, level, shape=(20, 30, 3), seed=0):
    rng = np.random.default_rng(seed)
    pixels = rng.integers(level, level + 60, shape, dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    pyvips.Image.new_from_array(pixels).write_to_file(str(path))
    return pixels


@pytest.fixture
def folder(tmp_path):
    """Dark and bright pictures, in folders of these names."""
    for i in range(8):
        write(tmp_path / "set" / "dark" / f"{i}.png", 0, seed=i)
        write(tmp_path / "set" / "bright" / "deeper" / f"{i}.jpg", 180, seed=i)
    (tmp_path / "set" / "notes.txt").write_text("no class")
    return tmp_path / "set"


def test_folders_are_classes(folder, tmp_path):
    model = Small().fit_folder(folder)
    assert model.classes_.tolist() == ["bright", "dark"]
    assert model.picture_shape_ == (20, 30, 3)
    files, labels = files_by_class(folder)
    assert model.predict(files).tolist() == labels
    assert model.score([str(file) for file in files], labels) == 1.0
    save(model, tmp_path / "net.fmkit")
    np.testing.assert_array_equal(load(tmp_path / "net.fmkit").predict_proba(files), model.predict_proba(files))
    again = Small().fit(files, labels)
    np.testing.assert_array_equal(again.predict_proba(files), model.predict_proba(files))


def test_a_damaged_picture_is_named_and_refused_or_skipped(folder):
    whole = (folder / "bright" / "deeper" / "3.jpg").read_bytes()
    (folder / "bright" / "deeper" / "3.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "dark" / "5.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"(3\.jpg|5\.png): "):
        Small().fit_folder(folder)
    with pytest.warns(UserWarning, match=r"2 of 16 pictures are left out: .*3\.jpg: .*5\.png: "):
        model = Small().fit_folder(folder, on_error="skip")
    assert model.score(*[np.array(part)[[0, 9, 10]] for part in files_by_class(folder)]) == 1.0
    with pytest.raises(InputError, match=r"5\.png: this is no picture"):
        Small().fit([folder / "dark" / "5.png", folder / "dark" / "6.png"], [0, 1])
    with pytest.raises(InputError, match=r"3\.jpg: the picture is damaged"):
        model.predict([folder / "bright" / "deeper" / "3.jpg"])
    with pytest.raises(InputError, match="on_error must be 'raise' or 'skip'"):
        Small().fit_folder(folder, on_error="ignore")


def test_sizes_and_colours(tmp_path):
    grey = [tmp_path / "a.png", tmp_path / "b.png"]
    pixels = [write(file, 10, (16, 16), seed) for seed, file in enumerate(grey)]
    assert common_shape(grey, None, 1) == (16, 16, 1)
    read, all_of_them = read_files(grey, (16, 16, 1))
    np.testing.assert_array_equal(read[..., 0], pixels)
    assert read.dtype == np.uint8
    assert all_of_them.all()
    write(tmp_path / "c.png", 10, (300, 200, 3))
    write(tmp_path / "d.webp", 10, (30, 20, 4))
    mixed = [*grey, tmp_path / "c.png", tmp_path / "d.webp"]
    assert common_shape(mixed, None, 1) == (64, 64, 3)
    assert common_shape(mixed, 24, 1) == (24, 24, 3)
    assert common_shape(mixed, (24, 32), 1) == (24, 32, 3)
    read, _ = read_files(mixed, (24, 32, 3))
    assert read.shape == (4, 24, 32, 3)
    np.testing.assert_array_equal(read[0, ..., 0], read[0, ..., 2])


def test_a_cache_is_used_and_changed_files_are_read_anew(folder, tmp_path, monkeypatch):
    kept = tmp_path / "kept"
    first = Small().fit_folder(folder, cache=kept)
    (archive,) = kept.iterdir()
    files, labels = files_by_class(folder)
    with monkeypatch.context() as patch:
        patch.setattr("fmkit.deep.picture_files._read", lambda *_: pytest.fail("it was kept"))
        second = Small().fit_folder(folder, cache=kept)
    np.testing.assert_array_equal(first.predict_proba(files), second.predict_proba(files))
    write(files[0], 100, (20, 30, 3), 99)
    Small().fit_folder(folder, cache=kept)
    assert len(list(kept.iterdir())) == 2
    assert archive.exists()
    assert len(labels) == 16


def test_folders_that_are_none_of_classes(tmp_path):
    write(tmp_path / "one" / "a.png", 0)
    with pytest.raises(InputError, match="1 of its folders hold files of the kind"):
        Small().fit_folder(tmp_path)
    with pytest.raises(OSError, match="missing"):
        Small().fit_folder(tmp_path / "missing")
    with pytest.raises(OSError, match="gone"):
        Small().fit([tmp_path / "gone.png"] * 2, [0, 1])
