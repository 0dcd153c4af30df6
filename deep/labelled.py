"""What a path holds to be classified, and the net for it: pictures, sounds, texts, or the rows of a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from sklearn.utils import _safe_indexing

from fmkit.errors import InputError

from .cnn import CNNClassifier
from .mlp import MLPClassifier
from .picture_files import SUFFIXES as PICTURES
from .picture_files import files_by_class
from .rnn import RNNClassifier

SOUNDS = (".wav",)
TARGETS = ("label", "target", "class", "y")  # usual names of the column of classes
WORDS = 3  # a mean number of words from which a column of text is read as such, and not as categories


@dataclass(frozen=True)
class Labelled:
    """Rows to learn from, or to classify.

    Parameters
    ----------
    kind : {"pictures", "sounds", "texts", "table"}
    X : list of paths, of ndarrays or of str; or pyarrow.Table
    y : ndarray of shape (n_rows,), or None
        Labels.
    names : list of str
        Of the rows: files, or numbers from 1.
    told : str
        What was found.
    sampling_rate : int, optional
        Of sounds.
    """

    kind: str
    X: Any
    y: NDArray[Any] | None
    names: list[str]
    told: str
    sampling_rate: int | None = None

    def __len__(self) -> int:
        return len(self.names)

    def rows(self, chosen: NDArray[np.integer[Any]]) -> Any:
        """Some of X."""
        return _safe_indexing(self.X, chosen)

    def net(self, **parameters: Any) -> Any:
        """An estimator for them, not fitted."""
        if self.kind == "pictures":
            return CNNClassifier(**parameters)
        if self.kind == "sounds":
            return RNNClassifier(sampling_rate=self.sampling_rate, **parameters)
        if self.kind == "texts":
            return RNNClassifier(kind="text", **parameters)
        return MLPClassifier(**parameters)


def read_labelled(path: str | Path, target: str | None = None) -> Labelled:
    """Rows with their classes.

    Parameters
    ----------
    path : path
        A folder with a folder of pictures (PNG, JPEG, TIFF, WebP) or of WAV files for each class; or a CSV, TSV or
        Parquet table.
    target : str, optional
        The table's column of classes; by default one called label, target, class or y, or, of two columns, the one
        beside texts. Where all that is left is one column of texts of three words or more on average, texts are
        classified, else rows.

    Raises
    ------
    InputError
        If it is none of these, or a row has no class; the message says what to do.
    OSError
        If it cannot be read.
    """
    path = Path(path)
    if path.is_dir():
        if target is not None:
            raise InputError("the folders of a folder are the classes: leave the target out", path=path)
        kinds = {file.suffix.lower() for file in path.rglob("*") if file.is_file()}
        if kinds & set(PICTURES) and kinds & set(SOUNDS):
            raise InputError("it holds pictures and sounds: keep them in folders apart", path=path)
        if kinds & set(SOUNDS):
            files, labels = files_by_class(path, SOUNDS)
            X, rate = _sounds(files)
            return Labelled("sounds", X, np.array(labels), _names(files), _counted(labels, "sounds"), rate)
        files, labels = files_by_class(path)
        return Labelled("pictures", files, np.array(labels), _names(files), _counted(labels, "pictures"))
    if target is None:
        target = _usual_target(path)
    rest, y = read_with_target(path, target)
    numbers = [str(n) for n in range(1, len(rest) + 1)]
    if len(rest.column_names) == 1 and _is_prose(rest.column(0)):
        told = _counted(y, f"texts (column '{rest.column_names[0]}')")
        return Labelled("texts", _texts(rest.column(0)), y, numbers, told)
    told = f"{_counted(y, 'rows')} (column '{target}')"
    return Labelled("table", rest, y, numbers, told)


def read_with_target(path: str | Path, target: str) -> tuple[pa.Table, NDArray[Any]]:
    """The columns of a table file but one, and that one's values, the classes.

    Raises
    ------
    InputError
        If there is no such column, or no other, or a row has no class.
    OSError
        If it cannot be read.
    """
    table = _table(Path(path))
    if target not in table.column_names:
        raise InputError(f"there is no column '{target}': {', '.join(table.column_names)}", path=path)
    y, rest = table.column(target), table.drop_columns([target])
    if y.null_count:
        raise InputError(f"{y.null_count:,} rows have no class in column '{target}': leave them out", path=path)
    if not rest.column_names:
        raise InputError(f"there is no column but '{target}' to tell classes by", path=path)
    return rest, y.to_numpy()


def read_for(model: Any, path: str | Path) -> Labelled:
    """Rows without classes, for a fitted net.

    Parameters
    ----------
    model : CNNClassifier, RNNClassifier or MLPClassifier
    path : path
        Of pictures or sounds, a file or a folder, of any depth; of texts a .txt file with one a line, or a table with
        one column of texts; of rows a table with the columns of the fit, others are left out.

    Raises
    ------
    InputError
        If it holds something else; the message says what to do.
    OSError
        If it cannot be read.
    """
    path = Path(path)
    if isinstance(model, CNNClassifier):
        files = _files(path, PICTURES, "pictures")
        return Labelled("pictures", files, None, _names(files), f"{len(files):,} pictures")
    if isinstance(model, RNNClassifier) and model.kind_ == "audio":
        files = _files(path, SOUNDS, "sounds")
        X, rate = _sounds(files)
        if rate != model.sampling_rate:
            raise InputError(
                f"the sounds have {rate:,} samples a second, the net was fitted to {model.sampling_rate:,}: resample "
                "them",
                path=path,
            )
        return Labelled("sounds", X, None, _names(files), f"{len(files):,} sounds", rate)
    if isinstance(model, RNNClassifier):
        texts = _lines(path) if path.suffix == ".txt" else _only_texts(_table(path), path)
        numbers = [str(n) for n in range(1, len(texts) + 1)]
        return Labelled("texts", texts, None, numbers, f"{len(texts):,} texts")
    table = _table(path)
    wanted = list(model.feature_names_in_)
    missing = [name for name in wanted if name not in table.column_names]
    if missing:
        raise InputError(f"columns of the fit are missing: {', '.join(missing)}", path=path)
    numbers = [str(n) for n in range(1, len(table) + 1)]
    return Labelled("table", table.select(wanted), None, numbers, f"{len(table):,} rows")


def _names_of_columns(path: Path) -> list[str]:
    from fmkit.recommend.tables import TableFile

    return list(TableFile.open(path).names)


def _table(path: Path) -> pa.Table:
    from fmkit.recommend.tables import read_whole

    return read_whole(path)


def _usual_target(path: Path) -> str:
    columns = _names_of_columns(path)
    usual = [name for name in columns if name.strip().lower() in TARGETS]
    if len(usual) != 1 and len(columns) == 2:
        usual = [name for name in columns if not _is_prose(_table(path).column(name))]
    if len(usual) != 1:
        known = ", ".join(columns)
        raise InputError(f"say by --target (target= in Python) which column holds the classes: {known}", path=path)
    return usual[0]


def _is_prose(column: pa.ChunkedArray) -> bool:
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        return False
    words = pc.mean(pc.add(pc.count_substring_regex(pc.fill_null(column, ""), r"\S\s+\S"), 1)).as_py()
    return words is not None and words >= WORDS


def _texts(column: pa.ChunkedArray) -> list[str]:
    return ["" if text is None else text for text in column.to_pylist()]


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text("utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(f"it is no text in UTF-8 ({error.reason}): convert it", path=path) from None


def _only_texts(table: pa.Table, path: Path) -> list[str]:
    prose = [name for name in table.column_names if _is_prose(table.column(name))]
    if len(table.column_names) == 1:
        prose = table.column_names
    if len(prose) != 1:
        raise InputError(
            f"{len(prose)} of its columns hold texts: leave one, or give a .txt file with a text a line", path=path
        )
    return _texts(table.column(prose[0]).cast(pa.string()))


def _files(path: Path, suffixes: Sequence[str], what: str) -> list[Path]:
    if path.is_file():
        return [path]
    files = sorted(file for file in path.rglob("*") if file.suffix.lower() in suffixes)
    if not files:
        path.iterdir()  # which tells that there is no such folder
        raise InputError(f"there are no {what} in it ({', '.join(suffixes)})", path=path)
    return files


def _sounds(files: Sequence[Path]) -> tuple[list[NDArray[Any]], int]:
    """Samples of one channel, and how many there are a second."""
    from scipy.io import wavfile

    sounds: list[NDArray[Any]] = []
    rates: list[int] = []
    for file in files:
        try:
            rate, samples = wavfile.read(file)
        except ValueError as error:
            raise InputError(f"it is no WAV file that can be read ({error})", path=file) from None
        if rates and rate != rates[0]:
            raise InputError(
                f"it has {rate:,} samples a second, {files[0].name} has {rates[0]:,}: resample them alike", path=file
            )
        rates.append(rate)
        sounds.append(samples if samples.ndim == 1 else samples.mean(axis=1))
    return sounds, int(rates[0])


def _names(files: Sequence[Path]) -> list[str]:
    return [str(file) for file in files]


def _counted(labels: Any, what: str) -> str:
    return f"{len(labels):,} {what} of {len(np.unique(labels)):,} classes"
