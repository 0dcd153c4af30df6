"""What the contrasts show, and the figures of nets."""

import json

import numpy as np
import pytest
from sklearn.datasets import load_iris

from fmkit.deep import MLPClassifier
from fmkit.deep.contrasts import CONTRASTS, NAMES, _nets, contrast
from fmkit.deep.plots import plot_confusion, plot_history, plot_saturation
from fmkit.errors import InputError
from tests.command_line import assert_one_sentence, run


@pytest.fixture(scope="module")
def digits():
    return contrast(max_epochs=12, seeds=1, random_state=3)


def test_nets_differ_from_a_pole_in_one_ingredient():
    nets = _nets()
    poles = {pole: nets[pole] for pole in ("modern", "traditional")}
    assert len(nets) == 2 + 2 * len(CONTRASTS)
    assert set(poles["modern"]) >= {name for _, new in CONTRASTS.values() for name in new}
    for ingredient, (old, new) in CONTRASTS.items():
        for pole, side, name in (("modern", old, NAMES[ingredient][0]), ("traditional", new, NAMES[ingredient][1])):
            assert nets[f"{pole}, but {name}"] == {**poles[pole], **side}


def test_ingredients_show_on_digits(digits):
    rows = {row["net"]: row for row in digits.table()}
    modern, traditional = rows["modern"], rows["traditional"]
    assert modern["test"] > 0.9
    assert traditional["test"] < 0.6
    assert rows["modern, but batch gradient descent"]["underfit"] > modern["underfit"] + 0.2
    assert modern["epochs"] is not None
    assert traditional["epochs"] is None
    # tanh after weights of constant variance stands where it is flat, after normalised ones it does not.
    assert traditional["saturation"] > 0.4 > rows["traditional, but normalised variance"]["saturation"]
    for row in rows.values():
        assert row["overfit"] == pytest.approx(row["train"] - row["test"])
        assert row["underfit"] == pytest.approx(1 - row["train"])
    assert "no GPU is here" in str(digits) or "modern, on a GPU" in rows


def test_a_run_has_its_history_and_every_net_the_same_rows(digits):
    for net in digits.nets:
        (only,) = digits.of(net)
        assert [row["epoch"] for row in only["history"]] == list(range(1, 13))
        assert only["history"][-1]["test"] == pytest.approx(only["test"])
    again = contrast(max_epochs=12, seeds=1, random_state=3)
    assert [row["test"] for row in again.table()] == [row["test"] for row in digits.table()]


def test_a_net_that_diverges_is_told_and_counts_as_a_guess():
    X, y = load_iris(return_X_y=True)
    result = contrast(X, y, hidden_layer_sizes=(8,), max_epochs=3, seeds=1, learning_rate=1e30)
    assert any(row["diverged"] for row in result.table())
    for row in result.table():
        if row["diverged"]:
            assert row["test"] == pytest.approx(1 / 3, abs=0.01)
    assert result.plot().axes


def test_seeds_below_one_are_refused():
    with pytest.raises(InputError, match="seeds must be at least 1, got 0"):
        contrast(seeds=0)


def test_figures_show_what_they_say(digits):
    X, y = load_iris(return_X_y=True)
    model = MLPClassifier((8, 4), max_epochs=4, tell_saturation=True, early_stopping=True, random_state=0).fit(X, y)
    lines = plot_history(model).axes[0].lines
    np.testing.assert_allclose(lines[0].get_ydata(), [row["train_loss"] for row in model.history_])
    np.testing.assert_allclose(lines[1].get_ydata(), [row["validation_loss"] for row in model.history_])
    image = plot_saturation(model).axes[0].images[0].get_array()
    assert image.shape == (2, len(model.history_))
    np.testing.assert_allclose(image[:, -1], list(model.history_[-1]["saturation"].values()))
    ax = plot_confusion(["a", "a", "b"], ["a", "b", "b"]).axes[0]
    np.testing.assert_allclose(ax.images[0].get_array(), [[0.5, 0.5], [0, 1]])
    assert sorted(text.get_text() for text in ax.texts) == ["1", "1", "1"]
    names = [label.get_text() for label in digits.plot().axes[0].get_yticklabels()]
    assert names == digits.nets


def test_figures_need_a_fit_that_told():
    X, y = load_iris(return_X_y=True)
    with pytest.raises(InputError, match="MLPClassifier has no history: fit it first"):
        plot_history(MLPClassifier())
    with pytest.raises(InputError, match="fit with tell_saturation=True"):
        plot_saturation(MLPClassifier((4,), max_epochs=1).fit(X, y))


def test_the_command_contrasts_nets_on_a_table(tmp_path):
    rng = np.random.default_rng(0)
    rows = [f"{a:.3f},{'x' if b else 'y'},{'good' if a + b > 0.5 else 'bad'}" for a, b in
            zip(rng.standard_normal(120), rng.integers(0, 2, 120), strict=True)]  # fmt: skip
    table = tmp_path / "people.csv"
    table.write_text("\n".join(["size,kind,label", *rows]))
    drawn = tmp_path / "contrasts.png"
    asked = ["contrast", table, "--target", "label", "--hidden", "8,8", "--epochs", 3, "--seeds", 1]
    done = run(*asked, "--plot", drawn, "--format", "json", "--quiet")
    assert (done.returncode, done.stderr) == (0, "")
    rows = json.loads(done.stdout)
    assert [row["net"] for row in rows] == list(_nets())
    assert all(0 <= row["test"] <= 1 for row in rows)
    assert drawn.read_bytes().startswith(b"\x89PNG")
    assert_one_sentence(run("contrast", table, "--target", "income"), "there is no column 'income': size, kind, label")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["people.csv"], "a TABLE and --target COLUMN belong together"),
        (["--hidden", "8,x"], "'8,x' is no list of sizes, such as 64,64,64"),
        (["--plot", "a.txt"], "--plot draws .png, .svg, .pdf files, a.txt is none"),
    ],
)
def test_a_slip_is_told_before_torch_is_loaded(arguments, sentence):
    assert_one_sentence(run("contrast", *arguments), sentence)
