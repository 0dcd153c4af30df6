"""Sets of ratings that ship with fmkit, and the form that every set of ratings takes."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import csv, parquet
from sklearn.utils import Bunch

Pair = tuple[NDArray[np.int32], NDArray[np.float32]]

HERE = Path(__file__).parent

# The widest ids of the published sets need 19 bits, and ratings are halves: 16 bytes a rating with its time, not 32.
MOVIELENS = {"userId": pa.int32(), "movieId": pa.int32(), "rating": pa.float32(), "timestamp": pa.int64()}
GOODBOOKS = {"user_id": pa.int32(), "book_id": pa.int32(), "rating": pa.float32()}


def load_movielens_small(*, return_X_y: bool = False, as_frame: bool = False) -> Bunch | Pair:
    """Load MovieLens latest-small: 100,836 ratings of 9,724 movies by 610 users, with the movies' titles and genres.

    Ratings go from 0.5 to 5 in halves and are ordered by user, then movie. GroupLens' terms (research, no commercial
    use, cite Harper and Konstan 2015) lie beside the files and in `DESCR`.

    Parameters
    ----------
    return_X_y : bool, default=False
        Return `(data, target)` alone.
    as_frame : bool, default=False
        Give pandas objects instead of arrays; pandas must be installed.

    Returns
    -------
    bunch : sklearn.utils.Bunch
        `data` : int32 ndarray of shape (100836, 2), user and movie ids as published; `target` : float32 ndarray of
        shape (100836,), the ratings; `timestamp` : int64 ndarray of shape (100836,), seconds since 1970;
        `movies` : Bunch of the columns `movieId`, `title` and `genres` (9,742 rows); `feature_names`,
        `target_names`; `filename` : the table of ratings; `DESCR`; with `as_frame`, `frame` : all columns.

    Examples
    --------
    >>> from fmkit.datasets import load_movielens_small
    >>> X, y = load_movielens_small(return_X_y=True)
    >>> X.shape, float(y.mean().round(2))
    ((100836, 2), 3.5)
    """
    folder = HERE / "movielens_small"
    path = folder / "ratings.csv.gz"
    ratings = csv.read_csv(path, convert_options=csv.ConvertOptions(column_types=MOVIELENS))
    return ratings_bunch(
        ratings,
        source=path,
        descr=(folder / "README.md").read_text(encoding="utf-8"),
        return_X_y=return_X_y,
        as_frame=as_frame,
        movies=csv.read_csv(folder / "movies.csv.gz", convert_options=csv.ConvertOptions(column_types=MOVIELENS)),
    )


def load_goodbooks(*, return_X_y: bool = False, as_frame: bool = False) -> Bunch | Pair:
    """Load a sample of goodbooks-10k: 298,176 ratings of 9,990 books by 2,672 users, with titles and authors.

    Ratings are whole numbers from 1 to 5; every user gave at least 24. The set is Zygmunt Zając's, under the licence
    CC BY-SA 4.0.

    Parameters
    ----------
    return_X_y : bool, default=False
        Return `(data, target)` alone.
    as_frame : bool, default=False
        Give pandas objects instead of arrays; pandas must be installed.

    Returns
    -------
    bunch : sklearn.utils.Bunch
        `data` : int32 ndarray of shape (298176, 2), user and book ids as published; `target` : float32 ndarray of
        shape (298176,), the ratings; `books` : Bunch of the columns `book_id`, `title`, `authors`, `year` and
        `language` (10,000 rows); `feature_names`, `target_names`; `filename` : the table of ratings; `DESCR`; with
        `as_frame`, `frame` : all columns.
    """
    folder = HERE / "goodbooks"
    path = folder / "ratings.parquet"
    ratings = parquet.read_table(path).cast(pa.schema(GOODBOOKS))
    return ratings_bunch(
        ratings,
        source=path,
        descr=(folder / "README.md").read_text(encoding="utf-8"),
        return_X_y=return_X_y,
        as_frame=as_frame,
        books=parquet.read_table(folder / "books.parquet"),
    )


def ratings_bunch(
    ratings: pa.Table, *, source: Path, descr: str, return_X_y: bool, as_frame: bool, **catalogue: pa.Table
) -> Bunch | Pair:
    """Arrange a table of users, items, ratings and perhaps times, and the catalogue of its items, as scikit-learn does.

    Parameters
    ----------
    ratings : pyarrow.Table
        The columns of users and items first; "rating"; perhaps "timestamp".
    source : Path
        The file that they are from.
    descr : str
        What the set is.
    return_X_y, as_frame : bool
        As in `load_movielens_small`.
    **catalogue : pyarrow.Table
        The table of items under the name that it shall have.
    """
    features = ratings.column_names[:2]
    if as_frame:
        frame = ratings.to_pandas()
        columns, data = frame, frame[features]
        arranged = {name: table.to_pandas() for name, table in catalogue.items()} | {"frame": frame}
    else:
        columns = arrays(ratings)
        data = np.stack([columns[name] for name in features], axis=1)
        arranged = {name: Bunch(**arrays(table)) for name, table in catalogue.items()}
    target = columns["rating"]
    if return_X_y:
        return data, target
    if "timestamp" in columns:
        arranged["timestamp"] = columns["timestamp"]
    names = {"feature_names": features, "target_names": ["rating"]}
    return Bunch(data=data, target=target, **names, **arranged, filename=str(source), DESCR=descr)


def arrays(table: pa.Table) -> dict[str, NDArray[Any]]:
    """The columns of a table by name; strings become Python's, whole numbers with gaps floats with NaN."""
    return {name: table[name].to_numpy() for name in table.column_names}
