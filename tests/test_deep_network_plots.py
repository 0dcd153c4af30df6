"""Nets as drawings: the shapes and weights that are written, and that no text covers another."""

import warnings
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from scipy import sparse
from sklearn.exceptions import NotFittedError

from fmkit.deep import CNNClassifier, MLPClassifier, MLPRegressor, RNNClassifier, RNNRegressor
from fmkit.deep.network_plots import plot_network
from fmkit.deep.shapes import anatomy

RNG = np.random.default_rng(0)
LABELS = np.array(["frog", "newt", "toad"])


def pictures(architecture, shape, **settings):
    X = RNG.integers(0, 256, (12, *shape), dtype=np.uint8)
    return CNNClassifier(architecture, max_epochs=1, n_jobs=1, **settings).fit(X, LABELS[np.arange(12) % 3])


def boxes():
    y = np.arange(12) % 2, np.tile([1, 2, 9, 9], (12, 1))
    return CNNClassifier(task="localize", max_epochs=1, n_jobs=1).fit(np.arange(12 * 256).reshape(12, 16, 16), y)


def tables(**settings):
    X = pd.DataFrame({"a": RNG.random(40), "b": RNG.random(40), "c": np.array(["x", "y", "z"])[np.arange(40) % 3]})
    return MLPClassifier((12, 6), max_epochs=1, embedding_size=4, **settings).fit(X, np.arange(40) % 2)


def sequences(estimator, **settings):
    X = [RNG.random((n, 2)) for n in RNG.integers(2, 6, 30)]
    return estimator(n_units=8, max_epochs=1, **settings).fit(X, np.arange(30) % 3)


def texts():
    return RNNClassifier(n_units=8, embedding_size=5, max_epochs=1).fit(["so good", "so bad"] * 8, ["+", "-"] * 8)


NETS = {
    "airbench": lambda: pictures("airbench", (32, 32, 3)),
    "resnet": lambda: pictures("resnet", (64, 50, 3), channels=(8, 8, 16)),
    "boxes": boxes,
    "table": tables,
    "deepfm": lambda: tables(factorization=True, n_knots=0),
    "sparse": lambda: MLPRegressor((), max_epochs=1, factorization=True).fit(
        sparse.random_array((30, 50), density=0.1, rng=0, format="csr"), np.arange(30.0)
    ),
    "lstm": lambda: sequences(RNNClassifier, cell="lstm", n_layers=2, dropout=0.25),
    "attention": lambda: sequences(RNNRegressor, bidirectional=False, pooling="attention", hidden_layer_sizes=(6,)),
    "texts": texts,
}


@pytest.mark.parametrize("name", NETS)
def test_all_weights_are_told_and_no_text_covers_another(name):
    model = NETS[name]()
    state = {key: tensor.clone() for key, tensor in model.net_.state_dict().items()}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = plot_network(model)
        figure.set_dpi(100)
        renderer = FigureCanvasAgg(figure).get_renderer()
        figure.draw(renderer)
    n_weights = sum(parameter.numel() for parameter in model.net_.parameters())
    if bag := getattr(model.net_, "bag", None):  # solved for, and no parameter of torch's
        n_weights += bag.weight.numel() + bag.bias.numel()
    assert figure.get_suptitle() == f"{type(model).__name__}: {n_weights:,} weights"
    (ax,) = figure.get_axes()
    told = [text.get_text().split("\n")[-1] for text in ax.texts]
    assert sum(int(line.split()[0].replace(",", "")) for line in told if line.endswith(" weights")) == n_weights
    boxes = [text.get_window_extent(renderer) for text in [*ax.texts, *figure.texts] if text.get_text()]
    assert not any(a.overlaps(b) for a, b in combinations(boxes, 2))
    assert all(figure.bbox.containsx(x) and figure.bbox.containsy(y) for box in boxes for x, y in box.get_points())
    assert all((model.net_.state_dict()[key] == tensor).all() for key, tensor in state.items())


def under_blocks(model):
    """Every block's lines, from left to right."""
    (ax,) = plot_network(model).get_axes()
    columns = {}
    for text in ax.texts:
        if text.get_va() == "top":
            columns.setdefault(round(text.get_position()[0], 6), []).append(text.get_text())
    return [columns[x] for x in sorted(columns)]


def test_maps_get_smaller_and_deeper():
    model = pictures("classic", (28, 20), channels=(4, 6))
    assert under_blocks(model) == [
        ["picture", "28 × 20 × 1"],
        ["convolution", "5 × 5", "28 × 20 × 4", "100 weights"],
        ["max pooling", "2 × 2", "14 × 10 × 4", "8 weights", "batch norm", "gelu"],
        ["convolution", "5 × 5", "14 × 10 × 6", "600 weights"],
        ["max pooling", "2 × 2", "7 × 5 × 6", "12 weights", "batch norm", "gelu", "flatten"],
        ["dense", "128 units", "27,136 weights", "batch norm", "gelu"],
        ["outputs", "3 units", "387 weights", "softmax"],
    ]
    (ax,) = plot_network(model).get_axes()
    assert [text.get_text() for text in ax.texts if text.get_va() == "center"] == LABELS.tolist()


def test_shortcuts_go_past_two_convolutions():
    net = anatomy(pictures("resnet", (16, 16, 3), channels=(8, 8, 16)))
    assert [(skip.begin, skip.end, skip.name, skip.n_weights) for skip in net.skips] == [
        (1, 3, "", 0),
        (3, 5, "1 × 1 / 2", 72),
        (5, 7, "1 × 1 / 2", 144),
    ]
    assert [block.shape for block in net.blocks[1:]] == [
        *[(16, 16, 8)] * 3,
        *[(8, 8, 8)] * 2,
        *[(4, 4, 16)] * 2,
        (1, 1, 16),
        (3,),
    ]


def test_rows_become_vectors():
    assert under_blocks(tables(n_knots=0)) == [
        ["row", "3 columns"],
        ["embeddings", "6 units", "12 weights", "2 of numbers", "4 of levels"],
        ["dense", "12 units", "84 weights", "relu"],
        ["dense", "6 units", "78 weights", "relu"],
        ["outputs", "1 unit", "7 weights", "logistic"],
    ]


def test_sequences_are_read_both_ways():
    assert under_blocks(sequences(RNNClassifier, cell="lstm", n_layers=2, dropout=0.25)) == [
        ["series", "steps × 2"],
        ["LSTM", "both ways", "steps × 16", f"{2 * 4 * 8 * (2 + 8 + 2)} weights"],
        ["LSTM", "both ways", "steps × 16", f"{2 * 4 * 8 * (16 + 8 + 2):,} weights"],
        ["pooling", "last, mean, max", "48 units", "96 weights", "layer norm", "dropout 0.25"],
        ["outputs", "3 units", "147 weights", "softmax"],
    ]


def test_a_net_that_is_not_fitted_has_no_shapes():
    with pytest.raises(NotFittedError):
        plot_network(MLPClassifier())
