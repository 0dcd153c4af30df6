"""Records of text: the kernel finds what Python's csv module finds, wherever blocks are cut."""

import csv
import io

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fmkit.batch.formats.decimals import spelt
from fmkit.batch.formats.readers import open_reader
from fmkit.batch.formats.reading import Limits
from fmkit.batch.formats.records import NO_SIGN, UNCLOSED, count_lines, find_records
from fmkit.batch.inputs import find_inputs
from fmkit.errors import InputError

FIELD = st.text(alphabet='ab1 ,;"\n\r\té', max_size=6)


def found(content, delimiter=b",", n_fields=3, is_last=True):
    data = np.frombuffer(content, np.uint8)
    arrays = [np.empty(count_lines(data), np.int64) for _ in range(4)]
    n, used, line = find_records(data, delimiter[0], n_fields, NO_SIGN, is_last, 1 << 20, 1, *arrays)
    begins, ends, fields, lines = (array[:n].tolist() for array in arrays)
    records = [content[a:b] for a, b in zip(begins, ends, strict=True)]
    return records, fields, lines, int(used), int(line)


@given(st.lists(st.lists(FIELD, min_size=3, max_size=3), max_size=8), st.sampled_from(["\n", "\r\n"]))
@settings(max_examples=100)
def test_records_are_those_of_pythons_csv(rows, end):
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator=end, quoting=csv.QUOTE_ALL).writerows(rows)
    records, fields, lines, used, _ = found(text.getvalue().encode())
    assert [next(csv.reader(io.StringIO(r.decode(), newline=""))) for r in records] == rows
    assert fields == [3] * len(rows)
    assert used == len(text.getvalue().encode())
    reader = csv.reader(io.StringIO(text.getvalue(), newline=""))
    starts = [1] + [reader.line_num + 1 for _ in reader]
    assert "\r" in text.getvalue().replace(end, "") or lines == starts[:-1]  # a lone return ends a line here, not there


@given(st.lists(st.lists(FIELD, min_size=2, max_size=2), min_size=1, max_size=8), st.integers(0, 100))
@settings(max_examples=100)
def test_a_block_that_ends_anywhere_leaves_the_rest_for_the_next(rows, cut):
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)
    content = text.getvalue().encode()
    cut = min(cut, len(content))
    whole = found(content, n_fields=2)
    first = found(content[:cut], n_fields=2, is_last=False)
    second = found(content[first[3] :], n_fields=2)
    assert first[0] + second[0] == whole[0]
    assert first[2] + [line + first[4] - 1 for line in second[2]] == whole[2]


@pytest.mark.parametrize(
    ("content", "fields"),
    [
        (b'1,2,3\n4,"5,6\n7,8,9\n', [3, UNCLOSED, 3]),
        (b'1,"2,3\n4,"x",6\n', [UNCLOSED, 3]),  # the quote after it closes the first, and letters stand behind it
        (b'1,2,"3', [UNCLOSED]),
        (b'1,2,"3\n4,5,6', [UNCLOSED, 3]),
        (b'1,2\n\n\n1,2,3,4\n5,"a\nb",6', [2, 4, 3]),
        (b'1,5"6,7\n', [3]),  # a quote inside of a field is a letter
        (b",,\n", [3]),
        (b"", []),
    ],
)
def test_faulty_records_are_told_and_leave_the_others_alone(content, fields):
    assert found(content)[1] == fields


