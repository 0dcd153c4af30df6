"""The pictures of the page in docs/app.md: `make screenshots`, or `python -m docs.screenshots FOLDER` for all states.

With a folder, each scene of tests/app_scenes.py is written there, light and dark, at 400, 1280 and 2000 pixels: to be
looked at before a change of the page is called done.
"""

import sys
from pathlib import Path
from typing import Any

import pyvips

from tests.app_page import browser, served
from tests.app_scenes import SCENES

HERE = Path(__file__).parent
SHIPPED = {  # of a scene: the file, and the height that is shown, or None for all of the page
    "restore_done": ("app_restore.png", None),
    "recommend_newcomer": ("app_recommend.png", 1180),
    "recommend_evaluation": ("app_evaluation.png", 1120),
    "classify_drawn": ("app_classify.png", None),
    "classify_contrasts": ("app_contrasts.png", None),
}
WIDTHS = (400, 1280, 2000)


def main() -> None:
    """Write them."""
    with served() as address, browser() as chromium:
        for scenes in SCENES.values():
            context = chromium.new_context(viewport={"width": 1280, "height": 1000})
            page = context.new_page()
            page.goto(address)
            page.wait_for_selector("body[data-ready]")
            for scene in scenes:
                scene(page)
                name = scene.__name__
                if len(sys.argv) > 1:
                    all_of(page, Path(sys.argv[1]), name)
                elif name in SHIPPED:
                    file, height = SHIPPED[name]
                    page.set_viewport_size({"width": 1280, "height": height or 1000})
                    page.wait_for_timeout(300)
                    smaller(page.screenshot(full_page=height is None), HERE / file)
            context.close()


def all_of(page: Any, folder: Path, name: str) -> None:
    """A scene in each width and scheme, to its whole height."""
    folder.mkdir(parents=True, exist_ok=True)
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 1000})
            page.wait_for_timeout(300)
            page.screenshot(path=folder / f"{name}_{width}_{scheme}.png", full_page=True)


def smaller(png: bytes, path: Path) -> None:
    """Write a picture in 256 colours: a third of the bytes, and no difference to the eye."""
    pyvips.Image.new_from_buffer(png, "").write_to_file(str(path), palette=True, compression=9, effort=10)


if __name__ == "__main__":
    main()
