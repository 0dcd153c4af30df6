"""The Recommend room as a person uses it, in Chromium: a table dropped, items rated, a list with its reasons read."""

import random
import re

import pytest

from fmkit.recommend import Recommender, compare
from tests.app_page import served

pytestmark = pytest.mark.browser


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
        page.wait_for_selector("#alert:has-text('choose the column that tells who rates')")
        page.select_option("#column-user", "who is it")
        page.click("#learn")
        page.wait_for_selector("#desk:visible", timeout=120_000)
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


def test_the_evaluation_tells_the_numbers_of_compare(page, table):
    page.click("#tab-judge")
    page.select_option("#how", "random")
    page.fill("#top", "5")
    page.click("#evaluate")
    page.wait_for_selector("#metrics tbody tr", timeout=180_000)

    ours = {"fmkit": Recommender(quality="fast")}
    result = compare(ours, table, how="random", k=5, user="who is it", item="movieId", rating="rating")
    assert page.input_value("#metric") == result.headline == "ndcg@5"
    models = page.locator("#metrics thead th").evaluate_all("all => all.map((one) => one.firstChild.textContent)")[1:]
    assert models == list(result.evaluations)
    for line in page.query_selector_all("#metrics tbody tr")[:-1]:
        metric = line.query_selector("th").text_content()
        for name, cell in zip(models, line.query_selector_all("td"), strict=True):
            evaluation = result.evaluations[name]
            told = [evaluation.mean().get(metric), *evaluation.intervals.get(metric, ())]
            shown = "–" if told[0] is None else " ".join(f"{value:.4f}" for value in told).replace("-", "−")
            assert " ".join(re.findall(r"−?\d+\.\d+|–", cell.inner_text())) == shown
    bars = page.locator("#bars rect[y]").evaluate_all("all => all.map((one) => Number(one.getAttribute('width')))")
    values = [evaluation.mean()["ndcg@5"] for evaluation in result.evaluations.values()]
    assert [bar / bars[0] for bar in bars] == pytest.approx([value / values[0] for value in values], rel=1e-3)
    alike = [name for (name, _), p in result.tests["ndcg@5"].adjusted.items() if p >= 0.05]
    told = page.inner_text("#judge-verdict")
    assert all((name in told.partition("more than chance: ")[2].partition("\n")[0]) for name in alike)
    assert page.input_value("#judge-command") == (
        "fmkit evaluate ratings.csv --columns 'user=who is it' --quality fast --split random --test 0.2 --top 5"
    )


def test_another_metric_is_drawn_and_explained(page):
    page.select_option("#metric", "rmse")
    assert "Less is better" in page.inner_text("#meaning")
    assert page.locator("#bars rect[y]").count() == 2  # only two foretell ratings
    page.set_viewport_size({"width": 400, "height": 800})
    page.wait_for_timeout(300)
    assert page.evaluate("document.documentElement.scrollWidth") == 400
    page.set_viewport_size({"width": 1280, "height": 900})


def test_an_evaluation_is_stopped_and_refused_as_on_the_command_line(page):
    page.select_option("#how", "time")
    page.click("#evaluate")
    page.wait_for_selector("#judging:has-text('needs times')", timeout=120_000)
    assert page.is_visible("#evaluate")
    page.click("#evaluate")
    page.click("#judge-stop")
    page.wait_for_selector("#evaluate:visible")
    assert "so far" not in page.text_content("#judging")
    assert not page.is_visible("#judge-stop")
    page.click("#tab-lists")


def test_lists_of_what_people_choose_are_learned_where_they_are_asked_for(page):
    assert "Foretells ratings" in page.inner_text("#aim")
    page.select_option("#column-rating", "")
    assert page.is_disabled("#learn-feedback")
    assert page.input_value("#learn-feedback") == "implicit"
    page.select_option("#column-rating", "rating")
    assert page.input_value("#learn-feedback") == "auto"
    page.select_option("#learn-feedback", "implicit")
    assert "Each row counts as a choice" in page.inner_text("#aim")
    page.click("#learn")
    page.wait_for_selector("#rate-title:has-text('Which of these')", state="attached", timeout=120_000)
    assert "840 clicks" in page.text_content("#facts")
    assert "--" not in page.text_content("#notes")
    page.click("#tab-judge")
    page.select_option("#how", "random")
    page.click("#evaluate")
    page.wait_for_selector("#evaluate", state="hidden")
    page.wait_for_selector("#evaluate", timeout=120_000)
    assert "--feedback implicit" in page.input_value("#judge-command")
