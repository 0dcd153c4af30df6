"""`fmkit restore` over several pictures and pages, and what it draws about them; the filling itself is a stand-in."""

import csv
import io
import json
from types import SimpleNamespace

import numpy as np
import pytest
import pyvips
import skimage.data
import tifffile

import fmkit.restore.workshop
from fmkit.restore import psnr, ssim
from fmkit.restore.lost import lost_by_mask
from fmkit.restore.picture_file import read_picture
from fmkit.restore.workshop import NOTHING_FOUND
from tests.command_line import assert_one_sentence, call

PICTURE = skimage.data.astronaut()[80:140, 170:250]


@pytest.fixture
def lost():
    lost = np.zeros(PICTURE.shape[:2], bool)
    lost[20:23] = lost[:, 40] = True
    return lost


@pytest.fixture
def asked(monkeypatch):
    """What the library was asked for; the stand-in fills with the middle of what is known."""
    asked = []

    def restore_image(picture, mask, *, progress, return_std, **options):
        asked.append(SimpleNamespace(picture=picture, mask=mask, **options))
        progress(1, 2)
        answer = picture.copy()
        answer[mask] = np.median(picture[~mask], axis=0).astype(picture.dtype)
        colours = picture[..., :-1] if picture.ndim == 3 and picture.shape[2] in (2, 4) else picture
        std = np.zeros(colours.shape, np.float32)
        std[mask] = 2.5
        return (answer, std) if return_std else answer

    def find_damage(picture, kind, min_confidence, n_jobs):
        mask = (picture == np.iinfo(picture.dtype).max).reshape(*picture.shape[:2], -1).all(axis=2)
        asked.append(SimpleNamespace(kind=kind, least=min_confidence))
        return SimpleNamespace(mask=mask, confidence=mask.astype(np.float32))

    monkeypatch.setattr(fmkit.restore.workshop, "restore_image", restore_image)
    monkeypatch.setattr(fmkit.restore.workshop, "find_damage", find_damage)
    return asked


@pytest.fixture
def folder(tmp_path, lost, monkeypatch, asked):
    monkeypatch.chdir(tmp_path)
    write("photo.png", damaged(lost))
    write("mask.png", lost.astype(np.uint8) * 255)
    return tmp_path


def damaged(lost):
    return np.where(lost[..., None], 255, PICTURE).astype(np.uint8)


def write(path, pixels):
    pyvips.Image.new_from_array(pixels, interpretation="srgb" if pixels.ndim == 3 else "b-w").write_to_file(str(path))


def read(path):
    return read_picture(path).pixels


def restore(*arguments):
    done = call("restore", *arguments)
    assert "Traceback" not in done.stderr
    return done


def fine(*arguments):
    done = restore(*arguments)
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture
def scans(folder, lost):
    """Three good pictures, each with its mask in one of the usual places, and a broken one."""
    for name in ("scans/masks", "scans/deep"):
        (folder / name).mkdir(parents=True)
    for name in ("scans/a.jpg", "scans/b.PNG", "scans/deep/c.tif"):
        write(folder / name, damaged(lost))
    for name in ("scans/a_mask.png", "scans/masks/b.tif", "scans/deep/c.mask.webp"):
        write(folder / name, np.repeat(lost[..., None], 3, axis=2).astype(np.uint8) * 255)
    (folder / "scans/broken.png").write_text("no picture")
    (folder / "scans/notes.txt").write_text("no picture")
    (folder / "scans/.hidden.png").write_text("no picture")
    return folder / "scans"


def test_a_folder_with_a_broken_file(scans, lost):
    done = restore("scans", "--recursive", "--out", "out", "--compare", "views", "--format", "csv")
    assert done.returncode == 1
    assert done.stderr == "fmkit: scans/broken.png: this is no PNG, JPEG, TIFF or WebP picture\n"
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert {row["picture"]: row["where"] for row in rows} == {
        "scans/a.jpg": "out/a_restored.png",
        "scans/b.PNG": "out/b_restored.png",
        "scans/broken.png": "failed",
        "scans/deep/c.tif": "out/deep/c_restored.tif",
    }
    assert rows[0]["size"] == "80 x 60"
    assert float(rows[0]["lost %"]) == pytest.approx(100 * lost.mean())
    restored = read("out/deep/c_restored.tif")
    np.testing.assert_array_equal(restored[~lost], PICTURE[~lost])
    assert (restored[lost] < 255).any(axis=1).all()
    assert sorted(path.name for path in scans.parent.glob("views/**/*.png")) == [
        "a_compare.png",
        "b_compare.png",
        "c_compare.png",
    ]


