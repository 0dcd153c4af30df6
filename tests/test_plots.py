"""Figures: what they show is what was given, read back from what is drawn."""

import subprocess
import sys
from itertools import pairwise

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from matplotlib.figure import Figure

from fmkit import FMClassifier, FMOrdinal, FMRanker, FMRegressor, plots
from fmkit.errors import InputError
from fmkit.recommend import Recommender, compare
from tests.films import FILMS, some_ratings

RNG = np.random.default_rng(0)


def titles(axes):
    return [ax.get_title(loc="left") for ax in axes]


def labels(ax):
    return [label.get_text() for label in ax.get_yticklabels()]


@pytest.fixture(scope="module")
def table():
    rows = some_ratings()
    return {name: rows[name] for name in ("user", "item", "rating")}


@pytest.fixture(scope="module")
def recommender(table):
    return Recommender(quality="fast", n_factors=4, max_iter=20, random_state=0).fit(table, items=FILMS)


@pytest.fixture(scope="module")
def design():
    users, items = RNG.integers(0, 20, 400), RNG.integers(0, 15, 400)
    X = np.concatenate([np.eye(20)[users], np.eye(15)[items]], axis=1)
    return X, np.sin(users) + np.cos(items) + RNG.normal(0, 0.3, 400)


@pytest.mark.parametrize("form", [dict, pd.DataFrame, pl.DataFrame, pa.table, "file"])
def test_ratings_counts_what_is_in_any_table(form, table, tmp_path):
    if form == "file":
        given = tmp_path / "ratings.csv"
        pd.DataFrame(table).to_csv(given, index=False)
    else:
        given = form(table)
    counts, popularity, density = plots.ratings(given).child_axes[:3]
    last = pd.DataFrame(table).drop_duplicates(["user", "item"], keep="last")
    values, n = np.unique(last["rating"], return_counts=True)
    assert [bar.get_height() for bar in counts.patches] == n.tolist()
    np.testing.assert_allclose([bar.get_x() + bar.get_width() / 2 for bar in counts.patches], values)
    assert titles([counts])[0].startswith(f"{len(last):,} ratings, ")
    shares = popularity.lines[0].get_ydata()
    assert shares[1] == pytest.approx(last["item"].value_counts().max() / len(last))
    assert (shares[0], shares[-1]) == (0, pytest.approx(1))
    (mesh,) = density.collections
    assert mesh.get_array().shape == (30, 20)  # a block a pair in so small a table
    assert mesh.get_array().count() == len(last)


def test_ratings_of_clicks_count_what_users_have(table):
    counts, popularity, _ = plots.ratings({name: table[name] for name in ("user", "item")}).child_axes[:3]
    assert sum(bar.get_height() for bar in counts.patches) == 30
    assert counts.get_xlabel() == "items that a user has"
    assert popularity.get_ylabel() == "share of the clicks"


def test_ratings_of_a_recommender_are_those_of_its_fit(recommender, table):
    ours, theirs = (plots.ratings(given).child_axes[0] for given in (recommender, table))
    assert [bar.get_height() for bar in ours.patches] == [bar.get_height() for bar in theirs.patches]


def test_every_plot_draws_into_the_ax_given_and_returns_it(recommender, design):
    X, y = design
    figure = Figure((18, 12), layout="constrained")
    axes = iter(figure.subplots(2, 3).ravel())
    chain = FMRegressor(1, solver="mcmc", max_iter=20, random_state=0).fit(X, y)
    drawn = [
        lambda ax: plots.ratings(recommender, ax=ax),
        lambda ax: plots.training(chain, ax=ax),
        lambda ax: plots.traces(chain, ax=ax),
        lambda ax: plots.item_map(recommender, ax=ax),
        lambda ax: plots.reasons(recommender, 3, 5, ax=ax),
        lambda ax: plots.calibration(y, chain.predict(X), ax=ax),
    ]
    for draw in drawn:
        ax = next(axes)
        assert draw(ax) is ax
    figure.draw_without_rendering()
    with pytest.raises(InputError, match="ax must be one matplotlib Axes"):
        plots.calibration(y, y, ax=figure.subplots(1, 2))


