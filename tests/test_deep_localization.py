"""Localisation: a class and a box of scenes that are made up."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from fmkit import load, save
from fmkit.datasets import make_scenes
from fmkit.deep import CNNClassifier
from fmkit.deep.localization import iou
from fmkit.errors import InputError


@pytest.fixture(scope="module")
def scenes():
    """Zeros and ones of twice their size, somewhere in pictures of 32 x 32."""
    digits = load_digits()
    few = digits.target < 3
    large = np.kron(digits.images[few], np.ones((2, 2))) * 15
    return make_scenes(large.astype(np.uint8), digits.target[few], 900, size=(32, 32), random_state=0)


def test_boxes_overlap_by_so_much():
    a = [[0, 0, 2, 2], [0, 0, 2, 2], [0, 0, 2, 2], [0, 0, 4, 2], [1, 1, 1, 1]]
    b = [[0, 0, 2, 2], [1, 1, 3, 3], [2, 2, 3, 3], [1, 0, 2, 2], [1, 1, 1, 1]]
    np.testing.assert_allclose(iou(a, b), [1, 1 / 7, 0, 1 / 4, 0])


def test_scenes_hold_what_they_say(scenes):
    again = make_scenes(np.full((1, 3, 4), 200, np.uint8), [0], 50, size=(9, 9), noise=0.0, random_state=1)
    for scene, (left, top, right, bottom) in zip(again.data, again.boxes.astype(int), strict=True):
        assert (right - left, bottom - top) == (4, 3)
        assert (scene[top:bottom, left:right] == 200).all()
        assert (scene == 200).sum() == 12
    assert len(np.unique(again.boxes, axis=0)) > 20
    with pytest.raises(InputError, match="size must be at least"):
        make_scenes(np.full((1, 3, 4), 200, np.uint8), [0], size=(2, 9))
    with pytest.raises(InputError, match="is black"):
        make_scenes(np.zeros((1, 3, 4), np.uint8), [0])


def test_a_net_finds_digits_and_names_them(scenes, tmp_path):
    X, classes, boxes = scenes.data, scenes.target, scenes.boxes
    train, held = np.arange(750), np.arange(750, 900)
    model = CNNClassifier(task="localize", channels=(8, 16, 32), max_epochs=10, random_state=0, n_jobs=1)
    model.fit(X[train], (classes[train], boxes[train]))
    assert model.layers_[-1] == "dense 128"
    assert model.augmentation_ == {"flip": False, "shift": 2, "cutout": 0}
    assert (model.predict(X[held]) == classes[held]).mean() > 0.9
    found = model.predict_boxes(X[held])
    assert found.shape == (150, 4)
    assert iou(found, boxes[held]).mean() > 0.65
    assert model.score(X[held], (classes[held], boxes[held])) > 0.8
    assert model.predict_proba(X[:3]).shape == (3, 3)
    save(model, tmp_path / "net.fmkit")
    loaded = load(tmp_path / "net.fmkit")
    np.testing.assert_array_equal(loaded.predict_boxes(X[:9]), model.predict_boxes(X[:9]))


def test_a_mirror_image_has_the_mirrored_box(scenes):
    X, y = np.stack([scenes.data[:60]] * 3, axis=-1), (scenes.target[:60], scenes.boxes[:60])
    model = CNNClassifier("classic", task="localize", channels=(4, 4), max_epochs=2, random_state=0, n_jobs=1).fit(X, y)
    assert model.augmentation_["flip"]
    boxes = model.predict_boxes(X)
    np.testing.assert_allclose(
        model.predict_boxes(X[:, :, ::-1])[:, [2, 1, 0, 3]] * [-1, 1, -1, 1] + [32, 0, 32, 0], boxes, atol=1e-4
    )
    assert np.ptp(boxes[:, 0]) > 0.01


def test_two_classes_weights_and_early_stopping(scenes):
    few = np.flatnonzero(scenes.target < 2)[:80]
    y = np.array(["nil", "one"])[scenes.target[few]], scenes.boxes[few]
    model = CNNClassifier("classic", task="localize", channels=(4, 4), max_epochs=2, random_state=0, n_jobs=1)
    model.set_params(early_stopping=True, class_weight="balanced").fit(scenes.data[few], y, np.ones(80))
    assert model.predict_proba(scenes.data[:5]).shape == (5, 2)
    assert set(model.predict(scenes.data[:5])) <= {"nil", "one"}


def test_what_is_wrong_gets_a_sentence(scenes):
    X, classes, boxes = scenes.data[:20], scenes.target[:20], scenes.boxes[:20]
    model = CNNClassifier("classic", task="localize", max_epochs=1, n_jobs=1)
    with pytest.raises(InputError, match=r"needs y of two parts, \(classes, boxes\)"):
        model.fit(X, classes)
    with pytest.raises(InputError, match=r"boxes of shape \(n, 4\)"):
        model.fit(X, (classes, boxes[:, :2]))
    with pytest.raises(InputError, match="row 0: the box"):
        model.fit(X, (classes, boxes[:, [2, 3, 0, 1]]))
    with pytest.raises(InputError, match="task='localize' alone"):
        CNNClassifier("classic", channels=(4, 4), max_epochs=1, n_jobs=1).fit(X, classes).predict_boxes(X)
