"""Model files: safetensors with a JSON header. Nothing in them is ever executed."""

import json
import re
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as to_bytes

from fmkit import __version__, pipelines
from fmkit.errors import InputError
from fmkit.files import written_beside

FORMAT = 1
_CLASSES = {
    "CNNClassifier": "fmkit.deep",
    "FMClassifier": "fmkit.estimators",
    "FMOrdinal": "fmkit.estimators",
    "FMRanker": "fmkit.estimators",
    "FMRegressor": "fmkit.estimators",
    "ImageRestorer": "fmkit.restore",
    "MLPClassifier": "fmkit.deep",
    "MLPRegressor": "fmkit.deep",
    "RNNClassifier": "fmkit.deep",
    "RNNRegressor": "fmkit.deep",
    "Recommender": "fmkit.recommend.recommender",
    "TableEncoder": "fmkit.tables",
}

_DTYPES = {
    "BOOL": "?", "U8": "u1", "I8": "i1", "U16": "<u2", "I16": "<i2", "F16": "<f2", "U32": "<u4", "I32": "<i4",
    "F32": "<f4", "U64": "<u8", "I64": "<i8", "F64": "<f8",
}  # fmt: skip


def save(model: Any, path: str | Path) -> None:
    """Write a fitted model to a file that `load` and every reader of safetensors understands.

    Parameters
    ----------
    model : FMRegressor, FMClassifier, FMOrdinal, FMRanker, Recommender, TableEncoder, ImageRestorer, or an estimator \
of fmkit.deep
        Fitted; or scikit-learn's Pipeline of such.
    path : str or Path
        Customarily with the suffix `.fmkit`. The file is written beside it and renamed.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from fmkit import FMRegressor, load, save
    >>> model = FMRegressor(random_state=0).fit([[1, 0], [0, 1], [1, 1]], [1, 2, 3])
    >>> path = Path(tempfile.mkdtemp()) / "model.fmkit"
    >>> save(model, path)
    >>> bool((load(path).predict([[1, 1]]) == model.predict([[1, 1]])).all())
    True
    """
    name = type(model).__name__
    if name == "Pipeline":
        facts, arrays = pipelines.pack(model, _CLASSES)
    elif name in _CLASSES:
        facts, arrays = model._to_file()
    else:
        raise TypeError(f"save takes one of {', '.join(_CLASSES)}, or a Pipeline of such, got {name}")
    header = {"format": FORMAT, "fmkit": __version__, "class": name, "facts": facts}
    content = to_bytes({key: np.ascontiguousarray(a) for key, a in arrays.items()}, {"fmkit": json.dumps(header)})
    with written_beside(path) as part:
        part.write_bytes(content)


def load(path: str | Path, *, mapped: bool = False) -> Any:
    """Read a model that `save` wrote.

    Parameters
    ----------
    path : str or Path
    mapped : bool, default=False
        Leave the arrays in the file, as far as the model takes them as they are, and let the system bring what is
        asked for: processes on one machine share what they do not change. The file must stay as it is meanwhile; to
        replace it by another of the same name, as `save` does, is no harm.

    Raises
    ------
    InputError
        If the file is damaged, no model file of fmkit, or of a newer format: one sentence that says which.
    OSError
        If it cannot be read.
    """
    with Path(path).open("rb"):  # so that a missing or forbidden file is told as Python tells it
        if not Path(path).is_file():
            raise InputError("this is no file, but a pipe or a device: a model is read from a file", path=path)
    header, arrays = _read(path, mapped)
    version, name, facts = header["format"], header["class"], header["facts"]
    if version != FORMAT:
        raise InputError(
            f"the file has format {version!r}, fmkit {__version__} reads format {FORMAT}: use the fmkit that wrote it",
            path=path,
        )
    if name not in (*_CLASSES, "Pipeline"):
        raise InputError(f"the file holds a {name!r}, which fmkit {__version__} does not know", path=path)
    try:
        if name == "Pipeline":
            return pipelines.unpack(facts, arrays, _find)
        return _find(name)._from_file(facts, arrays)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError) as error:
        reason = f"{error.args[0]} is missing" if isinstance(error, KeyError) else error
        raise InputError(f"the file is damaged: {reason}; save the model again", path=path) from None


