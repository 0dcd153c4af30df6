"""Files of interactions: found columns, ids that come out as they went in, and the line of every fault."""

import gzip

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmkit.errors import InputError
from fmkit.recommend import tables as tables_module
from fmkit.recommend.columns import find_columns
from fmkit.recommend.interactions import Columns, Interactions
from fmkit.recommend.vocabulary import Vocabulary


def triples(table):
    """(user, item, rating) of every row, in order."""
    users = table.users.decode(table.user_codes).to_pylist()
    return list(zip(users, table.items.decode(table.item_codes).to_pylist(), table.ratings.tolist(), strict=True))


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "header",
    [
        "userId,movieId,rating",
        "USER_ID,Book-Id,Stars",
        "user,isbn,score",
        "reviewer id, asin, Overall",
        "user,item,value",
    ],
)
def test_columns_are_found_by_their_usual_names(tmp_path, header):
    table = Interactions.of(write(tmp_path / "r.csv", f"{header},timestamp\n7,12,3.5,0\n7,4,1,0\n"))
    assert triples(table) == [(7, 12, 3.5), (7, 4, 1.0)]


def test_columns_that_are_named_go_before_the_usual_ones(tmp_path):
    path = write(tmp_path / "r.csv", "user,who,what,rating\n1,ann,x,5\n2,bob,y,4\n")
    table = Interactions.of(path, Columns(user="who", item="what"))
    assert triples(table) == [("ann", "x", 5.0), ("bob", "y", 4.0)]


def test_a_missing_column_is_told_with_the_names_looked_for_and_those_that_exist():
    with pytest.raises(InputError, match=r"^r.csv: no column for item .* item, itemid, .*the table has 'user', 'wine'"):
        find_columns(["user", "wine", "rating"], ("user", "item", "rating"), path="r.csv")
    with pytest.raises(InputError, match=r"no column 'wein' for item, the table has 'user', 'wine'"):
        find_columns(["user", "wine"], ("user", "item"), {"item": "wein"}, path="r.csv")
    with pytest.raises(InputError, match="column 'wine' cannot hold both item and rating"):
        find_columns(["user", "wine"], ("user", "item", "rating"), {"item": "wine", "rating": "wine"}, path="r.csv")


@pytest.mark.parametrize("delimiter", [",", "\t", ";", "|"])
@pytest.mark.parametrize("pack", [None, gzip.compress])
def test_text_tables_of_every_delimiter_compressed_or_not(tmp_path, delimiter, pack):
    rows = ["user,item,rating", "ann,Müller,4.5", "bob,Ørsted,2"]
    content = "\ufeff" + "\r\n".join(rows).replace(",", delimiter)
    path = tmp_path / ("r.txt.gz" if pack else "r.txt")
    path.write_bytes(pack(content.encode()) if pack else content.encode())
    assert triples(Interactions.of(path)) == [("ann", "Müller", 4.5), ("bob", "Ørsted", 2.0)]


def test_quoted_fields_may_hold_delimiters_and_line_breaks(tmp_path):
    path = write(tmp_path / "r.csv", 'user,item,rating,review\n"Doe, J.",a,5,"good\nvery good"\nx,b,1,no\n')
    assert triples(Interactions.of(path)) == [("Doe, J.", "a", 5.0), ("x", "b", 1.0)]


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        (["1", "20", "-3"], [1, 20, -3]),
        (["007", "8"], ["007", "8"]),
        (["1", "NA", "null"], ["1", "NA", "null"]),
        ([" 1 ", "1", "2 "], [1, 1, 2]),
        (["99999999999999999999", "1"], ["99999999999999999999", "1"]),
    ],
)
def test_ids_come_out_as_they_went_in(tmp_path, ids, expected):
    lines = [f"{user},i{row},1" for row, user in enumerate(ids)]
    table = Interactions.of(write(tmp_path / "r.csv", "\n".join(["user,item,rating", *lines])))
    assert sorted(u for u, _, _ in triples(table)) == sorted(expected)


@pytest.mark.parametrize(
    "users",
    [
        pa.array([3, 1, 3], pa.int16()),
        pa.array([3, 1, 3], pa.uint64()),
        pa.array([3.0, 1.0, 3.0]),
        pa.array(["3", "1", "3"], pa.large_string()),
        pa.array(["3", "1", "3"]).dictionary_encode(),
    ],
    ids=lambda users: str(users.type),
)
@pytest.mark.parametrize("ratings", [pa.array([1, 2, 3]), pa.array([1, 2, 3], pa.float64())], ids=lambda r: str(r.type))
def test_parquet_of_any_type_of_id_is_the_same_table_as_text(tmp_path, users, ratings):
    path = tmp_path / "anything"
    pa.parquet.write_table(pa.table({"user_id": users, "item": ["a", "b", "b"], "rating": ratings}), path)
    assert triples(Interactions.of(path)) == [(3, "a", 1.0), (1, "b", 2.0), (3, "b", 3.0)]


