"""fmkit.datasets: what ships is what was published; the full sets are read in each of their forms."""

import zipfile
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from fmkit.datasets import (
    fetch_goodbooks,
    fetch_movielens,
    load_adult,
    load_goodbooks,
    load_harvesters,
    load_movielens_small,
    make_damage,
)
from fmkit.errors import InputError


def test_movielens_small_is_the_published_set():
    bunch = load_movielens_small()
    assert (bunch.data.shape, bunch.data.dtype, bunch.target.dtype) == ((100_836, 2), np.int32, np.float32)
    assert [len(np.unique(column)) for column in bunch.data.T] == [610, 9_724]
    assert set(bunch.target) == set(np.arange(0.5, 5.5, 0.5))
    assert bunch.data[0].tolist() == [1, 1]
    assert (bunch.target[0], bunch.timestamp[0]) == (4.0, 964982703)
    assert bunch.movies.title[bunch.movies.movieId == 1].tolist() == ["Toy Story (1995)"]
    assert np.isin(bunch.data[:, 1], bunch.movies.movieId).all()
    assert "not commercial" in bunch.DESCR


def test_goodbooks_names_its_books():
    bunch = load_goodbooks()
    assert (bunch.data.shape, bunch.data.dtype, bunch.target.dtype) == ((298_176, 2), np.int32, np.float32)
    assert set(bunch.target) == {1, 2, 3, 4, 5}
    title = dict(zip(bunch.books.book_id, bunch.books.title, strict=True))
    most_rated = np.bincount(bunch.data[:, 1]).argmax()
    assert title[most_rated] == "The Hunger Games (The Hunger Games, #1)"
    assert "CC BY-SA 4.0" in bunch.DESCR


@pytest.mark.parametrize("load", [load_movielens_small, load_goodbooks])
def test_x_y_and_frames_hold_the_same_ratings(load):
    bunch, frames = load(), load(as_frame=True)
    X, y = load(return_X_y=True)
    assert np.array_equal(X, bunch.data)
    assert np.array_equal(y, bunch.target)
    assert np.array_equal(X, frames.data)
    assert np.array_equal(y, frames.target)
    assert list(frames.data.columns) == bunch.feature_names


