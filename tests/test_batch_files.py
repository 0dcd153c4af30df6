"""Files scored to files: nothing is lost, whatever is in them, and however often the run is cut off."""

import contextlib
import gzip
import json
import multiprocessing
import os
import random
import shutil
import subprocess
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fmkit import FMRegressor, TableEncoder, save
from fmkit.batch import RejectsError, score, score_files, verify
from fmkit.batch.budget import read_bytes
from fmkit.errors import InputError
from fmkit.recommend import Recommender

N = 3000


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A folder with a model of pairs, and pairs as Parquet in row groups of 700."""
    folder = tmp_path_factory.mktemp("shop")
    rng = np.random.default_rng(0)
    drawn = rng.choice(60 * 50, N, replace=False)
    pairs = pa.table({"user": drawn // 50, "item": drawn % 50, "day": [f"d{n % 7}" for n in range(N)]})
    ratings = pairs.slice(0, 1000).append_column("rating", pa.array(rng.integers(1, 6, 1000).astype(float)))
    model = Recommender(quality="fast", n_factors=3, max_iter=4).fit(ratings)
    save(model, folder / "model.fmkit")
    pq.write_table(pairs, folder / "pairs.parquet", row_group_size=700)
    pa.csv.write_csv(pairs, folder / "pairs.csv")
    want = pa.Table.from_batches(list(score(model, pairs)))
    return folder, model, pairs, want


def files_of(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()
            and p.name != "_manifest.json"}  # fmt: skip


def read(path):
    if path.suffix == ".parquet":
        return pq.ParquetFile(path).read()
    return pa.csv.read_csv(path)


def test_row_groups_and_columns_stay_and_predictions_are_those_of_score(shop, tmp_path):
    folder, _, _, want = shop
    told = score_files(folder / "model.fmkit", folder / "pairs.parquet", tmp_path / "out.parquet")
    out = pq.ParquetFile(tmp_path / "out.parquet")
    assert out.read().equals(want)
    assert [out.metadata.row_group(g).num_rows for g in range(out.metadata.num_row_groups)] == [700] * 4 + [200]
    assert told["rows"] == {"in": N, "out": N, "rejected": 0}
    assert verify(tmp_path / "out.parquet").faults == []


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".tsv", ".ndjson", ".arrow", ".parquet"])
def test_every_format_in_and_out_holds_the_same(shop, tmp_path, suffix):
    folder, _, _, want = shop
    model = folder / "model.fmkit"
    score_files(model, folder / "pairs.parquet", tmp_path / f"a{suffix}", keep=["user", "item", "day"])
    again = score_files(model, tmp_path / f"a{suffix}", tmp_path / "b.parquet", keep=["user", "item"])
    assert again["rows"]["out"] == N
    np.testing.assert_array_equal(read(tmp_path / "b.parquet")["prediction"], want["prediction"])


def test_a_folder_keeps_its_shape_and_its_partitions_are_columns(shop, tmp_path):
    folder = shop[0]
    for day in range(2):
        for part in range(2):
            place = tmp_path / "in" / f"user={day + 3}" / f"part-{part}.csv.gz"
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(gzip.compress(b"item\n7\n8\n"))
    (tmp_path / "in" / "_SUCCESS").write_text("")
    (tmp_path / "in" / "notes.txt").write_text("no table")
    score_files(folder / "model.fmkit", tmp_path / "in", tmp_path / "out")
    assert sorted(files_of(tmp_path / "out")) == [f"user={d}/part-{p}.csv.gz" for d in (3, 4) for p in (0, 1)]
    model = shop[1]
    for user in (3, 4):
        out = pa.csv.read_csv(tmp_path / f"out/user={user}/part-1.csv.gz")
        assert out.column_names == ["item", "prediction"]
        np.testing.assert_allclose(out["prediction"], model.predict([user] * 2, [7, 8]), rtol=1e-6)


def test_large_inputs_become_parts_that_begin_at_row_groups(shop, tmp_path):
    folder, _, _, want = shop
    score_files(folder / "model.fmkit", folder / "pairs.parquet", tmp_path / "out", part_rows=1000)
    parts = sorted((tmp_path / "out").glob("*.parquet"))
    assert [(p.name, pq.read_metadata(p).num_rows) for p in parts] == [
        ("pairs-00000.parquet", 1400), ("pairs-00001.parquet", 1400), ("pairs-00002.parquet", 200)
    ]  # fmt: skip
    assert pa.concat_tables([read(p) for p in parts]).combine_chunks().equals(want.combine_chunks())


def test_text_becomes_parts_too_and_memory_changes_nothing_but_the_cuts(shop, tmp_path):
    folder, _, _, want = shop
    for memory in ("1MB", "4GB"):
        score_files(folder / "model.fmkit", folder / "pairs.csv", tmp_path / memory, part_rows=100, memory=memory)
        parts = sorted((tmp_path / memory).glob("*.csv"))
        whole = pa.concat_tables([read(p) for p in parts])
        np.testing.assert_allclose(whole["prediction"], want["prediction"], rtol=1e-6)
        assert whole["user"].to_pylist() == want["user"].to_pylist()
    assert len(parts) >= 1


# Twelve kinds of faults that a row of text can have; each is put into rows of its own, and must be found there.
FAULTS = {
    "too few fields": (lambda row: f"{row},1.5", None, "the row has 2 fields, the header has 4"),
    "too many fields": (lambda row: f"{row},1.5,Rome,2024-01-01,9", None, "the row has 5 fields, the header has 4"),
    "a quote not closed": (lambda row: f'{row},1.5,"Rome,2024-01-01', None, "a quote is not closed"),
    "text for a number": (lambda row: f"{row},one,Rome,2024-01-01", "age", "it is text where a number is needed"),
    "a decimal comma": (lambda row: f'{row},"1,5",Rome,2024-01-01', "age", "it is text where a number is needed"),
    "infinite": (lambda row: f"{row},-inf,Rome,2024-01-01", "age", "the number is not finite"),
    "too large": (lambda row: f"{row},1e39,Rome,2024-01-01", "age", "the number is larger than 32 bits hold, 3.4e38"),
    "too large for any": (lambda row: f"{row},1e999,Rome,2024-01-01", "age", "the number is not finite"),
    "no date": (lambda row: f"{row},1.5,Rome,soon", "since", "a date as ISO 8601 is needed"),
    "a date that is none": (lambda row: f"{row},1.5,Rome,2023-02-29", "since", "a date as ISO 8601 is needed"),
    "not UTF-8": (lambda row: f"{row},1.5,R\udcffme,2024-01-01", "city", "it is not UTF-8"),
    "not UTF-8 in what is kept": (lambda row: f"{row}\udcc3,1.5,Rome,2024-01-01", "id", "it is not UTF-8"),
}


@pytest.mark.parametrize("n", [20_000])
def test_faults_of_twelve_kinds_are_found_named_and_touch_no_other_row(tmp_path, n):
    from sklearn.pipeline import make_pipeline

    rng = np.random.default_rng(0)
    table = {"age": rng.uniform(0, 9, 200), "city": ["Rome", "Oslo"] * 100, "since": ["2024-01-01", "2023-06-05"] * 100}
    pipeline = make_pipeline(TableEncoder({"since": "date"}), FMRegressor(max_iter=3)).fit(table, rng.random(200))
    save(pipeline, tmp_path / "m.fmkit")
    kinds = list(FAULTS)
    of_row = {int(row): kinds[k % 12] for k, row in enumerate(rng.choice(n, n // 100, replace=False))}
    ages, cities = rng.uniform(0, 9, n).round(3), rng.choice(["Rome", "Oslo", '"Os""lo"', '"two\nlines"'], n)
    lines, faultless = [], []
    for row in range(n):
        right = f"{row},{ages[row]},{cities[row]},2024-01-{1 + row % 28:02}"
        lines.append(FAULTS[of_row[row]][0](row) if row in of_row else right)
        if row not in of_row:
            faultless.append(right)
    header = "id,age,city,since"
    (tmp_path / "in.csv").write_text("\n".join([header, *lines]), "utf-8", errors="surrogateescape")
    (tmp_path / "clean.csv").write_text("\n".join([header, *faultless]))
    told = score_files(tmp_path / "m.fmkit", tmp_path / "in.csv", tmp_path / "out.parquet",
                       rejects=tmp_path / "rejects.parquet")  # fmt: skip
    assert told["rows"] == {"in": n, "out": n - len(of_row), "rejected": len(of_row)}
    rejects = pq.read_table(tmp_path / "rejects.parquet").to_pylist()
    assert {r["row"] - 1: (r["column"], r["reason"]) for r in rejects} == {
        row: FAULTS[kind][1:] for row, kind in of_row.items()
    }
    in_lines = (tmp_path / "in.csv").read_bytes().split(b"\n")
    assert all(in_lines[r["line"] - 1].startswith(str(r["row"] - 1).encode()) for r in rejects)
    score_files(tmp_path / "m.fmkit", tmp_path / "clean.csv", tmp_path / "want.parquet")
    assert read(tmp_path / "out.parquet").equals(read(tmp_path / "want.parquet"))


def test_rejects_end_the_run_where_they_are_too_many_and_finished_parts_stay(shop, tmp_path):
    folder = shop[0]
    table = pa.table({"user": [1] * 3000 + [None] * 5, "item": [2] * 3005})
    pq.write_table(table, tmp_path / "in.parquet", row_group_size=1000)
    kept = {"rejects": tmp_path / "r.csv", "part_rows": 1000}
    with pytest.raises(RejectsError, match=r"row 3001, column 'user': there is no id; --rejects FILE sets"):
        score_files(folder / "model.fmkit", tmp_path / "in.parquet", tmp_path / "a.parquet")
    with pytest.raises(RejectsError, match="5 rows will not do, 4 are allowed"):
        score_files(folder / "model.fmkit", tmp_path / "in.parquet", tmp_path / "b", max_rejects=4, **kept)
    assert len(list((tmp_path / "b").glob("*.parquet"))) == 3
    told = score_files(folder / "model.fmkit", tmp_path / "in.parquet", tmp_path / "b", resume=True, **kept)
    assert told["rows"] == {"in": 3005, "out": 3000, "rejected": 5}
    assert pa.csv.read_csv(tmp_path / "r.csv")["row"].to_pylist() == [3001, 3002, 3003, 3004, 3005]


def test_a_run_that_is_killed_again_and_again_ends_with_the_same_bytes(shop, tmp_path):
    model, rows = shop[0] / "model.fmkit", 26_000
    table = pa.table(
        {"user": np.arange(rows) % 60, "item": np.arange(rows) % 50, "note": [f"n{k}" for k in range(rows)]}
    )
    pq.write_table(table, tmp_path / "big.parquet", row_group_size=200)
    wrong = pa.table({"user": pa.array([None, 1] * 400), "item": [2] * 800, "note": [""] * 800})
    pq.write_table(wrong, tmp_path / "wrong.parquet", row_group_size=200)
    files = [tmp_path / "wrong.parquet", tmp_path / "big.parquet"]
    score_files(model, files, tmp_path / "want", part_rows=200, rejects=tmp_path / "want.parquet")
    entries, kept = tmp_path / "got" / "_fmkit", {"part_rows": 200, "rejects": tmp_path / "got.parquet", "resume": True}
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["fmkit.batch", "fmkit.recommend"])
    draw, seen = random.Random(0), set()
    for _ in range(20):
        process = processes.Process(target=score_files, args=(model, files, tmp_path / "got"), kwargs=kept)
        before = len(list(entries.glob("*.json")))
        process.start()
        wanted = entries / f"{max(before - 2, 0) + draw.randrange(0, 8):08}.json"
        while process.is_alive() and not wanted.exists():
            time.sleep(0.001)
        time.sleep(draw.random() * 0.01)
        process.kill()
        process.join()
        seen.add(len(list(entries.glob("*.json"))))
    assert len(seen) > 10  # it was cut off in many places
    assert not (tmp_path / "got" / "_manifest.json").exists()
    score_files(model, files, tmp_path / "got", **kept)
    assert files_of(tmp_path / "got") == files_of(tmp_path / "want")
    assert (tmp_path / "got.parquet").read_bytes() == (tmp_path / "want.parquet").read_bytes()
    assert verify(tmp_path / "got").faults == []


@given(st.integers(0, 40))
@settings(max_examples=15, deadline=None)
def test_a_run_of_text_that_is_cut_at_any_part_goes_on_to_the_same_bytes(shop, tmp_path_factory, n):
    folder, tmp_path = shop[0], tmp_path_factory.mktemp("cut")
    notes = ['"a\nb"' if k % 11 == 0 else "x" * (k % 13) for k in range(60_000)]
    lines = [f"{k % 60},{k % 50},{note}" for k, note in enumerate(notes)]
    for name, pack in (("in.csv", bytes), ("in2.csv.gz", lambda content: gzip.compress(content, 1))):
        (tmp_path / name).write_bytes(pack("\n".join(["user,item,note", *lines]).encode()))
    options = {"part_rows": 2000, "memory": "1MB", "form": "parquet"}
    inputs = [tmp_path / "in.csv", tmp_path / "in2.csv.gz"]
    score_files(folder / "model.fmkit", inputs, tmp_path / "want", **options)

    told = []

    def stop(job, done, rows):
        told.append(rows)
        if len(told) > n:
            raise KeyboardInterrupt

    with contextlib.suppress(KeyboardInterrupt):
        score_files(folder / "model.fmkit", inputs, tmp_path / "got", tell=stop, **options)
    others = {"memory": "2GB", "n_jobs": 1}  # it goes on as it began, or these are of no matter
    score_files(
        folder / "model.fmkit", inputs, tmp_path / "got", resume=True, **{**options, **others} if n else options
    )
    assert files_of(tmp_path / "got") == files_of(tmp_path / "want")
    shutil.rmtree(tmp_path)


def test_a_run_goes_on_only_with_what_it_began_with(shop, tmp_path):
    folder = shop[0]
    shutil.copy(folder / "pairs.parquet", tmp_path / "in.parquet")

    def stop(job, done, rows):
        if job.part.number == 1:
            raise KeyboardInterrupt

    def run(**options):
        return score_files(folder / "model.fmkit", tmp_path / "in.parquet", tmp_path / "out", part_rows=700, **options)

    with pytest.raises(KeyboardInterrupt):
        run(tell=stop)
    with pytest.raises(InputError, match="a run was cut off here: --resume goes on, --overwrite begins anew"):
        run()
    with pytest.raises(InputError, match="had other options: --overwrite begins anew"):
        run(resume=True, std=True)
    os.utime(tmp_path / "in.parquet", (1, 1))
    with pytest.raises(InputError, match="had other inputs"):
        run(resume=True)
    with pytest.raises(InputError, match="the run is not finished"):
        verify(tmp_path / "out")
    run(overwrite=True)
    with pytest.raises(InputError, match="a run has finished here: --overwrite replaces it"):
        run()
    assert run(resume=True)["rows"]["out"] == N


def test_two_runs_into_one_folder_are_refused_the_second_says_so(shop, tmp_path):
    folder = shop[0]
    refused = []

    def second(job, done, rows):
        if not refused:
            for options in ({}, {"resume": True}, {"overwrite": True}):
                with pytest.raises(InputError, match="another run is writing there"):
                    score_files(folder / "model.fmkit", folder / "pairs.parquet", tmp_path / "out", **options)
            refused.append(True)

    told = score_files(folder / "model.fmkit", folder / "pairs.parquet", tmp_path / "out", tell=second)
    assert refused
    assert told["rows"]["out"] == N


def test_what_is_read_is_not_written_over(shop, tmp_path):
    folder = shop[0]
    shutil.copy(folder / "pairs.csv", tmp_path / "in.csv")
    model = folder / "model.fmkit"
    for out, sentence in ((tmp_path / "in.csv", "would be overwritten"), (tmp_path, "the output would lie among")):
        with pytest.raises(InputError, match=sentence):
            score_files(model, tmp_path / "in.csv", out, overwrite=True)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "mine.txt").write_text("dear")
    with pytest.raises(InputError, match=r"the folder holds mine\.txt, of no run"):
        score_files(model, tmp_path / "in.csv", tmp_path / "other", overwrite=True)
    with pytest.raises(InputError, match="is given twice"):
        score_files(model, [tmp_path / "in.csv"] * 2, tmp_path / "out")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small disk")
def test_a_full_disk_leaves_finished_parts_good(shop, tmp_path):
    folder, disk = shop[0], tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", disk], capture_output=True).returncode:
        pytest.skip("no small disk can be mounted here")
    try:
        rows = 40_000
        noise = np.random.default_rng(0).random(rows)
        table = pa.table({"user": np.arange(rows) % 60, "item": np.arange(rows) % 50, "noise": noise})
        pq.write_table(table, tmp_path / "in.parquet", row_group_size=4000)
        run = {"part_rows": 4000}
        with pytest.raises(OSError, match=r"[Nn]o space left"):
            score_files(folder / "model.fmkit", tmp_path / "in.parquet", disk / "out", **run)
        made = sorted((disk / "out").glob("*.parquet"))
        assert made
        assert all(len(read(path)) == 4000 for path in made)
        assert not list((disk / "out").glob(".*"))  # nothing half written is left
        subprocess.run(["mount", "-o", "remount,size=16m", disk], check=True)
        told = score_files(folder / "model.fmkit", tmp_path / "in.parquet", disk / "out", resume=True, **run)
        assert told["rows"]["out"] == rows
        assert verify(disk / "out").faults == []
    finally:
        subprocess.run(["umount", disk], check=True)


def test_hostile_parquet_is_told_or_scored_and_never_guessed(shop, tmp_path):
    folder, model = shop[0], shop[1]
    good = (folder / "pairs.parquet").read_bytes()
    path = tmp_path / "in.parquet"
    draw = random.Random(0)
    broken = [
        good[: len(good) // 2],
        good[:-4] + b"PAR2",
        b"PAR1" + b"\0" * 50 + b"PAR1",
        b"",
        b"PAR1",
        good[:-9] + good[-8:],
    ]
    for _ in range(25):
        content = bytearray(good)
        content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
        broken.append(bytes(content))
    told = []
    want = {
        (u, i): p for u, i, p in zip(*(shop[3][n].to_pylist() for n in ("user", "item", "prediction")), strict=True)
    }
    for n, content in enumerate(broken):
        path.write_bytes(content)
        try:
            score_files(folder / "model.fmkit", path, tmp_path / f"o{n}.parquet", rejects=tmp_path / f"r{n}.csv")
        except (InputError, OSError) as error:
            told.append(str(error))
            continue
        out = read(tmp_path / f"o{n}.parquet")
        for u, i, p in zip(*(out[n].to_pylist() for n in ("user", "item", "prediction")), strict=True):
            known = want.get((u, i))
            assert p == (model.predict([u], [i])[0] if known is None else known)  # of whatever ids stand there now
    assert len(told) > 6
    assert all("in.parquet" in sentence for sentence in told)


def test_strange_tables_are_told_or_scored(shop, tmp_path):
    folder, model = shop[0], shop[1]
    many = {"user": [1, 2], "item": [3, 4]}
    cases = {
        "no rows": (pa.table({"user": pa.array([], pa.int32()), "item": pa.array([], pa.string())}), 0),
        "no columns": (pa.table({}), "no column for user was found"),
        "nested": (pa.table({"user": [[1], [2]], "item": [3, 4]}), "column 'user': ids are whole numbers or text"),
        "nested, kept": (pa.table({**many, "more": [{"a": [1]}, None]}), 2),
        "dictionary": (pa.table({"user": pa.array(["1", "2"]).dictionary_encode(), "item": [3, 4]}), 2),
        "all missing": (pa.table({"user": pa.nulls(2, pa.int64()), "item": [3, 4]}), 0),
        "huge text": (pa.table({"user": ["1", "x" * 5_000_000], "item": [3, 4]}), 2),
    }
    for name, (table, want) in cases.items():
        pq.write_table(table, tmp_path / "in.parquet")
        if isinstance(want, str):
            with pytest.raises(InputError, match=want):
                score_files(folder / "model.fmkit", tmp_path / "in.parquet", tmp_path / f"{name}.parquet")
            continue
        score_files(folder / "model.fmkit", tmp_path / "in.parquet", tmp_path / f"{name}.parquet",
                    rejects=tmp_path / f"{name}.csv")  # fmt: skip
        out = read(tmp_path / f"{name}.parquet")
        assert len(out) == want
        if want:
            np.testing.assert_array_equal(out["prediction"], model.predict(table["user"], table["item"]))


def test_truncated_text_is_told_and_finished_parts_stay(shop, tmp_path):
    folder = shop[0]
    content = gzip.compress(b"user,item\n" + b"1,2\n" * 100_000)
    (tmp_path / "in.csv.gz").write_bytes(content[: len(content) // 2])
    with pytest.raises((InputError, OSError), match=r"in\.csv\.gz"):
        score_files(folder / "model.fmkit", tmp_path / "in.csv.gz", tmp_path / "out")
    (tmp_path / "e.csv").write_text("")
    with pytest.raises(InputError, match="the file is empty"):
        score_files(folder / "model.fmkit", tmp_path / "e.csv", tmp_path / "out2")
    (tmp_path / "h.csv").write_text("user,item\n")
    assert score_files(folder / "model.fmkit", tmp_path / "h.csv", tmp_path / "h2.csv")["rows"]["in"] == 0
    assert (tmp_path / "h2.csv").read_text() == "user,item,prediction\n"


def test_verify_finds_what_is_missing_changed_or_foreign(shop, tmp_path):
    folder = shop[0]
    score_files(folder / "model.fmkit", folder / "pairs.parquet", tmp_path / "out", part_rows=700)
    assert verify(tmp_path / "out").summary.endswith("3,000 rows in, 3,000 out, 0 rejected; 5 files")
    part = tmp_path / "out" / "pairs-00001.parquet"
    content = bytearray(part.read_bytes())
    content[100] ^= 1
    part.write_bytes(content)
    (tmp_path / "out" / "pairs-00002.parquet").unlink()
    (tmp_path / "out" / "more.parquet").write_bytes(b"x")
    assert verify(tmp_path / "out").faults == [
        "pairs-00001.parquet: the file is not what was written, its digest is another",
        "pairs-00002.parquet: the file is missing",
        "more.parquet: the run wrote no such file",
    ]
    assert len(verify(tmp_path / "out", quick=True).faults) == 2
    (tmp_path / "out" / "_manifest.json").write_text("{")
    with pytest.raises(InputError, match="the manifest is damaged"):
        verify(tmp_path / "out")


def test_the_manifest_names_what_went_in_and_came_out(shop, tmp_path):
    folder = shop[0]
    score_files(folder / "model.fmkit", folder / "pairs.csv", tmp_path / "out.csv", keep=["day"])
    told = json.loads((tmp_path / "out.csv.manifest.json").read_text())
    assert told["inputs"][0]["rows"] == N
    assert told["inputs"][0]["digest"] == f"sha256:{_digest(folder / 'pairs.csv')}"
    assert told["outputs"][0]["digest"] == f"sha256:{_digest(tmp_path / 'out.csv')}"
    assert told["model"]["digest"] == f"sha256:{_digest(folder / 'model.fmkit')}"
    assert told["plan"]["options"]["keep"] == ["day"]


def _digest(path):
    import hashlib

    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def test_addresses_of_other_file_systems_are_read_and_written(shop, tmp_path):
    fsspec = pytest.importorskip("fsspec")
    folder, _, _, want = shop
    memory = fsspec.filesystem("memory")
    memory.pipe("/bucket/in/a.parquet", (folder / "pairs.parquet").read_bytes())
    score_files(folder / "model.fmkit", "memory://bucket/in/*.parquet", "memory://bucket/out")
    assert verify("memory://bucket/out").faults == []
    with memory.open("/bucket/out/a.parquet") as file:
        assert pq.read_table(file).equals(want)
    with pytest.raises(InputError, match="no file system for nope:// is installed"):
        score_files(folder / "model.fmkit", "nope://bucket/in.csv", tmp_path / "out")


@pytest.mark.parametrize(("text", "size"), [("1GB", 10**9), ("512 MiB", 2**29), ("1.5g", 1.5e9), ("7", 7)])
def test_sizes_as_people_write_them(text, size):
    assert read_bytes(text) == size


@pytest.mark.parametrize("text", ["", "much", "-1GB", "1XB"])
def test_sizes_that_are_none(text):
    with pytest.raises(InputError, match="a size like 1GB"):
        read_bytes(text)
