"""The Restore room as a person uses it, in Chromium: dropped, painted, waited for, downloaded, compared."""

import re
from pathlib import Path

import numpy as np
import pytest

from fmkit.errors import InputError
from fmkit.restore import restore_image
from fmkit.restore.picture_file import Picture, read_picture, write_picture, write_view

pytestmark = pytest.mark.browser


@pytest.fixture
def page(chromium, address):
    context = chromium.new_context(viewport={"width": 1280, "height": 900}, accept_downloads=True)
    page = context.new_page()
    page.asked, page.mistakes = [], []
    page.on("request", lambda request: page.asked.append(request.url))
    page.on("pageerror", lambda error: page.mistakes.append(str(error)))
    page.goto(address)
    page.wait_for_selector("body[data-ready]")
    yield page
    assert page.mistakes == []
    context.close()


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    """A 16-bit picture with a resolution, as a scanner writes it."""
    x, y = np.meshgrid(np.arange(96), np.arange(64))
    pixels = np.stack([300 * x, 400 * y + 2000, 150 * (x + y)], axis=2).astype(np.uint16)
    path = tmp_path_factory.mktemp("scans") / "scan 1.tif"
    import pyvips

    header = pyvips.Image.new_from_array(pixels, interpretation="rgb16").copy(xres=11.8, yres=11.8)
    write_picture(path, pixels, Picture(pixels, False, header))
    return path


def drop(page, *paths):
    page.set_input_files("#pictures", [str(path) for path in paths])
    page.wait_for_selector(f"#queue li:nth-child({len(paths)})")
    page.wait_for_selector("#go:enabled:visible")  # from then on there is something to paint on


def paint(page, *points):
    """Along points, as shares of the canvas from its middle."""
    box = page.locator("#stage").bounding_box()
    places = [(box["x"] + box["width"] * (0.5 + x), box["y"] + box["height"] * (0.5 + y)) for x, y in points]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=4)
    page.mouse.up()


def download(page, button, folder: Path) -> Path:
    with page.expect_download() as told:
        page.click(button)
    path = folder / told.value.suggested_filename
    told.value.save_as(path)
    return path


def test_what_is_painted_is_filled_as_the_library_does_it(page, scan, tmp_path):
    drop(page, scan)
    paint(page, (-0.1, -0.1), (0.1, 0.1))
    page.select_option("#quality", "fast")
    page.click("#go")
    page.wait_for_selector("#done:visible", timeout=180_000)

    restored, mask = download(page, "#get-restored", tmp_path), download(page, "#get-mask", tmp_path)
    assert (restored.name, mask.name) == ("scan 1_restored.tif", "scan 1_mask.png")
    before, after, lost = read_picture(scan), read_picture(restored), read_picture(mask).pixels == 255
    assert 0 < lost.mean() < 0.5
    np.testing.assert_array_equal(after.pixels, restore_image(before.pixels, lost, quality="fast"))
    assert after.pixels.dtype == np.uint16
    assert round(after.header.xres, 1) == 11.8
    command = "fmkit restore 'scan 1.tif' --mask 'scan 1_mask.png' --quality fast --out 'scan 1_restored.tif'"
    assert page.input_value("#command") == command
    hosts = {re.match(r"(blob:)?https?://([^/]*)", url)[2] for url in page.asked if not url.startswith("data:")}
    assert hosts == {re.match(r"http://([^/]*)", page.url)[1]}


def test_strokes_are_undone_redone_and_erased(page, scan):
    drop(page, scan)
    assert page.is_disabled("#undo")
    paint(page, (-0.1, 0), (0.1, 0))
    assert page.is_enabled("#undo")
    assert page.is_disabled("#redo")
    page.click("#undo")
    assert page.is_disabled("#undo")
    page.click("#go")
    page.wait_for_selector("#alert:has-text('nothing is painted')")
    page.click("#alert button")
    page.click("#redo")
    page.check("[name=tool][value=erase]", force=True)
    page.locator("#size").fill("200")
    paint(page, (-0.1, 0), (0.1, 0))
    page.click("#go")
    page.wait_for_selector("#alert:has-text('nothing is painted')")


def test_the_brush_is_led_by_keys(page, scan):
    drop(page, scan)
    page.focus("#stage")
    for key in ("]", "Space", "ArrowRight", "ArrowRight", "ArrowDown", "Space"):
        page.keyboard.press(key)
    assert page.is_enabled("#undo")
    page.keyboard.press("Control+z")
    assert page.is_disabled("#undo")
    page.keyboard.press("+")
    assert page.is_visible("#zoom-told")


def test_damage_is_found_and_a_job_is_stopped(page):
    page.click("#example")
    page.wait_for_selector("#easel:visible")
    page.click("#find")
    page.wait_for_selector("#told:has-text('damaged places were found')", timeout=180_000)
    page.select_option("#quality", "best")
    page.click("#go")
    page.wait_for_selector("#told:has-text('Restoring')")
    page.click("#stop")
    page.wait_for_selector("#told:has-text('Stopped')", timeout=20_000)
    assert page.is_enabled("#go")


def test_what_has_the_colour_of_a_pen_is_marked_by_a_click(page, tmp_path):
    x, y = np.meshgrid(np.arange(96), np.arange(64))
    pixels = np.stack([200 - x, 180 - y, 90 + 0 * x], axis=2).astype(np.uint8)
    pixels[30:34, 10:86] = (20, 40, 190)
    pixels[29, 10:86] = pixels[34, 10:86] = (90, 100, 140)  # its soft edges
    write_view(tmp_path / "pen.png", [pixels])
    drop(page, tmp_path / "pen.png")
    page.check("[name=tool][value=pick]", force=True)
    box = page.locator("#stage").bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.wait_for_selector("#told:has-text('1 damaged place was found')")
    page.select_option("#quality", "fast")
    page.click("#go")
    page.wait_for_selector("#done:visible", timeout=180_000)
    lost = read_picture(download(page, "#get-mask", tmp_path)).pixels == 255
    expected = np.zeros((64, 96), bool)
    expected[29:35, 9:87] = True
    np.testing.assert_array_equal(lost, expected)
    filled = read_picture(download(page, "#get-restored", tmp_path)).pixels.astype(int)
    assert np.abs(filled - np.stack([200 - x, 180 - y, 90 + 0 * x], axis=2))[lost].max() <= 6


def test_the_search_for_damage_is_stopped_midway(page, tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (2400, 2400)).astype(np.uint8)
    write_view(tmp_path / "noise.png", [noise])
    drop(page, tmp_path / "noise.png")
    page.click("#find")
    page.wait_for_selector("#told:has-text('Looking for damage')")
    page.click("#stop")
    page.wait_for_selector("#told:has-text('Stopped')", timeout=180_000)
    assert page.is_enabled("#find")
    assert page.is_disabled("#undo")


def test_what_is_no_picture_is_refused_with_the_sentence_of_the_command_line(page, tmp_path):
    path = tmp_path / "letter.png"
    path.write_text("no picture")
    page.set_input_files("#pictures", str(path))
    page.wait_for_selector("#alert:has-text('letter.png')")
    with pytest.raises(InputError) as refused:
        read_picture(path)
    assert str(refused.value).replace(f"{path.parent}/", "") in page.text_content("#alert")
