"""`fmkit damage`: what it writes is what restoration can be tried on."""

import numpy as np
import pytest
import pyvips
import skimage.data

from fmkit.datasets import make_damage
from fmkit.restore.picture_file import read_picture
from tests.command_line import assert_one_sentence, call, run

PICTURE = skimage.data.astronaut()[80:140, 170:250]


@pytest.fixture
def clean(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write("clean.png", PICTURE, "srgb")
    return tmp_path


def write(path, pixels, interpretation):
    pyvips.Image.new_from_array(pixels, interpretation=interpretation).write_to_file(path)


def read(path):
    return read_picture(path).pixels


def test_a_picture_its_mask_and_back(clean):
    done = run("damage", "clean.png", "--kind", "random", "--share", "0.8", "--seed", "7", cwd=clean)
    assert (done.returncode, done.stdout) == (0, "")
    mask = np.random.default_rng(7).random((60, 80)) < 0.8
    said = f"fmkit: {mask.mean():.1%} of the pixels lost: clean_damaged.png, where: clean_damaged_mask.png\n"
    assert done.stderr == said
    np.testing.assert_array_equal(read("clean_damaged_mask.png"), mask * 255)
    np.testing.assert_array_equal(read("clean_damaged.png"), np.where(mask[..., None], 255, PICTURE))
    done = run("restore", "clean_damaged.png", "--truth", "clean.png", "--quiet", cwd=clean)  # finds the mask
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("picture ")
    assert "PSNR lost" in done.stdout


@pytest.mark.parametrize(
    ("colour", "pixels", "interpretation", "value"),
    [
        ("#102030", PICTURE.astype(np.uint16) * 257, "rgb16", np.array([16, 32, 48]) * 257),
        ("black", PICTURE[..., 0].copy(), "b-w", 0),
        ("white", PICTURE[..., :2].astype(np.float32) / 255, "b-w", [1, -1]),
    ],
)
def test_colours_of_what_is_lost(clean, colour, pixels, interpretation, value):
    write("some.tif", pixels, interpretation)
    assert call("damage", "some.tif", "--kind", "holes", "--size", "9", "--colour", colour).returncode == 0
    mask = make_damage((60, 80), "holes", size=9, random_state=0)
    damaged = read("some_damaged.tif")
    np.testing.assert_array_equal(damaged[~mask], pixels[~mask])
    if pixels.shape[-1] == 2:  # alpha stays
        np.testing.assert_array_equal(damaged[..., 1], pixels[..., 1])
        assert (damaged[mask, 0] == pixels[..., 0].max()).all()
    else:
        assert (damaged[mask] == value).all()


def test_lost_pixels_can_be_transparent(clean):
    assert call("damage", "clean.png", "--colour", "alpha", "--kind", "rows", "--out", "a.webp").returncode == 0
    mask = make_damage((60, 80), "rows", random_state=0)
    np.testing.assert_array_equal(read("a.webp")[..., 3], np.where(mask, 0, 255))
    assert (clean / "a_mask.png").exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["clean.png", "--kind", "fire"], "invalid value for '--kind'"),
        (["clean.png", "--kind", "random", "--size", "3"], "damage of the kind 'random' has no size to choose"),
        (["clean.png", "--kind", "rows", "--share", "2"], "share must be between 0 and 1, got 2.0"),
        (["nowhere.png"], "nowhere.png: no such file"),
        (["clean.png", "--out", "clean.png"], "clean.png: this would overwrite what is read"),
        (["clean.png", "--mask", "there.png"], "there.png: this file exists"),
        (["clean.png", "--out", "a.png", "--mask", "a.png"], "a.png: two pictures would be written to this file"),
        (["clean.png", "--colour", "alpha", "--out", "a.jpg"], "a.jpg: JPEG holds no alpha channel"),
        (["gray.png", "--colour", "red"], "gray.png: the picture is gray"),
        (["clean.png", "--colour", "reddish"], "'reddish' is no colour"),
    ],
)
def test_bad_input_is_one_sentence(clean, arguments, sentence):
    write("there.png", PICTURE, "srgb")
    write("gray.png", PICTURE[..., 0].copy(), "b-w")
    before = sorted(clean.iterdir())
    assert_one_sentence(call("damage", *arguments), sentence)
    assert sorted(clean.iterdir()) == before