def test_panels_lie_inside_of_their_frame_beside_each_other(table):
    ax = plots.ratings(table)
    ax.figure.draw_without_rendering()
    frame = ax.get_position()
    boxes = [panel.get_position() for panel in ax.child_axes[:3]]
    assert boxes[0].x0 == pytest.approx(frame.x0)
    assert boxes[2].x1 == pytest.approx(frame.x1)
    gaps = [(right.x0 - left.x1) * ax.figure.get_size_inches()[0] for left, right in pairwise(boxes)]
    assert gaps == pytest.approx([0.95, 0.95])


def test_training_draws_the_histories(design):
    fits = {
        "one": FMRegressor(1, max_iter=6, early_stopping=True, random_state=0).fit(*design),
        "two": FMRegressor(2, max_iter=4, random_state=0).fit(*design),
    }
    ax = plots.training(fits)
    solid = next(line for line in ax.lines if line.get_label() == "one")
    history = fits["one"].history_
    assert solid.get_ydata().tolist() == [row["validation_loss"] for row in history]
    best = min(history, key=lambda row: row["validation_loss"])
    assert [best["sweep"]] in [list(line.get_xdata()) for line in ax.lines]
    dashed = next(line for line in ax.lines if line.get_label() == "two")
    assert dashed.get_linestyle() == "--"
    assert dashed.get_ydata().tolist() == [row["train_loss"] for row in fits["two"].history_]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["one", "two", "set aside", "trained on"]
    same = plots.training(fits["two"].history_).lines[0]
    assert same.get_ydata().tolist() == dashed.get_ydata().tolist()


def test_training_takes_nets():
    from fmkit.deep import MLPClassifier

    X = RNG.random((60, 3))
    net = MLPClassifier((4,), max_epochs=3, random_state=0).fit(X, X[:, 0] > 0.5)
    ax = plots.training(net)
    assert ax.get_xlabel() == "epoch"
    assert ax.lines[0].get_xdata().tolist() == [row["epoch"] for row in net.history_]


def test_training_takes_streams():
    batches = [pa.table({"who": np.arange(30) % 3, "y": np.arange(30) % 3 + 0.1 * n}) for n in range(4)]
    model = FMRegressor(1, solver="sgd", random_state=0).fit_stream(batches, target="y")
    ax = plots.training(model)
    assert ax.get_xlabel() == "batch"
    told = [row for row in model.history_ if row["train_loss"] is not None]
    assert list(ax.lines[0].get_ydata()) == [row["train_loss"] for row in told]


def test_training_refuses_what_has_no_curve(design, recommender):
    with pytest.raises(InputError, match="FMRegressor has no history: fit it first"):
        plots.training(FMRegressor())
    with pytest.raises(InputError, match="Recommender keeps no history"):
        plots.training(recommender)
    pairs = np.stack([np.arange(60) % 10, np.arange(60) * 7 % 11], axis=1)
    with pytest.raises(InputError, match="a history of trials"):
        plots.training(FMRanker("implicit", n_factors=2, random_state=0).fit(pairs))
    with pytest.raises(InputError, match="there is no fit to draw"):
        plots.training([])
    with pytest.raises(InputError, match="colours tell 7 fits apart, these are 8"):
        plots.training({str(n): FMRegressor() for n in range(8)})


def test_calibration_has_the_means_of_bins():
    predicted = np.repeat([1.0, 2.0, 3.0], 40)
    truth = predicted + np.tile([-0.5, 0.5], 60)
    ax = plots.calibration(truth, predicted, bins=3)
    (bins,) = ax.containers
    np.testing.assert_allclose(bins.lines[0].get_xydata(), [[1, 1], [2, 2], [3, 3]], atol=1e-12)
    (_, low), (_, high) = bins.lines[2][0].get_segments()[0]
    assert high - low == pytest.approx(2 * 1.96 * 0.5 * np.sqrt(40 / 39) / np.sqrt(40))


