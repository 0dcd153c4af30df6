"""What a net says of a row, and why, for the page: by the functions of `fmkit.deep`, as pictures and plain numbers."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import numpy as np
import pyvips
from numpy.typing import NDArray

from fmkit.restore.views import displayed, heat

MOST_CLASSES = 20  # that are listed
MOST_MAPS = 12  # of a layer
MOST_POINTS = 600  # of a curve
MOST_STEPS = 5000  # of a sequence whose gates are shown: they are computed one after the other
FRAME = 0.01  # seconds of sound a step
SIDE = 256  # pixels: the longest side of a picture that is shown
Values = NDArray[Any]


def answer(model: Any, X: Any) -> dict[str, Any]:
    """Probabilities of one row, X of length 1: the classes in their order, or the likeliest if there are many."""
    chances = model.predict_proba(X)[0]
    best = int(chances.argmax())
    likeliest = np.argsort(-chances, kind="stable")[:MOST_CLASSES]
    shown = np.arange(len(chances)) if len(chances) <= MOST_CLASSES else likeliest
    classes = [
        {"code": int(code), "name": str(model.classes_[code]), "probability": float(chances[code])} for code in shown
    ]
    return {"best": best, "classes": classes, "n_classes": len(chances)}


def evidence(model: Any, picture: Values, code: int) -> dict[str, Any]:
    """Where in a picture the evidence for a class is, over the picture."""
    from fmkit.deep.convnet_plots import grad_cam

    seen = grad_cam(model, picture, model.classes_[code])
    colours = 0.4 * _as_shown(picture) + 0.6 * heat(seen.astype(np.float64))
    return {"code": code, "picture": _address(colours.astype(np.uint8))}


def journey(model: Any, picture: Values) -> dict[str, Any]:
    """A picture on its way through a net: as it came in, and the first maps of every layer."""
    from fmkit.deep.convnet_plots import feature_maps

    _, *layers = feature_maps(model, picture)
    told = []
    for name, maps in layers:
        shown = maps[:MOST_MAPS]
        strip = np.concatenate([_coloured(one) for one in shown], axis=1)  # one file is made sooner than many
        shape = {"n": maps.shape[0], "height": maps.shape[1], "width": maps.shape[2]}
        told.append({"name": name, **shape, "n_shown": len(shown), "strip": _address(strip, SIDE * MOST_MAPS)})
    return {"picture": _address(_as_shown(picture)), "layers": told}


def gates(model: Any, X: Any) -> list[dict[str, Any]]:
    """What gates let through, by layer and direction: means over the units a step, and the units as a picture."""
    traces = {name: values for name, values in model.gates(X)[0].items() if name not in ("state", "cell")}
    first = next(iter(traces.values()))
    n_layers, n_ways, n_steps, _ = first.shape
    every = -(-n_steps // MOST_POINTS) or 1
    return [
        {
            "name": f"layer {layer + 1}, {('forwards', 'backwards')[way]}",
            "every": every,
            "gates": [_gate(name, values[layer, way, ::every]) for name, values in traces.items()],
        }
        for layer in range(n_layers)
        for way in range(n_ways)
        if n_steps
    ]


def steps_of(model: Any, row: Any) -> tuple[int, list[str]]:
    """How many steps a sequence has, about, and what they are called: the words of a text."""
    if model.kind_ == "text":
        from fmkit.deep.text import tokenise

        words = tokenise(row)
        return len(words), words
    return (int(len(row) / model.sampling_rate / FRAME) if model.kind_ == "audio" else len(row)), []


def facts_of(model: Any, path: Path) -> dict[str, Any]:
    """What the page says of a net."""
    kind = "pictures" if hasattr(model, "picture_shape_") else getattr(model, "kind_", "table")
    names = list(getattr(model, "feature_names_in_", []))
    shape = list(model.picture_shape_) if kind == "pictures" else []
    return {
        "name": path.name,
        "kind": kind,
        "holds": type(model).__name__,
        "classes": [str(label) for label in model.classes_[:MOST_CLASSES]],
        "n_classes": len(model.classes_),
        "shape": shape,
        "columns": [str(name) for name in names],
        "n_columns": int(model.n_features_in_),
        "gates": kind not in ("pictures", "table") and model.cell != "tanh",
    }


def _gate(name: str, steps: Values) -> dict[str, Any]:
    order = np.argsort(steps.mean(axis=0), kind="stable")
    units = heat(steps[:, order].T)
    return {
        "name": name,
        "means": [round(float(mean), 4) for mean in steps.mean(axis=1)],
        "units": _address(units, SIDE * 8),
        "n_units": steps.shape[1],
    }


def _as_shown(picture: Values) -> Values:
    """Red, green and blue of bytes, or of floats whose largest is white."""
    if picture.dtype == np.uint8:
        return displayed(picture, (0.0, 255.0))
    return displayed(picture, (min(0.0, float(picture.min())), max(float(picture.max()), 1e-12)))


def _coloured(one: Values) -> Values:
    low, high = float(one.min()), float(one.max())
    return heat((one - low) / max(high - low, 1e-12))


def _address(rgb: Values, most: int = SIDE) -> str:
    """A picture as an address that holds it whole."""
    image = pyvips.Image.new_from_array(np.ascontiguousarray(rgb, dtype=np.uint8), interpretation="srgb")
    if max(image.width, image.height) > most:
        image = image.resize(most / max(image.width, image.height), kernel="linear")
    return "data:image/png;base64," + base64.b64encode(image.pngsave_buffer(compression=3)).decode()
