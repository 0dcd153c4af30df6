"""States of the page that are looked at: by axe-core in test_app_accessible.py, by readers in docs/app_*.png.

A scene is a function that leads a page into a state, from the one in which the scene before it in its room left it;
the first begins with a page just loaded. A new room joins by its scenes.
"""

from collections.abc import Callable, Sequence
from typing import Any

# In hundredths of the pad: a three, from its upper left to its lower end.
THREE = ((28, 20), (45, 12), (65, 20), (64, 38), (48, 47), (68, 58), (68, 78), (48, 88), (26, 80))


def draw_line(page: Any, line: Sequence[tuple[int, int]]) -> None:
    """On the pad, by the mouse; in hundredths of its side."""
    box = page.locator("#pad").bounding_box()
    places = [(box["x"] + x * box["width"] / 100, box["y"] + y * box["height"] / 100) for x, y in line]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=4)
    page.mouse.up()


def restore_empty(page: Any) -> None:
    """Nothing dropped yet."""
    page.click("#tab-restore")


def restore_refused(page: Any) -> None:
    """What is no picture."""
    page.set_input_files("#pictures", [{"name": "letter.png", "mimeType": "image/png", "buffer": b"no picture"}])
    page.wait_for_selector("#alert button")


def restore_found(page: Any) -> None:
    """Damage found, to be corrected."""
    page.click("#example")
    page.wait_for_selector("#easel:visible")
    page.select_option("#kind", "scratches")
    page.select_option("#sureness", label="likely")
    page.click("#find")
    page.wait_for_selector("#told:has-text('damaged places were found')", timeout=180_000)


def restore_done(page: Any) -> None:
    """Before and after, in two halves."""
    page.select_option("#quality", "fast")
    page.click("#go")
    page.wait_for_selector("#done:visible", timeout=120_000)
    page.wait_for_timeout(700)


def recommend_empty(page: Any) -> None:
    """Nothing dropped yet."""
    page.click("#tab-recommend")


def recommend_columns(page: Any) -> None:
    """A table's columns, to be corrected."""
    page.click("#example-ratings")
    page.wait_for_selector("#columns:visible")


def recommend_newcomer(page: Any) -> None:
    """A newcomer's ratings, and the list with its reasons."""
    page.click("#learn")
    page.wait_for_selector("#to-rate li", timeout=120_000)
    for line, value in zip(page.query_selector_all("#to-rate li"), ("5", "4", "1", "5"), strict=False):
        line.query_selector(f"input[value='{value}']").check(force=True)
    page.wait_for_selector("#n-rated:has-text('4 rated')")
    page.wait_for_selector("#list .parts:visible")
    page.wait_for_timeout(700)


def recommend_known(page: Any) -> None:
    """Somebody of the table, and what is like the first item."""
    page.check("[name=whom][value=known]", force=True)
    page.fill("#search", "73")
    page.click("#people button:text-is('73')")
    page.wait_for_selector("#list .parts:visible")
    page.wait_for_timeout(700)
    page.locator("#list button").first.click()
    page.wait_for_selector(".alike")


def recommend_evaluation(page: Any) -> None:
    """Models beside each other."""
    page.click("#tab-judge")
    page.click("#evaluate")
    page.wait_for_selector("#bars svg", timeout=180_000)
    page.wait_for_selector("#evaluate:visible")


def classify_drawn(page: Any) -> None:
    """A digit drawn, its probabilities, the evidence, and its way through the net."""
    page.click("#tab-classify")
    page.wait_for_selector("#get-digits:visible", timeout=180_000)
    page.wait_for_selector("#train-stop", state="hidden", timeout=180_000)
    draw_line(page, THREE)
    page.wait_for_selector("#answer:visible")
    page.wait_for_timeout(1500)


def classify_contrasts(page: Any) -> None:
    """Two nets that have learned side by side."""
    page.check("[name=which][value=contrasts]", force=True)
    page.select_option("#contrast-epochs", "10")
    page.click("#contrast-form .main")
    page.wait_for_selector("#contrast-told:has-text('Done')", timeout=120_000)


SCENES: dict[str, tuple[Callable[[Any], None], ...]] = {
    "restore": (restore_empty, restore_refused, restore_found, restore_done),
    "recommend": (recommend_empty, recommend_columns, recommend_newcomer, recommend_known, recommend_evaluation),
    "classify": (classify_drawn, classify_contrasts),
}