def test_calibration_of_probabilities_stays_between_0_and_1():
    ax = plots.calibration(np.zeros(50, bool), np.full(50, 0.25))
    assert ax.get_ylabel() == "share that happened"
    ((_, low), (_, high)) = ax.containers[0].lines[2][0].get_segments()[0]
    assert low == pytest.approx(0)
    assert 0.05 < high < 0.1  # Wilson's, of none in 50
    assert ax.get_xlim() == (0, 1)


def test_intervals_counts_the_truths_inside():
    ax = plots.intervals([0.0, 1.0, 2.0, 5.0], [0.0] * 4, [1.0] * 4)
    curve = ax.lines[1]
    assert dict(zip(*curve.get_data(), strict=True))[90] == 50  # 0 and 1 of four within 1.645
    assert [text.get_text() for text in ax.texts[:4]] == ["25.0%", "50.0%", "50.0%", "50.0%"]


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (lambda: plots.calibration([], []), "y_true must be of shape"),
        (lambda: plots.calibration(["a", "b"], [0, 1]), "whether each is of one class"),
        (lambda: plots.calibration([1, 2], [1]), "y_pred must be as long as y_true, got 1 and 2"),
        (lambda: plots.calibration([1, np.nan], [1, 1]), "y_true must be finite, row 1 is not"),
        (lambda: plots.calibration([1, 2], [1, 2], bins=0), "bins must be at least 1"),
        (lambda: plots.intervals([1, 2], [1, 2], [1, 0]), "std must be above 0, row 1 has 0"),
        (lambda: plots.certainty(np.ones((3, 3)), np.ones((3, 4))), "picture and std must be of one size"),
        (lambda: plots.contact_sheet({}), "there is no column of pictures"),
        (lambda: plots.contact_sheet({"a": [np.ones((3, 3))] * 2, "b": np.ones((3, 3))}), "'b' has 1 and not 2"),
        (
            lambda: plots.contact_sheet({"a": np.ones((3, 3))}, truth=np.ones((3, 4))),
            "row 1 has 3x3 and 3x4, in 'truth'",
        ),
        (lambda: plots.contact_sheet({"a": np.ones(3)}), "a picture must be of shape"),
        (lambda: plots.comparison({}), "there is no model to compare"),
        (lambda: plots.item_map(FMRegressor()), "item_map takes a fitted Recommender, this FMRegressor is none"),
        (lambda: plots.reasons(Recommender(), 1, 1), "reasons takes a fitted Recommender"),
        (lambda: plots.traces(FMRegressor()), "keeps no trace: fit"),
        (lambda: plots.ratings({"user": [], "item": []}), "holds no interactions"),
    ],
)
def test_what_does_not_fit_is_told_in_a_sentence(wrong, sentence):
    with pytest.raises(InputError, match=sentence):
        wrong()


def test_item_map_places_names_and_colours_items(recommender):
    ax = plots.item_map(recommender, labels=5)
    dots = {one.get_label(): len(one.get_offsets()) for one in ax.collections}
    assert sum(dots.values()) == 20  # the two films that nobody rated are not known
    assert set(dots) <= {"C", "D", "W", "X", "others"}
    assert ax.get_legend().get_title().get_text() == "genres"
    assert 1 <= len(ax.texts) <= 5
    assert all(text.get_text().startswith("Film ") for text in ax.texts)
    boxes = [text.get_window_extent() for text in ax.texts]
    assert not any(one.overlaps(other) for n, one in enumerate(boxes) for other in boxes[:n])
    by_author = plots.item_map(recommender, by="author", labels=0)
    assert {one.get_label() for one in by_author.collections} == {"Ang", "Bong", "Coen", "others"}
    with pytest.raises(InputError, match="there is no column 'colour' to colour items by: there are 'title'"):
        plots.item_map(recommender, by="colour")
    again = plots.item_map(recommender, labels=5)
    np.testing.assert_array_equal(again.collections[0].get_offsets(), ax.collections[0].get_offsets())