def _find(name: str) -> Any:
    return getattr(import_module(_CLASSES[name]), name)


def read_header(path: str | Path) -> dict[str, Any]:
    """What a model file says of itself: format, fmkit (the version that wrote it), class, facts.

    Raises
    ------
    InputError, OSError
        As `load`.
    """
    return _read(path)[0]


def _read(path: str | Path, mapped: bool = False) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            if mapped:
                arrays = _mapped(path)
            else:
                arrays = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (it is no dict)
    except (SafetensorError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(f"this is no model file, or a damaged one ({error}); save it again", path=path) from None
    try:
        header = json.loads(metadata["fmkit"])
        assert isinstance(header["format"], int | str)
        assert {"class", "facts"} <= header.keys()
    except (AssertionError, AttributeError, KeyError, TypeError, ValueError, RecursionError):
        raise InputError("this is a safetensors file, but fmkit.save did not write it", path=path) from None
    return header, arrays


def _mapped(path: str | Path) -> dict[str, NDArray[Any]]:
    """Arrays of a file that safetensors has found right, where they stand: eight bytes of length, JSON, contents.

    What is written to them is a copy of this process's own.
    """
    content = np.memmap(path, np.uint8, "c")
    start = 8 + int(content[:8].view("<u8")[0])
    header = json.loads(content[8:start].tobytes())
    arrays = {}
    for key, told in header.items():
        if key == "__metadata__":
            continue
        first, last = (start + at for at in told["data_offsets"])
        array = np.asarray(content[first:last]).view(_DTYPES[told["dtype"]]).reshape(told["shape"])
        arrays[key] = array if array.flags.aligned else array.copy()
    return arrays


def pack_strings(strings: list[str], name: str) -> dict[str, NDArray[Any]]:
    """Strings as two arrays of a model file: their UTF-8 bytes, one after the other, and where each ends."""
    encoded = [s.encode() for s in strings]
    ends = np.cumsum([len(e) for e in encoded], dtype=np.int64)
    return {f"{name}.bytes": np.frombuffer(b"".join(encoded), np.uint8), f"{name}.ends": ends}


def unpack_strings(arrays: dict[str, NDArray[Any]], name: str) -> list[str]:
    """The strings of `pack_strings`; a KeyError or ValueError if the arrays do not hold any."""
    content, ends = arrays[f"{name}.bytes"], arrays[f"{name}.ends"]
    if content.dtype != np.uint8 or ends.dtype != np.int64 or content.ndim != 1 or ends.ndim != 1:
        raise ValueError(f"its strings {name!r} are of a wrong type")
    bounds = np.concatenate([[0], ends])
    if (bounds[1:] < bounds[:-1]).any() or bounds[-1] != len(content):
        raise ValueError(f"its strings {name!r} overlap")
    text = content.tobytes()
    return [text[a:b].decode() for a, b in pairwise(bounds)]


def pack_labels(labels: NDArray[Any]) -> dict[str, Any]:
    """Class labels as their dtype and plain values: strings, numbers or booleans."""
    values = labels.tolist()
    if not all(isinstance(v, str | int | float | bool) for v in values):
        raise ValueError(f"a model file holds labels that are strings, numbers or booleans, not {type(values[0])}")
    return {"dtype": labels.dtype.str, "values": values}


def unpack_labels(packed: dict[str, Any], n_outputs: int) -> NDArray[Any]:
    """The labels of `pack_labels`, as many as `n_outputs` tell apart; a KeyError, TypeError or ValueError if not."""
    values, kind = packed["values"], packed["dtype"]
    if not isinstance(values, list) or len(values) != (2 if n_outputs == 1 else n_outputs):
        raise ValueError(f"{n_outputs} outputs do not tell its classes apart")
    if not re.fullmatch(r"\|O|[<>|][biuf][1248]|[<>]U\d+", kind):
        raise ValueError("its labels are of no known type")
    if "U" in kind:
        return np.array([str(value) for value in values])  # as wide as they need: a hostile width takes gigabytes
    return np.array(values, np.dtype(kind))