def test_a_second_start_leaves_what_is_done(scans, asked):
    fine("scans/a.jpg", "scans/b.PNG")
    assert len(asked) == 2
    done = fine("scans/a.jpg", "scans/b.PNG", "scans/deep/c.tif")
    assert len(asked) == 3
    assert "scans/a_restored.png exists: left as it is" in done.stdout
    fine("scans/a.jpg", "scans/b.PNG", "--overwrite")
    assert len(asked) == 5
    done = restore("scans")  # what was made is no picture to restore
    assert "_restored.png  " not in done.stdout.replace("_restored.png exists", "")
    assert len(asked) == 5


def test_masks_in_a_folder_of_their_own(scans, folder, lost, asked):
    (folder / "m" / "deep").mkdir(parents=True)
    for name in ("m/a.png", "m/b_mask.png", "m/deep/c.mask.tif"):
        write(folder / name, lost.astype(np.uint8) * 255)
    done = restore("scans", "--recursive", "--mask", "m")
    assert done.stderr.startswith("fmkit: scans/broken.png: no mask of this picture is in m: broken.png, broken_mask")
    assert len(asked) == 3
    assert all(np.array_equal(call.mask, lost) for call in asked)


def test_too_little_memory_is_said(scans, monkeypatch):
    def restore_image(*_, **__):
        raise MemoryError("Unable to allocate 9 TiB")

    monkeypatch.setattr(fmkit.restore.workshop, "restore_image", restore_image)
    sentence = "the memory does not suffice (Unable to allocate 9 TiB)"
    assert_one_sentence(restore("scans/a.jpg"), f"fmkit: {sentence}")
    assert restore("scans/a.jpg", "scans/b.PNG").stderr.count(f": {sentence}") == 2


def test_one_mask_for_all(scans, asked):
    fine("scans/a.jpg", "scans/b.PNG", "--mask", "mask.png")
    assert len(asked) == 2


def test_pictures_whose_answers_would_have_one_name(folder):
    write("photo.webp", PICTURE)
    done = restore("photo.png", "photo.webp", "--mask", "mask.png")
    assert done.returncode == 1
    assert "photo.webp: the answer would have the name of that of photo.png" in done.stderr


def test_what_is_not_told_fails_alone(scans, folder, lost):
    write(folder / "scans/z.png", damaged(lost))
    done = restore("scans/a.jpg", "scans/z.png")
    assert done.returncode == 1
    assert done.stderr.startswith("fmkit: scans/z.png: nothing says which pixels are lost: --mask or --lost does")
    assert fine("scans/z.png", "--yes").stderr == "fmkit: 297 of 4,800 pixels filled: scans/z_restored.png\n"


def test_a_preview_touches_nothing(folder, lost, asked):
    done = fine("photo.png", "--mask", "mask.png", "--preview", "p.png", "--compare", "c.png", "--save-mask", "m.png")
    assert done.stderr == "fmkit: 297 of 4,800 pixels would be filled: p.png\n"
    assert not asked
    assert sorted(path.name for path in folder.iterdir()) == ["m.png", "mask.png", "p.png", "photo.png"]
    view = read("p.png")
    assert (view[lost] == (255, 0, 60)).all()
    assert (view[:15, :30, 0] == view[:15, :30, 1]).all()  # the rest is gray
    np.testing.assert_array_equal(lost_by_mask(read("m.png")), lost)


def test_a_preview_finds_the_damage_if_nobody_tells(folder, lost, asked):
    fine("photo.png", "--preview", "p.png")
    assert [call.kind for call in asked] == ["auto"]
    assert (read("p.png")[lost] == (255, 0, 60)).all()
    assert_one_sentence(restore("photo.png", "--preview", "p.png"), "p.png: this file exists")