def test_item_map_keeps_what_is_alike_together(table):
    even = {"user": [], "item": [], "rating": []}
    for user in range(60):
        for item in range(24):
            if (user * 7 + item * 5) % 3:
                liked = user % 2 == item % 2
                for name, value in (("user", user), ("item", item), ("rating", 5 if liked else 1)):
                    even[name].append(value)
    films = {"item": list(range(24)), "genre": ["even", "odd"] * 12}
    model = Recommender(quality="fast", n_factors=2, max_iter=30, random_state=0).fit(even, items=films)
    ax = plots.item_map(model, labels=0)
    one, other = (np.asarray(dots.get_offsets()) for dots in ax.collections)
    within = max(np.linalg.norm(dots - dots.mean(axis=0), axis=1).max() for dots in (one, other))
    assert np.linalg.norm(one.mean(axis=0) - other.mean(axis=0)) > within


@pytest.mark.parametrize("user", [3, {0: 5, 4: 1}])
def test_reasons_add_up_to_the_rating_expected(recommender, user):
    ax = plots.reasons(recommender, user, 7, n=2)
    *parts, whole = [bar.get_width() for bar in ax.patches]
    assert sum(parts) == pytest.approx(whole, abs=5e-3)
    if not isinstance(user, dict):
        assert whole == pytest.approx(recommender.explain(user, 7)["value"].to_numpy().sum(), abs=1e-3)
    assert labels(ax)[0] == "what all scores have in common"
    assert labels(ax)[-1] == "rating expected"
    assert sum(name.startswith("you gave") for name in labels(ax)) == 2
    assert ax.texts[-1].get_text() == f"{whole:.2f}"


def test_reasons_of_clicks_tell_what_the_user_has(table):
    clicks = {name: table[name] for name in ("user", "item")}
    model = Recommender(feedback="implicit", n_factors=4, quality="fast", random_state=0).fit(clicks)
    listed = model.recommend(3, n=1)
    ax = plots.reasons(model, 3, listed["item"][0].as_py())
    *parts, whole = [bar.get_width() for bar in ax.patches]
    assert whole == pytest.approx(listed["score"][0].as_py(), abs=1e-4)
    assert sum(parts) == pytest.approx(whole, abs=1e-4)
    assert any(name.startswith("you have ") for name in labels(ax))


def test_names_are_cut_and_no_formula(table):
    dear = {**FILMS, "title": [f"$\\frac{{{i}}} a $ for {'long ' * 30}" for i in range(len(FILMS["item"]))]}
    model = Recommender(quality="fast", n_factors=2, max_iter=5, random_state=0).fit(table, items=dear)
    ax = plots.reasons(model, 3, 7)
    ax.figure.draw_without_rendering()  # a formula would not be readable
    assert "…" in ax.get_title(loc="left")
    assert max(map(len, labels(ax))) < 60
    plots.item_map(model).figure.draw_without_rendering()


def test_comparison_has_a_bar_a_model_and_their_intervals(table):
    compared = compare({}, table, how="random", baselines=["Popularity", "UserItemMeans"], random_state=0)
    ax = plots.comparison(compared)
    assert labels(ax) == list(compared.evaluations)
    assert [bar.get_width() for bar in ax.patches] == [
        one.mean()[compared.headline] for one in compared.evaluations.values()
    ]
    assert all(bar.get_hatch() for bar in ax.patches)
    ends = [list(line.get_segments()[0][:, 0]) for line in ax.collections]
    np.testing.assert_allclose(ends, [one.intervals[compared.headline] for one in compared.evaluations.values()])
    ax = plots.comparison(dict(compared.evaluations), "rmse")
    assert labels(ax) == ["UserItemMeans"]
    assert "lower is better" in ax.get_xlabel()
    with pytest.raises(InputError, match="no model has 'auc': metrics are "):
        plots.comparison(compared, "auc")


