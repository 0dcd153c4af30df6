"""`fmkit report`: a page that holds all it shows, tells what is known and what is not, and runs nothing."""

import re
from html.parser import HTMLParser

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest

from fmkit import FMRanker, FMRegressor, TableEncoder, save
from fmkit.recommend import Recommender, evaluate
from fmkit.report import report
from tests.command_line import assert_one_sentence, call, run
from tests.films import FILMS, some_ratings

HOSTILE = '<script>alert(1)</script><img src=x onerror=alert(2)> & "it\'s" $\\frac$'
VOID = {"meta", "br", "path", "use", "image", "rect", "stop", "circle"}


class Page(HTMLParser):
    """Tags, text, and whether each tag is closed in its turn."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.attributes, self.words, self._open = [], [], [], []
        self.feed(html)
        self.close()
        assert not self._open

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self._open.pop() == tag

    def handle_data(self, data):
        if "style" not in self._open:
            self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="module")
def parts():
    rows = some_ratings(500)
    table = pa.table({name: rows[name] for name in ("user", "item", "rating")})
    last = {(u, i): n for n, (u, i) in enumerate(zip(rows["user"], rows["item"], strict=True))}
    kept = sorted(last.values())
    test = [n for n in kept if n % 5 == 0]
    train = [n for n in kept if n % 5]
    return table.take(pa.array(train)), table.take(pa.array(test))


@pytest.fixture(scope="module")
def movies(parts, tmp_path_factory):
    folder = tmp_path_factory.mktemp("movies")
    items = {**FILMS, "title": [HOSTILE, *FILMS["title"][1:]]}
    recommender = Recommender(quality="fast", n_factors=4, max_iter=20, random_state=0).fit(parts[0], items=items)
    save(recommender, folder / "movies.fmkit")
    pyarrow.csv.write_csv(parts[1], folder / "test.csv")
    return folder


@pytest.fixture(scope="module")
def page(movies):
    done = run(
        "report", movies / "movies.fmkit", "--data", movies / "test.csv", "--out", movies / "r.html", "--user", "3"
    )
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"fmkit: .*r\.html: [\d,]+ kB\n", done.stderr)
    assert not done.stdout
    return (movies / "r.html").read_text(encoding="utf-8")


def test_a_report_has_its_parts_each_begun_in_plain_words(page):
    sections = re.findall(r"<section.*?</section>", page, re.DOTALL)
    titles = [re.search(r"<h2>(.*?)</h2>", one)[1] for one in sections]
    assert titles == [
        "The data",
        "The fit",
        "How good it is",
        "Examples",
        "What is alike",
        "A map of the items",
        "Settings",
    ]
    for one in sections:
        assert re.match(r"<section[^>]*><h2>[^<]*</h2>\s*<p class=lead>[A-Z][^<]{40,}\.</p>", one), one[:300]
    assert 'name="viewport"' in page
    assert "prefers-color-scheme" in page or "light-dark(" in page
    assert "@media print" in page


def test_a_report_asks_for_nothing_and_runs_nothing(page):
    read = Page(page)
    assert not {"script", "link", "iframe", "object", "form", "embed"} & set(read.tags)
    assert not [name for name, _ in read.attributes if name.startswith("on")]
    asked = [value for name, value in read.attributes if name in ("src", "href", "xlink:href", "data", "action")]
    assert asked
    assert all(value.startswith(("#", "data:image/png")) for value in asked)
    assert "default-src 'none'" in dict(read.attributes)["content"] or "default-src 'none'" in page
    urls = set(re.findall(r"url\((.*?)\)", page))
    assert all(url.startswith("#") for url in urls)


def test_titles_are_told_as_they_are_written(page):
    assert "<script" not in page
    assert "onerror=alert(2)>" not in page
    assert "<script>alert(1)</script>" in Page(page).text


def test_the_figures_are_drawings_with_words_for_those_who_do_not_see_them(page):
    read = Page(page)
    assert read.tags.count("svg") >= 8
    assert read.tags.count("svg") == len(re.findall(r'<svg role="img" aria-label="[^"]{10,}"', page))
    assert "what all scores have in common" in read.text  # letters are letters
    ids = [value for name, value in read.attributes if name == "id" and value.startswith("part")]
    assert len(ids) == len(set(ids)) == 7


def test_quality_is_that_of_evaluate_beside_baselines(page, movies, parts):
    from fmkit import load

    result = evaluate(load(movies / "movies.fmkit"), parts[1])
    text = Page(page).text
    low, high = result.intervals["rmse"]
    assert f"{result.mean()['rmse']:.3f} ({low:.3f} to {high:.3f})" in text
    for name in ("Popularity", "UserItemMeans", "ItemKNN", "EASE"):
        assert name in text
    assert f"The model foretold {len(parts[1]):,} interactions" in text
    assert "User 3, " in text


def test_without_data_it_says_that_nothing_was_held_out(movies):
    html = report(movies / "movies.fmkit", title="Films <b>")
    text = Page(html).text
    assert "Nothing was held out for this report" in text
    assert "rmse by its own reckoning" in text
    assert "Films <b>" in text
    assert len(re.findall(r"User \d+, [\d,]+ ratings?", text)) == 3
    assert "rmse of this model and of baselines" not in html


def test_nothing_that_exists_is_replaced_unless_asked(movies, tmp_path):
    out = tmp_path / "r.html"
    out.write_text("mine")
    model = tmp_path / "m.fmkit"
    save(FMRegressor(1, random_state=0).fit([[1, 0], [0, 1], [1, 1]], [1, 2, 3]), model)
    assert_one_sentence(call("report", model, "--out", out), "this file exists: choose another name, or replace it")
    assert out.read_text() == "mine"
    done = call("report", model, "--out", out, "--overwrite", "--quiet")
    assert (done.returncode, done.stderr) == (0, "")
    assert out.read_text().startswith("<!doctype html>")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.fmkit", "r.html"]


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        (["nowhere.fmkit", "--out", "new.html"], "nowhere.fmkit: no such file"),
        (["movies.fmkit", "--out", "r.pdf"], "--out writes .html files, r.pdf is none"),
        (["movies.fmkit", "--out", "nowhere/r.html"], "there is no folder nowhere"),
        (["movies.fmkit", "--out", "new.html", "--user", "nobody"], "user nobody is unknown to the model"),
        (["movies.fmkit", "--out", "new.html", "--data", "nothing.csv"], "nothing.csv: no such file"),
        (["movies.fmkit", "--out", "new.html", "--target", "rating"], "leave --target out"),
        (["test.csv", "--out", "new.html"], "this is no model file"),
        (["movies.fmkit"], "missing option '--out'"),
    ],
)
def test_what_cannot_be_done_is_told_in_a_sentence(asked, sentence, movies):
    assert_one_sentence(call("report", *asked, cwd=movies), sentence)
    assert not (movies / "new.html").exists()


def test_a_machine_is_told_by_its_curve_its_columns_and_its_errors(tmp_path):
    rng = np.random.default_rng(0)
    table = pa.table({"colour": rng.choice(["red", "green", "blue"], 400), "size": rng.normal(0, 1, 400)})
    y = np.array(table["colour"].to_pylist()) == "red"
    for name, rows in (("train", slice(0, 300)), ("test", slice(300, 400))):
        pyarrow.csv.write_csv(
            table.slice(rows.start, rows.stop - rows.start).append_column(
                "it", pa.array(np.where(y, "yes", "no")[rows])
            ),
            tmp_path / f"{name}.csv",
        )
    fitted = call("train", "train.csv", "--target", "it", "--save", "m.fmkit", "--factors", 2, "--quiet", cwd=tmp_path)
    assert fitted.returncode == 0, fitted.stderr
    done = call("report", "m.fmkit", "--data", "test.csv", "--target", "it", "--out", "r.html", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    text = Page((tmp_path / "r.html").read_text()).text
    assert "accuracy 1 (1 to 1)" in text
    assert "colour=red" in text
    assert "Mean loss by pass or batch" in (tmp_path / "r.html").read_text()
    assert "The file does not hold the rows that it was fitted to" in text
    refused = call("report", "m.fmkit", "--data", "test.csv", "--target", "size", "--out", "new.html", cwd=tmp_path)
    assert_one_sentence(refused, "which the model does not know: it knows no, yes")
    refused = call("report", "m.fmkit", "--data", "test.csv", "--out", "new.html", cwd=tmp_path)
    assert_one_sentence(refused, "name the column of targets")


def test_a_chain_is_told_by_its_traces_and_whether_it_was_long_enough(tmp_path):
    X = np.eye(6)[np.arange(120) % 6]
    y = np.arange(120) % 6 + np.random.default_rng(0).normal(0, 1, 120)
    save(FMRegressor(1, solver="mcmc", max_iter=30, random_state=0).fit(X, y), tmp_path / "m.fmkit")
    (tmp_path / "test.libfm").write_text("".join(f"{value:.3f} {n % 6}:1\n" for n, value in enumerate(y)))
    text = Page(report(tmp_path / "m.fmkit", data=tmp_path / "test.libfm")).text
    assert "R-hat" in text
    assert "Was it long enough? By its own reckoning the chain is too short" in text
    assert "How many truths lie in the intervals" in report(tmp_path / "m.fmkit", data=tmp_path / "test.libfm")


def test_what_has_no_rows_to_be_judged_by_says_so(tmp_path):
    pairs = np.stack([np.arange(60) % 10, np.arange(60) * 7 % 11], axis=1)
    save(FMRanker("implicit", n_factors=2, random_state=0).fit(pairs), tmp_path / "ranker.fmkit")
    save(TableEncoder().fit({"a": ["x", "y", "x"], "b": [1.0, 2.0, 3.0]}), tmp_path / "encoder.fmkit")
    (tmp_path / "rows.csv").write_text("a,b\nx,1\n")
    text = Page(report(tmp_path / "ranker.fmkit")).text
    assert "What was tried, and what came of it" in text
    assert "NDCG@10, implicit" in text
    assert "The columns of the table" in Page(report(tmp_path / "encoder.fmkit")).text
    for name in ("ranker", "encoder"):
        with pytest.raises(ValueError, match="cannot be judged by a file of rows"):
            report(tmp_path / f"{name}.fmkit", data=tmp_path / "rows.csv")
    with pytest.raises(ValueError, match="users are of a Recommender"):
        report(tmp_path / "encoder.fmkit", users=[1])


def test_a_net_is_drawn_and_judged(tmp_path):
    from fmkit.deep import MLPClassifier

    X = np.random.default_rng(0).random((200, 2)).astype(np.float32)
    table = pa.table({"a": X[:, 0], "b": X[:, 1], "side": np.where(X[:, 0] > 0.5, "right", "left")})
    net = MLPClassifier((4,), max_epochs=3, random_state=0).fit(table.drop_columns(["side"]), table["side"].to_pylist())
    save(net, tmp_path / "net.fmkit")
    pyarrow.csv.write_csv(table, tmp_path / "rows.csv")
    html = report(tmp_path / "net.fmkit", data=tmp_path / "rows.csv", target="side")
    assert "The layers of the net" in html
    assert "MLPClassifier: " in Page(html).text
    assert "found (recall)" in Page(html).text


def test_a_restorer_is_judged_by_a_picture_that_is_damaged_on_purpose(tmp_path):
    import pyvips

    from fmkit.datasets import load_harvesters
    from fmkit.restore import ImageRestorer

    picture = load_harvesters().picture[:120, :160]
    save(ImageRestorer(quality="fast").fit(picture), tmp_path / "m.fmkit")
    pyvips.Image.new_from_array(picture).write_to_file(str(tmp_path / "clean.png"))
    html = report(tmp_path / "m.fmkit", data=tmp_path / "clean.png")
    text = Page(html).text
    assert "PSNR of the lost pixels" in text
    assert "How unsure the restoration is" in html
    assert "3 colour channels" in text


def test_a_lack_of_matplotlib_is_told_before_the_work(movies, monkeypatch):
    monkeypatch.setattr("fmkit.cli._plots.find_spec", lambda name: None)
    done = call("report", movies / "movies.fmkit", "--out", movies / "none.html")
    assert_one_sentence(done, "figures need matplotlib: pip install 'fmkit[plots]'")
