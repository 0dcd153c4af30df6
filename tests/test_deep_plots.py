"""What a net of pictures sees and what gates let through, as figures."""

import numpy as np
import pytest

from fmkit.deep import CNNClassifier, RNNClassifier
from fmkit.deep.convnet_plots import MOST_MAPS, grad_cam, plot_feature_maps, plot_filters, plot_grad_cam
from fmkit.deep.plots import plot_gates
from fmkit.errors import InputError


@pytest.fixture(scope="module")
def squares():
    """Pictures with a square somewhere, whose colour is the class, and a net that knows them."""
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 60, (150, 16, 16, 3)).astype(np.uint8)
    colours = {"red": 0, "green": 1, "blue": 2}
    labels, places = rng.choice(list(colours), 150), rng.integers(0, 11, (150, 2))
    for picture, label, (row, column) in zip(pictures, labels, places, strict=True):
        picture[row : row + 5, column : column + 5, colours[label]] += np.uint8(190)
    layers = ["conv 8", "pool", "conv 16", "pool all"]
    model = CNNClassifier(layers, max_epochs=20, n_jobs=1, random_state=0).fit(pictures[:120], labels[:120])
    assert model.score(pictures[120:], labels[120:]) > 0.9
    return model, pictures[120:], labels[120:], places[120:]


def test_grad_cam_points_at_what_makes_the_class(squares):
    model, pictures, labels, places = squares
    for picture, label, (row, column) in zip(pictures[:6], labels[:6], places, strict=False):
        seen = grad_cam(model, picture, label)
        assert seen.shape == (16, 16)
        assert (seen.min(), seen.max()) >= (0, 0.99)
        inside = np.zeros((16, 16), bool)
        inside[row : row + 5, column : column + 5] = True
        assert seen[inside].mean() > 3 * seen[~inside].mean()
    np.testing.assert_array_equal(grad_cam(model, pictures[0]), grad_cam(model, pictures[0], labels[0]))
    with pytest.raises(InputError, match="label must be one of blue, green, red, got frog"):
        grad_cam(model, pictures[0], "frog")


def test_feature_maps_lead_from_colours_to_the_class(squares):
    model, pictures, labels, _ = squares
    axes = plot_feature_maps(model, pictures[0]).get_axes()
    assert [ax.get_title() for ax in axes[:3]] == ["red", "green", "blue"]
    names = [ax.get_ylabel() for ax in axes if ax.get_ylabel()]
    layers = ["convolution\n8 x 16 x 16", "pooling\n8 x 8 x 8", "convolution\n16 x 8 x 8"]
    assert names == ["input", *layers, "probability"]
    assert sum(len(ax.images) for ax in axes) == 3 + 8 + 8 + MOST_MAPS
    answer = axes[-1]
    assert answer.get_xticklabels()[0].get_text() == labels[0]
    assert sum(bar.get_height() for bar in answer.patches) == pytest.approx(1, abs=1e-3)


def test_filters_and_maps_of_evidence_are_drawn(squares):
    model, pictures, _, _ = squares
    assert sum(len(ax.images) for ax in plot_filters(model).get_axes()) == 8
    figure = plot_grad_cam(model, pictures[:2])
    assert [len(ax.images) for ax in figure.get_axes()] == [1, 1, 2, 2]


def test_gates_are_drawn_a_step_at_a_time():
    rng = np.random.default_rng(0)
    sequences = [rng.standard_normal(length) for length in rng.integers(3, 9, 30)]
    labels = ["up" if sequence.sum() > 0 else "down" for sequence in sequences]
    model = RNNClassifier(n_units=5, max_epochs=1, random_state=0).fit(sequences, labels)
    words = [str(n) for n in range(len(sequences[0]))]
    figure = plot_gates(model, sequences[0], words)
    drawn = [ax for ax in figure.get_axes() if ax.images]
    assert [ax.images[0].get_array().shape for ax in drawn] == [(5, len(words))] * 2
    assert [label.get_text() for label in drawn[-1].get_xticklabels()] == words
    update = model.gates([sequences[0]])[0]["update"][0, 0]
    mean = next(ax for ax in figure.get_axes() if ax.get_title() == "update gate").lines[0].get_ydata()
    np.testing.assert_allclose(mean, update.mean(axis=1), rtol=1e-5)
    with pytest.raises(InputError, match="labels must be one a step: 2 for"):
        plot_gates(model, sequences[0], ["a", "b"])