def test_several_files_are_one_table_and_the_last_rating_of_a_pair_counts(tmp_path):
    first = write(tmp_path / "a.csv", "user,item,rating\n1,x,1\n1,x,2\n2,y,5\n")
    second = tmp_path / "b.parquet"
    pa.parquet.write_table(pa.table({"item": ["x", "z"], "rating": [4.5, 3.0], "user": [1, 2]}), second)
    table = Interactions.of([first, second])
    assert triples(table) == [(2, "y", 5.0), (1, "x", 4.5), (2, "z", 3.0)]
    assert table.n_replaced == 2


@given(
    st.lists(
        st.tuples(st.integers(-5, 5), st.sampled_from(["a", "b", "1", " ü", "c,d"]), st.sampled_from([0.5, 3.0, -1.0])),
        min_size=1,
    )
)
def test_a_table_holds_the_last_rating_of_every_pair(rows):
    table = Interactions.of(dict(zip(("user", "item", "rating"), map(list, zip(*rows, strict=True)), strict=True)))
    expected = {(user, item.strip()): rating for user, item, rating in rows}
    assert {(user, str(item)): rating for user, item, rating in triples(table)} == expected
    assert table.n_replaced == len(rows) - len(expected)


def test_the_parts_of_a_large_file_share_their_codes(tmp_path, monkeypatch):
    monkeypatch.setattr(tables_module, "BLOCK", 4096)
    rng = np.random.default_rng(0)
    users, items = rng.integers(0, 50, 5000), rng.integers(0, 400, 5000)
    ratings = rng.integers(1, 11, 5000) / 2
    lines = [f"{u},{i},{r}" for u, i, r in zip(users, items, ratings, strict=True)]
    parts = []
    table = Interactions.of(write(tmp_path / "r.csv", "\n".join(["user,item,rating", *lines])), on_rows=parts.append)
    assert len(parts) > 5
    assert sum(parts) == 5000
    assert triples(table) == triples(Interactions.of({"user": users, "item": items, "rating": ratings}))


def test_vocabulary_codes():
    words = Vocabulary(pa.array([5, 7, 1]))
    assert words.encode([7, 9, 5]).tolist() == [1, -1, 0]
    assert words.encode(["7", "07", "x"]).tolist() == [1, -1, -1]
    assert words.encode([]).tolist() == []
    with pytest.raises(InputError, match="ids must be integers or text, got numbers with decimals"):
        words.encode([1.5])


FAULTS = {
    "text in a number's place": ("1,2,3\n1,2,abc\n", "line 3: 'abc' is no number in column 'rating'"),
    "NaN": ("1,2,3\n\n1,2,nan\n", "line 4: 'nan' is not finite in column 'rating'"),
    "infinity": ("1,2,-inf\n", "line 2: '-inf' is not finite in column 'rating'"),
    "beyond float32": ("1,2,1e39\n", "line 2: '1e39' is not finite in column 'rating'"),
    "no rating": ("1,2,\n", "line 2: there is no number in column 'rating'"),
    "no user": ("1,2,3\n,2,3\n", "line 3: there is no id in column 'user'"),
    "a blank item": ("1,2,3\n1, ,3\n", "line 3: there is no id in column 'item'"),
    "too few fields": ("1,2,3\n1,2\n", "line 3: the line has 2 fields, the header has 3"),
    "too many fields": ("1,2,3\n1,2,3,4\n", "line 3: the line has 4 fields, the header has 3"),
    "after a field over two lines": ('"a\nb",2,3\n1,2,x\n', "line 4: 'x' is no number"),
    "a quote that is not closed": (f'1,"{"x" * 200_000},3\n', "line 2: a field has more than 131,072 letters"),
    "only a header": ("", "the table holds no interactions, only a header"),
}


@pytest.mark.parametrize("rows", FAULTS)
def test_a_fault_is_told_with_file_line_and_column(tmp_path, rows):
    content, message = FAULTS[rows]
    with pytest.raises(InputError) as caught:
        Interactions.of(write(tmp_path / "r.csv", "user,item,rating\n" + content))
    assert str(caught.value).startswith(str(tmp_path / "r.csv"))
    assert message in str(caught.value)