@pytest.mark.parametrize(
    ("arguments", "kind", "least"),
    [
        (["--detect", "photo.png"], "auto", None),
        (["photo.png", "--detect"], "auto", None),
        (["photo.png", "--detect", "--quiet"], "auto", None),
        (["photo.png", "--detect", "dust"], "dust", None),
        (["--detect=text", "photo.png", "--min-confidence", ".5"], "text", 0.5),
        (["photo.png", "--yes", "--min-confidence", "1"], "auto", 1),
    ],
)
def test_detection_with_and_without_a_kind(folder, lost, asked, arguments, kind, least):
    fine(*arguments)
    assert (asked[0].kind, asked[0].least) == (kind, least)
    np.testing.assert_array_equal(asked[1].mask, lost)


def test_a_colour_in_a_jpeg_is_not_exact(folder, lost):
    write("photo.jpg", damaged(lost))
    assert fine("photo.jpg", "--lost", "white").stderr.startswith("fmkit: JPEG blurs what was white: a mask, or")


def test_no_damage_found_is_said(folder, monkeypatch):
    write("clean.png", np.full((20, 20), 7, np.uint8))
    monkeypatch.setattr("fmkit.cli.restore._on_a_terminal", lambda: True)
    assert fine("clean.png").stderr == f"fmkit: clean.png: {NOTHING_FOUND}\n"
    assert not list(folder.glob("*restored*"))


def test_a_photograph_for_a_mask_is_noted(folder):
    write("photo.png", skimage.data.camera()[:64, :64])
    write("other.png", skimage.data.camera()[200:264, 200:264])
    told = fine("photo.png", "--mask", "other.png", "--quality", "fast").stderr
    assert "other.png looks like no mask, which is black and white" in told
    write("soft.png", (255 * np.clip(np.linspace(-9, 10, 64)[None].repeat(64, 0), 0, 1)).astype(np.uint8))
    assert (
        "looks like no mask" not in fine("photo.png", "--mask", "soft.png", "--overwrite", "--quality", "fast").stderr
    )


def test_a_picture_that_is_gone_is_no_success_though_it_was_restored_before(folder):
    write("a.png", np.zeros((20, 20), np.uint8))
    write("b_restored.png", np.zeros((20, 20), np.uint8))
    done = restore("a.png", "b.png", "--detect", "white")
    assert done.returncode == 1
    assert "b.png: no such file or directory" in done.stderr


def test_the_library_is_asked_for_what_was_wished(folder, asked):
    options = ["--quality", "best", "--method", "als", "--denoise", "--seed", "5", "--jobs", "1"]
    fine("photo.png", "--mask", "mask.png", *options)
    (call,) = asked
    assert (call.quality, call.method, call.denoise, call.random_state, call.n_jobs) == ("best", "als", True, 5, 1)
    assert call.checkpoint.name == ".photo_restored.png.tiles"
    done = fine("photo.png", "--denoise", "--out", "quiet.png")  # needs no mask
    assert done.stderr == "fmkit: no pixel is lost, quiet.png only has less noise\n"
    assert not asked[1].mask.any()


def test_not_a_number_is_lost(folder, lost, asked):
    tifffile.imwrite("float.tif", np.where(lost, np.nan, PICTURE[..., 0] / 255).astype(np.float32))
    fine("float.tif", "--uncertainty", "std.tif", "--compare", "c.png")
    np.testing.assert_array_equal(asked[0].mask, lost)
    assert read("float_restored.tif").dtype == np.float32
    np.testing.assert_array_equal(read("std.tif"), np.where(lost, np.float32(2.5), 0))


def test_before_and_after_stand_side_by_side(folder, lost):
    fine("photo.png", "--mask", "mask.png", "--compare", "c.png")
    view = read("c.png")
    band = view.shape[0] - 60
    assert view.shape == (60 + band, 80 + 4 + 80, 3)
    np.testing.assert_array_equal(view[band:, :80], damaged(lost))
    np.testing.assert_array_equal(view[band:, 84:], read("photo_restored.png"))
    assert view[:band].min() == 0  # names


