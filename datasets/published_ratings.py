"""Readers of the full published sets of ratings, from where the user put them: nothing is downloaded here."""

import zipfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
from pyarrow import csv
from sklearn.utils import Bunch

from fmkit.errors import InputError

from .ratings import GOODBOOKS, MOVIELENS, Pair, ratings_bunch

MOVIELENS_PAGE = "https://grouplens.org/datasets/movielens"
GOODBOOKS_PAGE = "https://github.com/zygmuntz/goodbooks-10k"

# The last columns of 100K's `u.item`: 1 where the movie is of that genre.
GENRES_100K = (
    "unknown|Action|Adventure|Animation|Children's|Comedy|Crime|Documentary|Drama|Fantasy|Film-Noir|Horror|Musical|"
    "Mystery|Romance|Sci-Fi|Thriller|War|Western"
)

Place = Path | zipfile.Path


def fetch_movielens(path: str | Path, *, return_X_y: bool = False, as_frame: bool = False) -> Bunch | Pair:
    """Read a published MovieLens set: latest, latest-small, 100K, 1M, 10M, 20M, 25M or 32M.

    Parameters
    ----------
    path : str or Path
        The zip file as downloaded, the folder that it unpacks to, or the file of ratings in it: `ratings.csv`,
        `ratings.dat` (1M, 10M) or `u.data` (100K).
    return_X_y : bool, default=False
        Return `(data, target)` alone.
    as_frame : bool, default=False
        Give pandas objects instead of arrays; pandas must be installed.

    Returns
    -------
    bunch : sklearn.utils.Bunch
        As `load_movielens_small` gives it, 20 bytes a rating; without `movies` if no file of movies lies beside the
        ratings.

    Raises
    ------
    InputError
        If there is no such set at `path`, or its file of ratings is not in the published form.
    """
    folder, name = find(path, "MovieLens", ("ratings.csv", "ratings.dat", "u.data"), MOVIELENS_PAGE)
    source = folder / name
    catalogue = {}
    if name == "ratings.csv":
        ratings = read_csv(source, MOVIELENS)
        movies = folder / "movies.csv"
        if movies.exists():
            catalogue["movies"] = read_csv(movies, {"movieId": pa.int32(), "title": pa.string(), "genres": pa.string()})
    elif name == "ratings.dat":
        # A delimiter is one byte to Arrow: "1::1193::5" has empty columns between.
        ratings = read_csv(source, MOVIELENS, delimiter=":", header="userId::movieId::rating::timestamp")
        movies = folder / "movies.dat"
        if movies.exists():
            catalogue["movies"] = read_movies(movies, "::", lambda fields: fields[2])
    else:
        ratings = read_csv(source, MOVIELENS, delimiter="\t", header="userId\tmovieId\trating\ttimestamp")
        movies = folder / "u.item"
        if movies.exists():
            catalogue["movies"] = read_movies(movies, "|", genres_100k)
    return ratings_bunch(
        ratings,
        source=Path(str(source)),
        descr=f"MovieLens ratings, read from {source}. Terms of use: {MOVIELENS_PAGE}",
        return_X_y=return_X_y,
        as_frame=as_frame,
        **catalogue,
    )