def test_ratings_go_straight_into_a_pipeline():
    X, y = load_movielens_small(return_X_y=True)
    test = np.random.RandomState(42).permutation(len(y))[: len(y) // 10]
    train = np.setdiff1d(np.arange(len(y)), test)
    model = make_pipeline(OneHotEncoder(handle_unknown="ignore"), Ridge(alpha=5.0, solver="sparse_cg"))
    error = model.fit(X[train], y[train]).predict(X[test]) - y[test]
    assert np.sqrt(np.mean(error**2)) < 0.9  # the mean rating alone: 1.05


def test_adult_is_a_table_of_numbers_and_text():
    bunch, framed = load_adult(), load_adult(as_frame=True)
    assert (bunch.data.shape, bunch.target.shape) == ((30_162, 14), (30_162,))
    assert {str(kind) for kind in bunch.data.schema.types} == {"int32", "string"}
    assert (
        bunch.data.slice(0, 1).to_pylist()[0].items()
        >= {"age": 45, "education": "9th", "country": "United-States"}.items()
    )
    assert (bunch.target == ">50K").sum() == 7_508
    assert framed.data.columns.tolist() == bunch.feature_names
    assert framed.frame.income.tolist() == bunch.target.tolist()
    assert load_adult(return_X_y=True)[0].equals(bunch.data)
    assert "CC BY 4.0" in bunch.DESCR


def test_harvesters_is_a_colour_picture():
    bunch = load_harvesters()
    assert (bunch.picture.shape, bunch.picture.dtype) == ((859, 1165, 3), np.uint8)
    red, _, blue = bunch.picture[540:600, 420:600].mean((0, 1))
    assert red > 2 * blue  # the ripe wheat is golden: channels are in the order red, green, blue
    assert "public domain" in bunch.DESCR.lower()


def test_damage_is_some_of_every_kind_and_the_seed_decides():
    mask = make_damage((300, 400), random_state=0)
    assert (mask.shape, mask.dtype) == ((300, 400), np.bool_)
    assert 0.03 < mask.mean() < 0.2
    assert np.array_equal(mask, make_damage((300, 400), random_state=0))
    assert not np.array_equal(mask, make_damage((300, 400), random_state=1))


@pytest.mark.parametrize("shape", [(0, 5), (5,), (4, 4, 3)])
def test_damage_needs_a_height_and_a_width(shape):
    with pytest.raises(InputError, match="height and the width"):
        make_damage(shape)


def test_every_set_brings_its_licence_and_together_they_are_small():
    import fmkit.datasets

    folders = [folder for folder in Path(fmkit.datasets.__file__).parent.iterdir() if (folder / "README.md").exists()]
    assert {folder.name for folder in folders} == {"adult", "goodbooks", "harvesters", "movielens_small"}
    assert all((folder / "LICENSE").stat().st_size > 300 for folder in folders)
    assert sum(file.stat().st_size for folder in folders for file in folder.iterdir()) < 3_000_000


CSV = {
    "ratings.csv": "userId,movieId,rating,timestamp\n1,17,4.0,944249077\n2,25,0.5,944250228\n",
    "movies.csv": 'movieId,title,genres\n17,"Sense, and Sensibility (1995)",Drama|Romance\n25,Heat (1995),Action\n',
}
DAT = {
    "ratings.dat": "1::17::4::944249077\n2::25::0.5::944250228\n",
    "movies.dat": "17::Star Wars: Épisode IV (1977)::Action|Sci-Fi\n25::Heat (1995)::Action\n",
}
HUNDRED_K = {
    "u.data": "1\t17\t4\t944249077\n2\t25\t0.5\t944250228\n",
    "u.item": "17|Élisa (1995)|01-Jan-1995||http://imdb|0|0|0|0|0|0|0|0|1|0|0|0|0|0|1|0|0|0|0\n"
    "25|Heat (1995)|01-Jan-1995||http://imdb|0|1|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0\n",
}


def unpack(files, folder, encoding="utf-8"):
    folder.mkdir(parents=True)
    for name, text in files.items():
        (folder / name).write_text(text, encoding=encoding)
    return folder


@pytest.mark.parametrize(
    ("files", "encoding", "title", "genres"),
    [
        (CSV, "utf-8", "Sense, and Sensibility (1995)", "Drama|Romance"),
        (DAT, "utf-8", "Star Wars: Épisode IV (1977)", "Action|Sci-Fi"),
        (DAT, "latin-1", "Star Wars: Épisode IV (1977)", "Action|Sci-Fi"),
        (HUNDRED_K, "latin-1", "Élisa (1995)", "Drama|Romance"),
    ],
    ids=["25M", "10M", "1M", "100K"],
)
@pytest.mark.parametrize("given_as", ["folder", "folder above", "ratings file", "zip"])
def test_every_published_form_of_movielens(tmp_path, files, encoding, title, genres, given_as):
    folder = unpack(files, tmp_path / "my sets" / "ml", encoding)
    path = {
        "folder": folder,
        "folder above": folder.parent,
        "ratings file": folder / next(iter(files)),
        "zip": tmp_path / "ml.zip",
    }[given_as]
    with zipfile.ZipFile(tmp_path / "ml.zip", "w") as archive:
        for name in files:
            archive.write(folder / name, f"ml/{name}")
    bunch = fetch_movielens(path)
    assert bunch.data.tolist() == [[1, 17], [2, 25]]
    assert bunch.target.tolist() == [4.0, 0.5]
    assert bunch.timestamp.tolist() == [944249077, 944250228]
    assert (bunch.movies.title[0], bunch.movies.genres[0]) == (title, genres)


def test_ratings_without_a_catalogue_are_enough(tmp_path):
    path = unpack({"ratings.csv": CSV["ratings.csv"]}, tmp_path / "ml")
    X, y = fetch_movielens(path, return_X_y=True)
    assert "movies" not in fetch_movielens(path)
    assert (X.shape, y.tolist()) == ((2, 2), [4.0, 0.5])


@pytest.mark.parametrize("key", ["id,book_id", "book_id,goodreads_book_id"], ids=["first edition", "second edition"])
def test_goodbooks_of_both_editions(tmp_path, key):
    books = f"{key},title,authors,original_publication_year,language_code\n258,9000,The Shadow,Zafón,2001.0,eng\n"
    folder = unpack({"ratings.csv": "user_id,book_id,rating\n1,258,5\n", "books.csv": books}, tmp_path / "gb")
    bunch = fetch_goodbooks(folder)
    assert (bunch.data.tolist(), bunch.target.tolist()) == ([[1, 258]], [5.0])
    assert (bunch.books.book_id.tolist(), bunch.books.title.tolist()) == ([258], ["The Shadow"])


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, r"ml: there is no ratings\.csv or ratings\.dat or u\.data in it; download the set from https://grouplens"),
        ({"ratings.csv": ""}, r"ratings\.csv: not in the published form .*[Ee]mpty"),
        ({"ratings.csv": "user,item\n1,2\n"}, r"ratings\.csv: not in the published form .*userId"),
        ({"ratings.csv": CSV["ratings.csv"].replace("4.0", "four")}, r"ratings\.csv: .*'four'"),
        ({"ratings.csv": CSV["ratings.csv"].replace("4.0", "")}, r"ratings\.csv: .*'rating' has empty cells"),
        ({"ratings.csv": CSV["ratings.csv"] + "3,25"}, r"ratings\.csv: .*Expected 4 columns, got 2"),
        (DAT | {"movies.dat": "17::Heat\n"}, r"movies\.dat, line 1: expected a movie's id, title and genres"),
    ],
    ids=["no file", "empty", "columns", "text", "empty cell", "cut short", "movies"],
)
def test_a_broken_set_is_named(tmp_path, files, message):
    with pytest.raises(InputError, match=message):
        fetch_movielens(unpack(files, tmp_path / "ml"))


@pytest.mark.parametrize(
    ("name", "message"),
    [("ml-25m", r"ml-25m: no such file or folder; download the set from"), ("notes.txt", r"notes\.txt: no MovieLens")],
)
def test_a_missing_set_says_where_to_get_it(tmp_path, name, message):
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(InputError, match=message):
        fetch_movielens(tmp_path / name)
    with pytest.raises(InputError, match=r"github\.com/zygmuntz/goodbooks-10k"):
        fetch_goodbooks(tmp_path / name)
