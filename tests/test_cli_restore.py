"""`fmkit restore` as a process: pictures in, pictures out, and one sentence for everything that can be mended."""

import fcntl
import os
import pty
import resource
import signal
import struct
import subprocess
import sys
import termios

import numpy as np
import pytest
import pyvips
import skimage.data

from tests.command_line import RUN, assert_one_sentence, call, run, run_unprivileged

PICTURE = skimage.data.astronaut()[80:140, 170:250]


def write(path, pixels, interpretation=None):
    kinds = {"uint8": "srgb" if pixels.ndim == 3 else "b-w", "uint16": "rgb16" if pixels.ndim == 3 else "grey16"}
    image = pyvips.Image.new_from_array(pixels, interpretation=interpretation or kinds[pixels.dtype.name])
    image.write_to_file(str(path))
    return path


def read(path):
    pixels = pyvips.Image.new_from_file(str(path)).numpy()
    return pixels[..., 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels


@pytest.fixture
def lost():
    lost = np.zeros(PICTURE.shape[:2], bool)
    lost[20:23] = lost[:, 40] = True
    return lost


@pytest.fixture
def folder(tmp_path, lost):
    """A damaged picture, its mask, and things that are no pictures."""
    write(tmp_path / "photo.png", np.where(lost[..., None], 255, PICTURE).astype(np.uint8))
    write(tmp_path / "mask.png", lost.astype(np.uint8) * 255)
    write(tmp_path / "small.png", np.zeros((5, 6), np.uint8))
    write(tmp_path / "all.png", np.full(lost.shape, 255, np.uint8))
    write(tmp_path / "none.png", np.zeros(lost.shape, np.uint8))
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.png").write_text("user,item,rating\n1,2,3\n")
    (tmp_path / "noise.png").write_bytes(np.random.default_rng(0).bytes(2000))
    (tmp_path / "half.png").write_bytes((tmp_path / "photo.png").read_bytes()[:3000])
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "nomasks").mkdir()
    return tmp_path


def restore(folder, *arguments, **options):
    return run("restore", *arguments, cwd=folder, **options)


def test_a_picture_and_its_mask(folder, lost):
    done = restore(folder, "photo.png", "--mask", "mask.png", "--out", "out.png")
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert done.stderr == "fmkit: 297 of 4,800 pixels filled: out.png\n"
    restored = read(folder / "out.png")
    np.testing.assert_array_equal(restored[~lost], PICTURE[~lost])
    assert np.abs(restored[lost].astype(float) - PICTURE[lost]).mean() < 16  # eyes and hair
    assert not list(folder.glob(".*"))


@pytest.mark.parametrize("name", ["photo.png", "photo.tif"])
def test_sixteen_bits_alpha_and_a_name_of_its_own(tmp_path, lost, name):
    alpha = np.full((*lost.shape, 1), 40000, np.uint16)
    pixels = np.concatenate([np.where(lost[..., None], 65535, PICTURE.astype(np.uint16) * 256 + 3), alpha], axis=2)
    write(tmp_path / name, pixels.astype(np.uint16))
    done = restore(tmp_path, name, "--lost", "white", "--quiet", "--jobs", "1", "--seed", "3")
    assert (done.returncode, done.stderr) == (0, "")
    restored = read(tmp_path / name.replace(".", "_restored."))
    assert restored.dtype == np.uint16
    np.testing.assert_array_equal(restored[~lost], pixels[~lost])
    assert (restored[..., 3] == 40000).all()
    assert (restored[lost, :3] < 65535).any(axis=1).all()


def test_transparent_pixels_are_filled_and_opaque(tmp_path, lost):
    write(tmp_path / "cut.png", np.dstack([PICTURE, np.where(lost, 0, 200).astype(np.uint8)]))
    assert restore(tmp_path, "cut.png", "--lost", "alpha").returncode == 0
    restored = read(tmp_path / "cut_restored.png")
    assert (restored[lost, 3] == 255).all()
    assert (restored[~lost, 3] == 200).all()


def test_the_mask_lies_upon_the_picture_as_it_is_displayed(tmp_path, lost):
    stored = pyvips.Image.new_from_array(np.rot90(PICTURE).copy(), interpretation="srgb")
    stored.set_type(pyvips.GValue.gint_type, "orientation", 6)  # to be displayed turned by 90 degrees clockwise
    stored.write_to_file(str(tmp_path / "photo.jpg"), Q=100)
    write(tmp_path / "mask.png", lost.astype(np.uint8) * 255)
    done = restore(tmp_path, "photo.jpg", "--mask", "mask.png", "--out", "out.jpg")
    assert done.returncode == 0, done.stderr
    assert "JPEG cannot keep the known pixels exactly" in done.stderr
    restored = read(tmp_path / "out.jpg")
    assert restored.shape == PICTURE.shape
    assert np.abs(restored.astype(float) - PICTURE).mean() < 5