def fetch_goodbooks(path: str | Path, *, return_X_y: bool = False, as_frame: bool = False) -> Bunch | Pair:
    """Read the published goodbooks-10k: 5,976,479 ratings of 10,000 books by 53,424 users.

    Parameters
    ----------
    path : str or Path
        The zip file as downloaded, the folder that it unpacks to, or `ratings.csv` in it.
    return_X_y : bool, default=False
        Return `(data, target)` alone.
    as_frame : bool, default=False
        Give pandas objects instead of arrays; pandas must be installed.

    Returns
    -------
    bunch : sklearn.utils.Bunch
        As `load_goodbooks` gives it; without `books` if no `books.csv` lies beside the ratings.

    Raises
    ------
    InputError
        If there is no such set at `path`, or its file of ratings is not in the published form.
    """
    folder, name = find(path, "goodbooks-10k", ("ratings.csv",), GOODBOOKS_PAGE)
    source = folder / name
    catalogue = {}
    books = folder / "books.csv"
    if books.exists():
        table = read_csv(books, {})
        # The first edition calls the id of `ratings.csv` "id", and Goodreads' own "book_id".
        key = "id" if "id" in table.column_names else "book_id"
        columns = [key, "title", "authors", "original_publication_year", "language_code"]
        if missing := sorted(set(columns) - set(table.column_names)):
            raise InputError(f"not goodbooks-10k's table of books: it has no column '{missing[0]}'", path=str(books))
        catalogue["books"] = table.select(columns).rename_columns(["book_id", "title", "authors", "year", "language"])
    return ratings_bunch(
        read_csv(source, GOODBOOKS),
        source=Path(str(source)),
        descr=f"goodbooks-10k, read from {source}. Licence: CC BY-SA 4.0; source: {GOODBOOKS_PAGE}",
        return_X_y=return_X_y,
        as_frame=as_frame,
        **catalogue,
    )


def genres_100k(fields: list[str]) -> str:
    """The genres of a line of `u.item`, in the form of the other sets: "Action|Drama"."""
    names = GENRES_100K.split("|")
    return "|".join(name for name, flag in zip(names, fields[-len(names) :], strict=False) if flag == "1")


def find(path: str | Path, title: str, names: tuple[str, ...], page: str) -> tuple[Place, str]:
    """Folder and name of the file of ratings: `path` itself, or in that folder, its subfolders, or that zip file."""
    given = Path(path).expanduser()
    where_from = f"download the set from {page} and give its zip file or its folder"
    if not given.exists():
        raise InputError(f"no such file or folder; {where_from}", path=path)
    if given.name in names and given.is_file():
        return given.parent, given.name
    if given.is_file() and not zipfile.is_zipfile(given):
        raise InputError(f"no {title} set is in a file of that name; {where_from}", path=path)
    top: Place = given if given.is_dir() else zipfile.Path(given)
    for folder in (top, *(inside for inside in top.iterdir() if inside.is_dir())):
        for name in names:
            if (folder / name).exists():
                return folder, name
    raise InputError(f"there is no {' or '.join(names)} in it; {where_from}", path=path)


def read_csv(
    source: Place, columns: dict[str, pa.DataType], *, delimiter: str = ",", header: str | None = None
) -> pa.Table:
    """Read the named columns in their types (every column if none is named); `header` where the file has none."""
    try:
        with source.open("rb") as file:
            table = csv.read_csv(
                file,
                read_options=csv.ReadOptions(column_names=header.split(delimiter) if header else None),
                parse_options=csv.ParseOptions(delimiter=delimiter),
                convert_options=csv.ConvertOptions(include_columns=list(columns), column_types=columns),
            )
    except (pa.ArrowException, KeyError) as error:
        message = f"not in the published form ({', '.join(columns) or 'a header'}): {str(error).splitlines()[0]}"
        raise InputError(message, path=str(source)) from error
    for name in columns:
        if table[name].null_count:
            raise InputError(f"not in the published form: column '{name}' has empty cells", path=str(source))
    return table


def read_movies(source: Place, delimiter: str, genres_of: Callable[[list[str]], str]) -> pa.Table:
    """Read `movies.dat` or `u.item`: no header, titles that hold ":" and ",", Latin-1 (100K, 1M) or UTF-8 (10M)."""
    raw = source.read_bytes()
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    ids, titles, genres = [], [], []
    for number, line in enumerate(text.splitlines(), start=1):
        fields = line.split(delimiter)
        if len(fields) < 3 or not fields[0].isdigit():
            message = f"expected a movie's id, title and genres with '{delimiter}' between, got '{line[:40]}'"
            raise InputError(message, path=str(source), line=number)
        ids.append(int(fields[0]))
        titles.append(fields[1])
        genres.append(genres_of(fields))
    return pa.table(
        {
            "movieId": pa.array(ids, pa.int32()),
            "title": pa.array(titles, pa.string()),
            "genres": pa.array(genres, pa.string()),
        }
    )