def test_uncertainty_is_a_map_with_its_scale(folder, lost):
    fine("photo.png", "--mask", "mask.png", "--uncertainty", "u.png")
    view = read("u.png")
    assert view.shape[0] >= 60
    assert view.shape[1] > 80
    brightness = view[:60, :80].sum(axis=2, dtype=int)
    assert brightness[lost].min() > brightness[~lost].max()
    fine("photo.png", "--mask", "mask.png", "--uncertainty", "u.tif", "--overwrite")
    figures = read("u.tif")
    assert (figures.shape, figures.dtype) == (PICTURE.shape, np.float32)
    assert set(np.unique(figures)) == {0, 2.5}


@pytest.mark.parametrize("alpha", [False, True])
def test_scores_against_the_truth(folder, lost, alpha):
    write("truth.png", PICTURE)
    if alpha:  # which does not count
        write("photo.png", np.dstack([damaged(lost), np.full(lost.shape, 99, np.uint8)]))
    done = fine("photo.png", "--mask", "mask.png", "--truth", "truth.png", "--format", "json")
    (row,) = json.loads(done.stdout)
    restored = read("photo_restored.png")[..., :3]
    assert row["PSNR lost"] == psnr(PICTURE, restored, lost)
    assert row["SSIM lost"] == ssim(PICTURE, restored, lost)
    assert row["PSNR all"] == psnr(PICTURE, restored)
    assert row["SSIM all"] == ssim(PICTURE, restored)
    assert row["where"] == "photo_restored.png"
    assert row["seconds"] > 0


def test_what_is_written_is_scored(folder, lost):
    write("truth.png", PICTURE)
    done = fine("photo.png", "--mask", "mask.png", "--truth", "truth.png", "--out", "o.jpg", "--format", "json")
    assert json.loads(done.stdout)[0]["PSNR all"] == psnr(PICTURE, read("o.jpg"))


def test_truths_in_a_folder(folder, lost):
    (folder / "clean").mkdir()
    write("clean/photo.png", PICTURE)
    write("clean/tiny.png", PICTURE[:5, :5])
    write("photo_damaged.png", damaged(lost))
    write("tiny.png", damaged(lost)[18:23, :5])
    write("tiny_mask.png", lost[18:23, :5].astype(np.uint8))
    done = restore("photo.png", "photo_damaged.png", "other.png", "--lost", "white", "--truth", "clean")
    assert done.returncode == 1
    assert done.stderr == "fmkit: other.png: no picture of this name is in clean\n"
    assert done.stdout.count("photo") == 4
    assert "SSIM lost" in done.stdout
    done = fine("tiny.png", "--truth", "clean", "--format", "json")
    assert "SSIM all" not in json.loads(done.stdout)[0]  # smaller than a window
    assert_one_sentence(restore("mask.png", "--truth", "clean", "--yes"), "mask.png: no picture of this name")


def test_every_page_is_restored(folder, lost):
    pages = np.stack([damaged(lost), damaged(lost)[::-1]]).astype(np.uint16) * 257
    tifffile.imwrite("pages.tif", pages, photometric="rgb")
    tifffile.imwrite("masks.tif", np.stack([lost, lost[::-1]]).astype(np.uint8) * 255, photometric="minisblack")
    fine("pages.tif", "--mask", "masks.tif", "--compare", "c.png", "--uncertainty", "u.tif")
    restored = tifffile.imread("pages_restored.tif")
    assert (restored.shape, restored.dtype) == (pages.shape, np.uint16)
    for page, answer, mask in zip(pages, restored, (lost, lost[::-1]), strict=True):
        np.testing.assert_array_equal(page[~mask], answer[~mask])
        assert (answer[mask] < 65535).any(axis=1).all()
    assert tifffile.imread("u.tif").shape == pages.shape
    assert read("c-1.png").shape == read("c-2.png").shape
    assert not (folder / "c.png").exists()
    assert_one_sentence(
        restore("pages.tif", "--mask", "masks.tif", "--out", "o.tif", "--compare", "c.png"), "c-1.png: this file exists"
    )
    assert_one_sentence(
        restore("pages.tif", "--mask", "masks.tif", "--out", "o.png"), "only TIFF holds several pages, and the"
    )
    fine("pages.tif", "--mask", "mask.png", "--out", "o.tif")  # the same for all
    tifffile.imwrite("three.tif", np.zeros((3, *lost.shape), np.uint8), photometric="minisblack")
    assert_one_sentence(
        restore("pages.tif", "--mask", "three.tif", "--out", "p.tif"), "the mask has 3 pages, the picture 2"
    )