def test_nothing_lost_is_copied(folder):
    done = restore(folder, "photo.png", "--mask", "none.png", "--out", "out.webp")
    assert done.returncode == 0
    assert done.stderr == "fmkit: no pixel is lost, out.webp is a copy\n"
    np.testing.assert_array_equal(read(folder / "out.webp"), read(folder / "photo.png"))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["photo.png"], "photo.png: nothing says which pixels are lost: --mask or --lost does, --detect fills"),
        (
            ["photo.png", "--mask", "mask.png", "--lost", "white"],
            "--mask and --lost both say what is lost: one is enough",
        ),
        (["nowhere.png", "--lost", "white"], "nowhere.png: no such file"),
        (["folder.png", "--lost", "white"], "folder.png: this folder holds no PNG"),
        (["empty.png", "--lost", "white"], "empty.png: the file is empty, not a picture"),
        (["text.png", "--lost", "white"], "text.png: this is no PNG, JPEG, TIFF or WebP picture"),
        (["noise.png", "--lost", "white"], "noise.png: this is no PNG, JPEG, TIFF or WebP picture"),
        (["half.png", "--lost", "white"], "half.png: the picture is damaged"),
        (["photo.png", "--mask", "nowhere.png"], "nowhere.png: no such file"),
        (["photo.png", "--mask", "text.png"], "text.png: this is no PNG"),
        (
            ["photo.png", "--mask", "small.png"],
            "small.png: the mask has 6 x 5 pixels, the picture as it is displayed 80 x 60",
        ),
        (["photo.png", "--mask", "all.png"], "all.png: every pixel is lost"),
        (["photo.png", "--mask", "mask.png", "--out", "none.png"], "none.png: this file exists: choose another name"),
        (["photo.png", "--mask", "mask.png", "--compare", "none.png"], "none.png: this file exists"),
        (["photo.png", "--mask", "mask.png", "--preview", "none.png"], "none.png: this file exists"),
        (["photo.png", "--mask", "mask.png", "--compare", "x.png", "--out", "x.png"], "x.png: two pictures would be"),
        (["photo.png", "--mask", "mask.png", "--compare", "x.bmp"], "x.bmp: pictures are written as .png"),
        (["photo.png", "--mask", "mask.png", "--truth", "small.png"], "small.png: the true picture is (5, 6) uint8"),
        (["photo.png", "--mask", "mask.png", "--truth", "nowhere.png"], "nowhere.png: no such file"),
        (["photo.png", "--mask", "nomasks"], "photo.png: no mask of this picture is in nomasks: photo.png, photo_mask"),
        (["nomasks"], "nomasks: this folder holds no PNG, JPEG, TIFF or WebP pictures (--recursive looks"),
        (["photo.png", "text.png", "--mask", "mask.png", "--out", "none.png"], "none.png: this is a file, but of sev"),
        (["photo.png", "--detect", "fire"], "invalid value for '--detect': 'fire' is not one of 'auto'"),
        (
            ["photo.png", "--detect", "--min-confidence", "0"],
            "invalid value for '--min-confidence': 0.0 is not in the range",
        ),
        (
            ["photo.png", "--lost", "white", "--min-confidence", ".5"],
            "--min-confidence is of what is looked for, and --lost",
        ),
        (["photo.png", "--lost", "pinkish"], "'pinkish' is no colour: name one of white"),
        (["photo.png", "--lost", "alpha"], "photo.png: the picture has no alpha channel"),
        (["photo.png", "--mask", "mask.png", "--out", "out.xyz"], "out.xyz: pictures are written as .png"),
        (
            ["photo.png", "--mask", "mask.png", "--out", "nowhere/out.png"],
            "nowhere/out.png: there is no folder nowhere: make it first",
        ),
        (["photo.png", "--mask", "mask.png", "--out", "photo.png"], "photo.png: this would overwrite what is read"),
        (["photo.png", "--mask", "mask.png", "--out", "mask.png"], "mask.png: this would overwrite what is read"),
    ],
)
def test_bad_input_is_one_sentence(folder, arguments, sentence, monkeypatch):
    monkeypatch.chdir(folder)
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert_one_sentence(call("restore", *arguments), sentence)
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before


@pytest.mark.parametrize(("locked", "out"), [("photo.png", "out.png"), ("locked", "locked/out.png")])
def test_no_permission(folder, locked, out):
    (folder / "locked").mkdir()
    (folder / locked).chmod(0o500 if locked == "locked" else 0)
    modules = ("fmkit.cli.restore", "fmkit.restore.workshop", "tqdm")
    paths = folder / "photo.png", "--mask", folder / "mask.png", "--out", folder / out
    assert_one_sentence(run_unprivileged(modules, "restore", *paths), "permission denied")