@given(st.integers(1 << 16, 1 << 18), st.integers(0, 1))
@settings(max_examples=10, deadline=None)
def test_rows_and_lines_of_a_file_do_not_depend_on_its_blocks(tmp_path_factory, block, quotes):
    folder = tmp_path_factory.mktemp("blocks")
    notes = ['"a\nb"' if quotes and k % 5 == 0 else "x" * (k % 40) for k in range(12_000)]
    rows = [f"{k},{note}" if k % 1000 != 7 else f"{k}" for k, note in enumerate(notes)]
    (folder / "in.csv").write_text("id,note\n" + "\n".join(rows))
    limits = Limits(4 * block, 1 << 16, 1 << 22, 1 << 27)
    reader = open_reader(find_inputs([str(folder / "in.csv")])[0], limits)
    loaded = [piece.load() for part in reader.parts(["id"], {}, 0) for piece in part.pieces]
    ids = [int(one) for piece in loaded for one in piece.batch["id"].to_pylist()]
    rejected = [row for piece in loaded for row in piece.rejected.to_pylist()]
    assert ids == [k for k in range(12_000) if k % 1000 != 7]
    assert np.concatenate([piece.rows for piece in loaded]).tolist() == [k + 1 for k in ids]
    assert [row["row"] for row in rejected] == [k + 1 for k in range(12_000) if k % 1000 == 7]
    in_lines = (folder / "in.csv").read_text().split("\n")
    lines = np.concatenate([piece.lines for piece in loaded]).tolist()
    assert all(in_lines[line - 1].startswith(f"{k},") for k, line in zip(ids, lines, strict=True))
    assert all(in_lines[row["line"] - 1] == str(row["row"] - 1) for row in rejected)


def test_lines_of_json_that_are_none_are_told_with_their_column(tmp_path):
    lines = ['{"id": 1, "more": [1]}', "{}", "[1]", '{"id": "x"}', "{bad", "", '{"id": 5}'] + ['{"id": 6}'] * 50
    (tmp_path / "in.ndjson").write_text("\n".join(lines))
    reader = open_reader(find_inputs([str(tmp_path / "in.ndjson")])[0], Limits(1 << 20, 1 << 16, 1 << 22, 1 << 27))
    loaded = [piece.load() for part in reader.parts(["id"], {}, 0) for piece in part.pieces]
    assert loaded[0].batch["id"].to_pylist() == [1, None, 5] + [6] * 50
    assert [(r["line"], r["column"], r["reason"]) for r in loaded[0].rejected.to_pylist()] == [
        (3, None, "this is no JSON object"),
        (4, "id", "it holds text where a number is needed"),
        (5, None, "this is no JSON object"),
    ]


@given(st.lists(st.floats(width=32, allow_nan=True, allow_infinity=True), max_size=20))
@settings(max_examples=300)
def test_numbers_are_spelt_as_by_arrow_by_the_fewest_digits(numbers):
    column = pa.array(np.array(numbers, np.float32))
    assert spelt(column).to_pylist() == column.cast(pa.string()).to_pylist()


def test_numbers_of_every_size_are_read_as_they_were():
    rng = np.random.default_rng(0)
    numbers = (10 ** rng.uniform(-5, 8, 200_000) * rng.choice([-1, 1], 200_000)).astype(np.float32)
    numbers = np.concatenate(
        [numbers, np.rint(numbers[:1000]), numbers[:1000].round(2), [0, 1, 10, 1e-4, 9999999, 0.5]]
    )
    within = numbers[(np.abs(numbers) >= 1e-4) & (np.abs(numbers) < 1e7)].astype(np.float32)
    texts = spelt(pa.array(within))
    np.testing.assert_array_equal(np.array(texts.to_pylist(), np.float64).astype(np.float32), within)
    assert texts.to_pylist() == pa.array(within).cast(pa.string()).to_pylist()


def opened(folder, name, content, block=1 << 16):
    (folder / name).write_bytes(content)
    return open_reader(find_inputs([str(folder / name)])[0], Limits(4 * block, 1 << 16, 1 << 22, 1 << 27))


def loaded(reader, *needed):
    pieces = [piece.load() for part in reader.parts(needed, {}, 0) for piece in part.pieces]
    rows = [row for piece in pieces for row in piece.batch.to_pylist()]
    rejected = [(r["line"], r["column"], r["reason"]) for piece in pieces for r in piece.rejected.to_pylist()]
    return rows, rejected


