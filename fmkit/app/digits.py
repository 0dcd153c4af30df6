"""Drawn digits: made as scikit-learn's are, large, in the middle, and counted in 8 x 8 squares; and nets of those.

Theirs were normalised by NIST's programs to 32 x 32 dots, of which every 4 x 4 were counted (E. Alpaydin and C. Kaynak,
"Optical recognition of handwritten digits", UCI, 1998). All of them fill the eight rows, and six columns on average,
whatever the digit: even plain ones are five columns wide, thick. So drawings are stretched to that, too.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fmkit.app.strokes import WRONG, painted
from fmkit.errors import InputError

SQUARES, HIGH, WIDE = 8, 128, 80  # sides of the result, and of the digit in dots, four times as fine as theirs
PEN = 20.0  # dots; a zero then has as much ink as theirs (19.6 and 19.8 squares)
MOST_STRETCHED = 2.5  # a plain stroke is made so much wider than it is, and a dash so much higher, but no more
LAYERS = ["conv 16", "conv 32", "pool", "conv 64", "pool all"]  # of maps of 4 x 4 the evidence is made
EPOCHS = 6
UNITS, EPOCHS_OF_ROWS = 32, 8
NOTHING = "nothing is drawn yet: draw a digit"


def drawn_digit(strokes: Any) -> NDArray[np.float64]:
    """The picture of 8 x 8 values from 0 to 16 that a net of the digits takes.

    Parameters
    ----------
    strokes : list of dict
        {"points": [[x, y], ...]} each, in any unit: where and how large it was drawn does not matter, nor its pen.

    Raises
    ------
    InputError
        If they are something else, or none.

    Examples
    --------
    >>> from fmkit.app.digits import drawn_digit
    >>> drawn_digit([{"points": [[50, 10], [50, 90]]}])[4].tolist()
    [0.0, 0.0, 9.0, 16.0, 16.0, 9.0, 0.0, 0.0]
    """
    if not isinstance(strokes, list) or not all(isinstance(stroke, dict) for stroke in strokes):
        raise InputError(WRONG)
    if not strokes:
        raise InputError(NOTHING)
    lines = [{"points": stroke.get("points"), "size": 1} for stroke in strokes]
    painted(lines, (1, 1))  # which checks them
    every = np.array([point for line in lines for point in line["points"]], float)
    low = every.min(axis=0)
    scale = (HIGH - PEN) / max(float((every.max(axis=0) - low).max()), 1e-3)
    for line in lines:
        line["points"] = ((np.array(line["points"], float) - low) * scale + PEN / 2).tolist()
        line["size"] = PEN
    ink = painted(lines, (HIGH, HIGH))
    rows, columns = (np.flatnonzero(ink.any(axis=axis)) for axis in (1, 0))
    ink = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    ink = _stretched(_stretched(ink, HIGH).T, WIDE).T
    dots = np.zeros((HIGH, HIGH), bool)
    top, left = ((HIGH - side) // 2 for side in ink.shape)
    dots[top : top + ink.shape[0], left : left + ink.shape[1]] = ink
    side = HIGH // SQUARES
    return np.asarray(np.rint(dots.reshape(SQUARES, side, SQUARES, side).mean(axis=(1, 3)) * 16))


def _stretched(ink: NDArray[np.bool_], wished: int) -> NDArray[np.bool_]:
    """As many rows as are wished for, or as many as may be made of these."""
    n = min(wished, round(len(ink) * MOST_STRETCHED))
    return np.asarray(ink[((np.arange(n) + 0.5) * len(ink) / n).astype(int)])


def train_digits(folder: str, told: Callable[[dict[str, Any]], object]) -> None:
    """Fit a convolutional net to four fifths of scikit-learn's digits, and one that reads them row by row.

    Parameters
    ----------
    folder : str
        Gets their files, digits.fmkit and rows.fmkit.
    told : callable
        Is told every epoch, and of each net, as soon as its file is there, how good it is.
    """
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    from fmkit import save
    from fmkit.deep import CNNClassifier, RNNClassifier

    digits = load_digits()
    parts = train_test_split(digits.images, digits.target, test_size=0.2, random_state=0, stratify=digits.target)
    train, tested, y, truth = parts
    usual: dict[str, Any] = {"n_jobs": 1, "random_state": 0}
    fits: dict[str, tuple[Any, int]] = {
        "digits": (CNNClassifier(LAYERS, label_smoothing=0.0, **usual), EPOCHS),
        "rows": (RNNClassifier(n_units=UNITS, **usual), EPOCHS_OF_ROWS),
    }
    for name, (model, epochs) in fits.items():

        def watch(progress: Any, name: str = name, epochs: int = epochs) -> None:
            told({"net": name, "epoch": progress.sweep, "of": epochs, "loss": round(progress.train_loss, 4)})

        model.set_params(max_epochs=epochs, callbacks=[watch]).fit(train, y)
        path = Path(folder) / f"{name}.fmkit"
        save(model, path)
        told({"net": name, "path": str(path), "tested": round(model.score(tested, truth), 4), "rows": len(y)})
