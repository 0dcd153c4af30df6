"""The Recommend room as a person uses it, in Chromium: a table dropped, items rated, a list with its reasons read."""

import random
import re

import pytest

from tests.app_page import browser, served

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def chromium():
    with browser() as found:
        yield found


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Ratings of two tastes, with a column of an unusual name."""
    draw, path = random.Random(0), tmp_path_factory.mktemp("tables") / "ratings.csv"
    lines = ["who is it,movieId,rating"]
    for person in range(60):
        for movie in draw.sample(range(30), 14):
            likes = movie % 2 == person % 2
            lines.append(f"p{person},{movie},{draw.choice([4, 5]) if likes else draw.choice([1, 2])}")
    path.write_text("\n".join(lines))
    return path


@pytest.fixture(scope="module")
def page(chromium, table):
    """A page with a model of the table."""
    with served(grace=1.0) as address:
        context = chromium.new_context(viewport={"width": 1280, "height": 900}, accept_downloads=True)
        page = context.new_page()
        mistakes = []
        page.on("pageerror", lambda error: mistakes.append(str(error)))
        page.goto(f"{address}/#recommend")
        page.wait_for_selector("body[data-ready]")
        page.set_input_files("#ratings", str(table))
        page.wait_for_selector("#columns:visible")
        assert page.input_value("#column-item") == "movieId"
        assert page.input_value("#column-user") == ""
        page.click("#learn")
        page.wait_for_selector("#learning:has-text('no column for user was found')", timeout=40_000)
        page.select_option("#column-user", "who is it")
        page.click("#learn")
        page.wait_for_selector("#desk:visible", timeout=60_000)
        yield page
        assert mistakes == []
        context.close()


def numbers(texts):
    return [float(re.sub("[^0-9.-]", "", text.replace("−", "-"))) for text in texts]


def test_a_newcomer_who_rates_ten_items_gets_what_those_of_the_same_taste_like(page):
    page.wait_for_selector("#to-rate li")
    for line in page.query_selector_all("#to-rate li"):
        movie = int(line.query_selector(":scope > span").text_content())
        line.query_selector(f"input[value='{5 if movie % 2 else 1}']").check(force=True)
    page.wait_for_selector("#n-rated:has-text('10 rated')")
    page.wait_for_selector("#list > li")
    page.wait_for_timeout(500)
    listed = [int(one) for one in page.locator("#list strong").all_text_contents()]
    assert all(movie % 2 for movie in listed[:3])


def test_the_reasons_add_up_to_the_score(page):
    page.check("[name=whom][value=known]", force=True)
    page.fill("#search", "p7")
    page.click("#people button:text-is('p7')")
    page.wait_for_selector("#list .parts")
    first = page.locator("#list .parts").first
    *parts, score = numbers(first.locator("td:last-child").all_text_contents())
    assert len(parts) >= 3
    assert sum(parts) == pytest.approx(score, abs=0.006 * len(parts))


def test_without_caution_items_are_ranked_by_the_rating_expected(page):
    page.check("[name=whom][value=known]", force=True)
    page.fill("#search", "p8")
    page.click("#people button:text-is('p8')")
    page.locator("#risk").fill("0")
    page.wait_for_timeout(500)
    told = page.locator("#list .score").first.text_content()
    expected, ranked = re.findall(r"\d\.\d\d", told)
    assert expected == ranked
    page.locator("#list button").first.click()
    page.wait_for_selector(".alike:has-text('Similar: ')")


def test_a_saved_model_is_loaded_again(page, tmp_path):
    page.click("#told-model summary")
    with page.expect_download() as told:
        page.click("#get-model")
    path = tmp_path / told.value.suggested_filename
    assert path.name == "ratings.fmkit"
    told.value.save_as(path)
    page.set_input_files("#model", str(path))
    page.wait_for_selector("#n-rated:has-text('Nothing is rated yet')", state="attached")
    assert page.is_visible("#desk")
    path.write_bytes(b"no model")
    page.set_input_files("#model", str(path))
    page.wait_for_selector("#alert:has-text('ratings.fmkit')")