@pytest.mark.parametrize(
    ("header", "names", "n_lines"),
    [
        (b'\xef\xbb\xbfa,"b\nc",d\r\n', ["a", "b\nc", "d"], 2),
        (b"\n\na;\xc3\xa9\n", ["a", "é"], 3),
        (b'"a","b, c"\r', ["a", "b, c"], 1),
    ],
)
def test_headers(tmp_path, header, names, n_lines):
    sign = b";" if b";" in header else b","
    reader = opened(tmp_path, "in.csv", header + sign.join([b"1"] * len(names)) + b"\n")
    assert reader.own == names
    (piece,) = [piece.load() for part in reader.parts(names, {}, 0) for piece in part.pieces]
    assert piece.batch.to_pylist() == [dict.fromkeys(names, "1")]
    assert piece.lines.tolist() == [n_lines + 1]


def test_headers_that_are_none(tmp_path):
    for content, sentence in ((b'a,"b\n1,2\n', "is a quote in it not closed"), (b"a\0,b\n", "this is no table"),
                              (b"a,a\n", "names 'a' twice"), (b"\n\n", "the file is empty")):  # fmt: skip
        with pytest.raises(InputError, match=sentence):
            opened(tmp_path, "in.csv", content)
    assert len(opened(tmp_path, "in.csv", b",".join(b"c%d" % n for n in range(100_000)) + b"\n").own) == 100_000


@pytest.mark.parametrize("begin", [b"1,", b'1,"', b'1,"x\n'])
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b""])
def test_a_line_beyond_all_bounds_is_rejected_alone(tmp_path, begin, end):
    line = begin + b"y" * (20 << 20)
    content = b"id,note\n0,a\n" + line + end + (b"2,b\n3,c\n" if end else b"")
    rows, rejected = loaded(opened(tmp_path, "in.csv", content, 1 << 20), "id")
    assert [row["id"] for row in rows] == (["0", "2", "3"] if end else ["0"])
    del line  # which a failure would show
    first = "a quote is not closed" if b"\n" in begin else "the line is longer than 16 MB"
    assert rejected[0] == (3, None, first)
    assert len(rejected) == 1 + (b"\n" in begin)


def test_json_numbers_are_never_rounded_and_texts_stay_texts(tmp_path):
    lines = [b'{"id": 1.0, "at": "2020-01-01", "d": ["2020-01-01"]}', b'{"id": 9007199254740993, "at": "x"}',
             b'{"id": 9007199254740992, "at": "2021-01-01"}', b'{"id": 0.12345678901234567, "at": "\xff"}', b"   ",
             b'{"id": 5, "at": "\xc3\xa9"}']  # fmt: skip
    reader = opened(tmp_path, "in.ndjson", b"\xef\xbb\xbf" + b"\n".join(lines))
    rows, rejected = loaded(reader, "id", "at", "d")
    assert [(row["id"], row["at"]) for row in rows] == [(1.0, "2020-01-01"), (2.0**53, "2021-01-01"), (5.0, "é")]
    assert rows[0]["d"] == ["2020-01-01"]
    assert rejected == [
        (2, "id", "a whole number beyond 2^53 is rounded in a column of decimals: write it as text"),
        (4, None, "it is not UTF-8"),
    ]
    _, rejected = loaded(
        opened(tmp_path, "in.ndjson", b'{"id": 1}\n' * 200_000 + b'{"id": 1e99}\n{"id": 99999999999999999999}\n'), "id"
    )
    assert [reason for _, _, reason in rejected] == ["a value cannot be read as int64, which those before it are"] * 2


def test_sparse_text_has_rejects_and_comments(tmp_path):
    content = b"# head\n1 0:1 2:.5\n0 x:y\n\n-1 1:2 # tail\r\n  # more\n1 3:nan\n0"
    rows, rejected = loaded(opened(tmp_path, "in.libfm", content), "label", "indices", "values")
    assert rows == [
        {"label": 1.0, "indices": [0, 2], "values": [1.0, 0.5]},
        {"label": -1.0, "indices": [1], "values": [2.0]},
        {"label": 0.0, "indices": [], "values": []},
    ]
    assert [line for line, _, _ in rejected] == [3, 7]
    assert all(reason for _, _, reason in rejected)