def test_a_full_disk_is_one_sentence_and_leaves_nothing(folder):
    def allow_2_kilobytes():
        resource.setrlimit(resource.RLIMIT_FSIZE, (2048, 2048))

    done = restore(
        folder, "photo.png", "--mask", "none.png", "--out", "out.png", "--quiet", preexec_fn=allow_2_kilobytes
    )
    assert_one_sentence(done, "out.png: the picture could not be written")
    assert not (folder / "out.png").exists()
    assert not list(folder.glob(".*"))


def test_a_picture_of_one_pixel(tmp_path):
    one = write(tmp_path / "one.png", np.full((1, 1), 255, np.uint8))
    assert_one_sentence(call("restore", one, "--lost", "white"), "every pixel is lost")
    assert_one_sentence(call("restore", one, "--mask", one), "every pixel is lost")


def test_a_yes_is_asked_for_on_a_terminal(folder):
    """Nothing says what is lost: the question is asked, with its preview, and only a yes fills."""
    code = """
from types import SimpleNamespace
import fmkit.restore.workshop as workshop
from fmkit.cli import main
workshop.find_damage = lambda picture, kind, **how: SimpleNamespace(mask=(picture == 255).all(axis=2))
main()
"""
    for answer in ("n", "y"):
        leader, follower = pty.openpty()
        process = subprocess.Popen(
            [sys.executable, "-c", code, "restore", "photo.png"],
            cwd=folder,
            stdin=follower,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        os.write(leader, f"{answer}\n".encode())
        _, err = process.communicate(timeout=120)
        os.close(leader), os.close(follower)
        assert process.returncode == 0, err
        assert b"fmkit: photo.png: " in err
        assert b"6.19% of the pixels look damaged, in 1 place; " in err
        assert b"photo_preview.png shows them. Fill them? [y/N]" in err
        assert (folder / "photo_preview.png").exists() == (answer == "n")
        assert (folder / "photo_restored.png").exists() == (answer == "y")
        (folder / "photo_preview.png").unlink(missing_ok=True)


def test_what_is_less_sure_is_filled_where_it_is_asked_for(folder):
    worn = skimage.data.camera().copy()[100:400, 100:400]
    worn[40:260, 150:152] = np.minimum(worn[40:260, 150:152].astype(int) + 40, 255)  # a faint scratch
    write(folder / "faint.png", worn)
    shares = []
    for least in (".95", ".25"):
        arguments = ["--detect", "scratches", "--min-confidence", least, "--save-mask", f"mask{least}.png"]
        done = call("restore", "faint.png", *arguments, "--preview", f"p{least}.png", cwd=folder)
        assert done.returncode == 0, done.stderr
        shares.append(np.mean(read(folder / f"mask{least}.png") > 0))
    assert 0 <= shares[0] < shares[1] < 0.1


@pytest.mark.usefixtures("ctrl_c_works")
def test_an_interrupted_start_goes_on(folder):
    """What a first start finished is in a file beside the answer, which the second takes up and takes away."""
    code = f"""
import os, signal, sys
import fmkit.restore.workshop as workshop
from fmkit.cli import main
def interrupted(picture, mask, *, checkpoint, progress, **_):
    checkpoint.write_bytes(b"tiles")
    progress(1, 2)
    os.kill(os.getpid(), {int(signal.SIGINT)})
    signal.pause()
def going_on(picture, mask, *, checkpoint, **_):
    assert checkpoint.read_bytes() == b"tiles"
    checkpoint.unlink()
    return picture
workshop.restore_image = locals()[sys.argv.pop(1)]
main()
"""
    for name, status in (("interrupted", 130), ("going_on", 0)):
        done = subprocess.run(
            [sys.executable, "-c", code, name, "restore", "photo.png", "--mask", "mask.png"],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == status, done.stderr
        assert (folder / ".photo_restored.png.tiles").exists() == (name == "interrupted")
        assert (folder / "photo_restored.png").exists() == (name == "going_on")
        kept = "finished parts of photo_restored.png are kept: the same command goes on from there"
        assert (kept in done.stderr) == (name == "interrupted")


def test_a_folder_as_a_process_with_a_bar_on_a_terminal(folder, lost):
    (folder / "scans").mkdir()
    for name in ("a.png", "c.png"):
        write(folder / "scans" / name, np.where(lost[..., None], 255, PICTURE).astype(np.uint8))
    (folder / "scans/b.png").write_text("no picture")
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    command = [*RUN, "restore", "scans", "--lost", "white", "--out", "out"]
    process = subprocess.Popen(
        command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=follower, text=True
    )
    out, _ = process.communicate(timeout=120)
    os.close(follower)
    shown = os.read(leader, 100_000).decode()
    os.close(leader)
    assert process.returncode == 1
    assert "fmkit: scans/b.png: this is no PNG, JPEG, TIFF or WebP picture" in shown
    assert "1/3 a.png:" in shown
    assert "3/3 c.png: 100%" in shown
    assert " left" in shown
    assert [line.split()[-1] for line in out.splitlines()[2:]] == ["out/a_restored.png", "failed", "out/c_restored.png"]