def test_between_semicolons_numbers_may_have_commas(tmp_path):
    path = write(tmp_path / "r.csv", "user;item;rating\n1,5;2;4,5\n1;3;2\n")
    assert triples(Interactions.of(path)) == [("1,5", 2, 4.5), ("1", 3, 2.0)]
    write(path, "user;item;rating\n1;2;4,5\n1;3;x\n")
    with pytest.raises(InputError, match=r"line 3: 'x' is no number in column 'rating'"):
        Interactions.of(path)
    write(path, "user;item;rating\n1;2;4.5\n1;3;4,5\n")
    with pytest.raises(InputError, match=r"line 3: '4,5' is no number in column 'rating': write it with a point"):
        Interactions.of(path)
    write(path, "user;item;rating\n1;2;4,5" + "\n1;3;2" * 20_000 + "\n1;4;2.5")
    with pytest.raises(InputError, match=r"line 20003: '2\.5' has a point in column 'rating', other numbers have"):
        Interactions.of(path)
    write(path, "user;item;rating\n1,5;2;4\n1;2,5;4.5")  # ids are nobody's numbers
    assert triples(Interactions.of(path))[1] == ("1", "2,5", 4.5)
    items = write(tmp_path / "i.csv", "item;genres\n1;1,5\n2;3,4\n")  # two codes each: nothing is guessed
    assert tables_module.read_whole(items)["genres"].to_pylist() == ["1,5", "3,4"]


def test_a_fault_far_down_and_in_a_compressed_file_is_found(tmp_path):
    path = tmp_path / "r.csv.gz"
    path.write_bytes(gzip.compress(b"user,item,rating\n" + b"1,2,3\n" * 200_000 + b"1,2,?\n"))
    with pytest.raises(InputError, match=r"r.csv.gz, line 200002: '\?' is no number in column 'rating'"):
        Interactions.of(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"\n\n", "the file is empty"),
        (bytes(range(256)) * 9, "this is no table"),
        (b"caf\xe9,b,c\n1,2,3\n", "this is no table"),
        (b"user,item,rating\n1,caf\xe9,3\n", "line 2: the line is not UTF-8 text"),
        (b"PAR1 and nothing more", "the file is damaged"),
    ],
)
def test_files_that_are_no_tables(tmp_path, content, message):
    path = tmp_path / "r.csv"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        Interactions.of(path)


def test_a_truncated_archive(tmp_path):
    path = tmp_path / "r.csv.gz"
    path.write_bytes(gzip.compress(b"user,item,rating\n" + bytes(str(list(range(99999))), "ascii"))[:-2000])
    with pytest.raises(InputError, match=r"r\.csv\.gz"):
        Interactions.of(path)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"user": [1, None], "item": [1, 2], "rating": [1.0, 2.0]}, "row 2 has no id in column 'user'"),
        ({"user": [1, 2], "item": [1, 2], "rating": [1.0, None]}, "row 2 has no finite number in column 'rating'"),
        ({"user": [1, 2], "item": [1, 2], "rating": [float("inf"), 1]}, "row 1 has no finite number in column"),
        ({"user": [1, 2], "item": [1, 2], "rating": ["5", "4"]}, "column 'rating' must hold numbers, it holds string"),
        ({"user": [1.5, 2], "item": [1, 2], "rating": [5, 4]}, "column 'user': ids must be integers or text"),
        ({"user": [True, False], "item": [1, 2], "rating": [5, 4]}, "ids must be integers or text, got bool"),
    ],
)
def test_faults_of_parquet_tables(tmp_path, columns, message):
    pa.parquet.write_table(pa.table(columns), tmp_path / "r.parquet")
    with pytest.raises(InputError, match=message):
        Interactions.of(tmp_path / "r.parquet")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (([1], [1, 2], [3]), "columns must be of one length, got user 1, item 2, rating 1"),
        (([], [], []), "the table holds no interactions"),
        (([1], [1], [np.nan]), "row 1 has no finite number in column 'rating'"),
        (([None], ["a"], [1]), "row 1 has no id in column 'user'"),
        (([7, 8], ["a", " "], [1, 2]), "row 2 has no id in column 'item'"),
    ],
)
def test_faults_of_arrays(arrays, message):
    with pytest.raises(InputError, match=message):
        Interactions.of(dict(zip(("user", "item", "rating"), arrays, strict=True)))