def test_finished_pages_are_taken_up_by_a_second_start(folder, lost, asked, monkeypatch):
    tifffile.imwrite("pages.tif", np.stack([damaged(lost), damaged(lost)[::-1]]), photometric="rgb")
    stand_in = fmkit.restore.workshop.restore_image

    def interrupted(*arguments, **options):
        if asked:
            raise KeyboardInterrupt
        return stand_in(*arguments, **options)

    command = ["pages.tif", "--lost", "white", "--uncertainty", "u.tif"]
    monkeypatch.setattr(fmkit.restore.workshop, "restore_image", interrupted)
    done = restore(*command)
    assert done.returncode == 130
    assert "finished parts of pages_restored.tif are kept: the same command goes on from there" in done.stderr
    monkeypatch.setattr(fmkit.restore.workshop, "restore_image", stand_in)
    fine(*command)
    assert len(asked) == 2  # not three
    assert not list(folder.glob(".*"))
    first = tifffile.imread("pages_restored.tif"), tifffile.imread("u.tif")
    fine(*command, "--overwrite")
    assert len(asked) == 4
    for before, after in zip(first, (tifffile.imread("pages_restored.tif"), tifffile.imread("u.tif")), strict=True):
        np.testing.assert_array_equal(before, after)


def test_pages_of_different_sizes(folder):
    with tifffile.TiffWriter("mixed.tif") as file:
        file.write(np.full((30, 40, 3), 255, np.uint8) * (np.arange(40) < 30)[:, None].astype(np.uint8))
        file.write(np.full((7, 9), 65535, np.uint16) * (np.arange(9) < 4))
    fine("mixed.tif", "--lost", "white")
    with tifffile.TiffFile("mixed_restored.tif") as file:
        assert [page.asarray().shape for page in file.pages] == [(30, 40, 3), (7, 9)]
        assert all(page.asarray().max() == 0 for page in file.pages)


def test_a_name_without_a_suffix_is_a_folder(folder):
    assert_one_sentence(restore("photo.png", "--out", "new/deep", "--mask", "photo_mask.png"), "no such file")
    assert_one_sentence(restore("photo.png", "--out", "new/deep"), "photo.png: nothing says which pixels are lost")
    assert not (folder / "new").exists()
    fine("photo.png", "--mask", "mask.png", "--out", "new/deep", "--compare", "new")
    assert (folder / "new/deep/photo_restored.png").exists()
    assert (folder / "new/photo_compare.png").exists()
    fine("photo.png", "--mask", "mask.png", "--out", "new", "--compare", "c.png")
    assert (folder / "new/photo_restored.png").exists()


def test_the_table_says_what_became_of_every_picture(scans):
    done = fine("scans/a.jpg", "scans/b.PNG")
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["picture", "size", "lost", "%", "seconds", "where"]
    assert lines[2].split()[:5] == ["scans/a.jpg", "80", "x", "60", "6.19"]
    assert lines[3].endswith("scans/b_restored.png")


def test_metadata_can_be_left_out(folder):
    image = pyvips.Image.new_from_file("photo.png").copy(xres=11.8, yres=11.8)
    image.set_type(pyvips.GValue.gstr_type, "exif-ifd0-Artist", "Bruegel")
    image.write_to_file("photo.jpg")
    for option in ("--keep-metadata", "--no-keep-metadata"):
        fine("photo.jpg", "--mask", "mask.png", option, "--overwrite")
        header = read_picture("photo_restored.png").header
        assert ("exif-ifd0-Artist" in header.get_fields()) == (option == "--keep-metadata")