def test_contact_sheet_shows_pictures_and_their_psnr(tmp_path):
    from fmkit.restore import psnr

    truth = RNG.integers(0, 256, (40, 60, 3), np.uint8)
    lost = np.zeros((40, 60), bool)
    lost[30:36, 48:56] = True
    damaged = np.where(lost[..., None], 0, truth).astype(np.uint8)
    ax = plots.contact_sheet({"damaged": [damaged] * 2}, truth=[truth] * 2, lost=[lost] * 2, names=["a", "b"], crop=10)
    cells = ax.child_axes
    assert [cell.get_title() for cell in cells] == ["damaged", "truth", "", ""]
    assert [cell.get_ylabel() for cell in cells] == ["a", "", "b", ""]
    assert cells[0].get_xlabel() == f"{psnr(truth, damaged, lost):.1f} dB in the lost pixels"
    shown = np.asarray(cells[0].images[0].get_array())
    assert shown.shape == (10, 10, 3)
    assert (shown == 0).all(axis=2).sum() == 48  # the crop is where all of it was lost
    whole = plots.contact_sheet({"grey": truth[..., 0]}).child_axes[0].images[0].get_array()
    np.testing.assert_array_equal(whole[..., 1], truth[..., 0])


def test_certainty_shows_the_deviations_of_what_was_filled():
    std = np.zeros((8, 9, 3))
    std[2, 3] = 3, 4, 0
    ax = plots.certainty(np.full((8, 9, 3), 100, np.uint8), std)
    over = ax.images[1].get_array()
    assert over.count() == 1
    assert over[2, 3] == pytest.approx(np.sqrt(25 / 3))
    assert plots.certainty(np.ones((4, 4)), np.zeros((4, 4))).get_title(loc="left") == "nothing was filled"


def test_traces_have_the_chain_its_burn_in_and_r_hat(design):
    X, y = design
    model = FMRegressor(2, solver="mcmc", max_iter=60, random_state=0).fit(X, y)
    panels = plots.traces(model).child_axes
    told = {row.name: row for row in model.diagnostics().rows}
    assert 1 <= len(panels) <= 6
    for panel in panels:
        name, _, rest = panel.get_title(loc="left").partition(": ")
        assert panel.lines[0].get_ydata().tolist() == [row[name] for row in model.trace_]
        assert f"R-hat {told[name].r_hat:.2f}" in rest
        assert f"worth {told[name].size:.0f} " in rest
        assert panel.patches[0].get_width() == 12  # a fifth
    (panel,) = plots.traces([model, model], names=["noise"]).child_axes
    assert len(panel.lines) == 2
    with pytest.raises(InputError, match="there is no trace of 'bound': there are 'loss'"):
        plots.traces(model, names=["bound"])


def test_traces_of_other_machines(design):
    X, y = design
    (bound, *_) = plots.traces(FMRegressor(1, solver="vb", max_iter=5, random_state=0).fit(X, y)).child_axes
    assert titles([bound]) == ["bound"]
    assert not bound.patches
    for model in (
        FMClassifier(1, solver="mcmc", max_iter=12, random_state=0),
        FMOrdinal(1, max_iter=12, random_state=0),
    ):
        panels = plots.traces(model.fit(X, np.digitize(y, [-0.5, 0.5]) if "Ord" in repr(model) else y > 0)).child_axes
        assert panels[0].lines[0].get_ydata().tolist() == [
            row[panels[0].get_title(loc="left").partition(":")[0]] for row in model.trace_
        ]


def test_importing_plots_waits_for_no_matplotlib_and_its_lack_is_told():
    code = """
import sys
class Without:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "matplotlib":
            raise ImportError(name)
sys.meta_path.insert(0, Without())
import fmkit.plots
print({"torch", "pyarrow", "sklearn", "matplotlib"} & set(sys.modules))
try:
    fmkit.plots.calibration([1, 2], [1, 2])
except ImportError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout.splitlines() == ["set()", "figures need matplotlib: pip install 'fmkit[plots]'"], done.stderr


def test_figures_leave_nothing_in_pyplot(table):
    from matplotlib import pyplot

    before = pyplot.get_fignums()
    plots.ratings(table)
    plots.calibration([0, 1], [0.2, 0.7])
    assert pyplot.get_fignums() == before
