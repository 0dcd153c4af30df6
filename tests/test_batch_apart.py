"""What a run would write over, it refuses before it begins."""

import contextlib

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fmkit import save
from fmkit.batch import score_files, verify
from fmkit.errors import InputError
from fmkit.recommend import Recommender

PAIRS = "user,item\n1,1\n2,2\n"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model.fmkit"
    table = {"user": [1, 1, 2, 2, 3], "item": [1, 2, 2, 3, 1], "rating": [5, 1, 1, 4, 5]}
    save(Recommender(quality="fast", max_iter=3).fit(table), path)
    return path


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.csv").write_text(PAIRS)
    return tmp_path


@pytest.mark.parametrize(
    ("names", "options"),
    [
        (["a.csv", "a.parquet"], {"form": "parquet"}),
        (["a.parquet", "a.pq"], {}),
        (["a.ndjson", "a.jsonl"], {}),
        (["a.csv", "a.csv.bz2", "a.csv.gz"], {}),
        (["a.parquet", "a-00000.parquet"], {}),
        (["a.csv", "a-00012.csv"], {}),
    ],
)
def test_two_inputs_never_share_an_output(model, folder, names, options):
    for name in ["a.csv", *names]:
        (folder / "in" / name).write_bytes(b"x")
    (folder / "in" / "a.csv").unlink()
    for name in names:
        (folder / "in" / name).write_bytes(b"x")
    with pytest.raises(InputError, match=r"the scores of this file .*: score them apart"):
        score_files(model, "in", "out", **options)
    assert not (folder / "out").exists()


def test_what_is_read_is_known_by_any_of_its_names(model, folder):
    (folder / "link").symlink_to(folder / "in", target_is_directory=True)
    for read, written in (("in/a.csv", "in/../in/a.csv"), ("in/a.csv", "link/a.csv"), ("link/a.csv", "in/a.csv")):
        with pytest.raises(InputError, match="this file would be overwritten, and it is read"):
            score_files(model, read, written, overwrite=True)
        with pytest.raises(InputError, match="this file would be overwritten, and it is read"):
            score_files(model, read, "out.csv", rejects=written, overwrite=True)
    assert (folder / "in" / "a.csv").read_text() == PAIRS


def test_rejects_take_no_others_place(model, folder):
    with pytest.raises(InputError, match="rejects would overwrite the scores"):
        score_files(model, "in/a.csv", "out.csv", rejects="in/../out.csv")
    with pytest.raises(InputError, match="rejects would lie among the scores"):
        score_files(model, "in", "out", rejects="out/bad.csv")
    with pytest.raises(FileNotFoundError, match=r"there is no folder .*no/such"):
        score_files(model, "in/a.csv", "out.csv", rejects="no/such/bad.csv")
    (folder / "bad.csv").write_text("precious")
    for options in ({}, {"resume": True}):
        with pytest.raises(InputError, match="the file exists, and rejects would replace it"):
            score_files(model, "in", "out", rejects="bad.csv", **options)
    assert (folder / "bad.csv").read_text() == "precious"
    assert not (folder / "out").exists()
    score_files(model, "in", "out", rejects="bad.csv", overwrite=True)
    assert (folder / "bad.csv").read_text().startswith("input,line,row")


def test_a_run_that_is_gone_on_with_may_replace_its_own_rejects(model, folder):
    (folder / "in" / "a.csv").write_text(PAIRS + ",3\n")
    pq.write_table(pa.table({"user": [1], "item": [2]}), "in/b.parquet")

    def stop(job, done, rows):
        if job.file.below == "b.parquet":
            raise KeyboardInterrupt

    with contextlib.suppress(KeyboardInterrupt):
        score_files(model, "in", "out", rejects="bad.csv", tell=stop)
    (folder / "bad.csv").write_text("of a run that was cut off while it wrote its end")
    told = score_files(model, "in", "out", rejects="bad.csv", resume=True)
    assert told["rows"] == {"in": 4, "out": 3, "rejected": 1}
    assert "there is no id" in (folder / "bad.csv").read_text()


def test_an_output_that_would_be_read_the_next_time_is_refused_the_first(model, folder):
    for given, out in (("in", "in/scores"), ("**/*.csv", "scores"), ("in/**", "in/scores")):
        with pytest.raises(InputError, match=r"would be read as input of .* the next time"):
            score_files(model, given, out)
    assert score_files(model, "in/*.csv", "in/scores")["rows"]["out"] == 2  # `*` does not look into folders


def test_a_finished_run_whose_files_are_gone_is_not_taken_for_done(model, folder):
    score_files(model, "in", "out", form="parquet")
    assert score_files(model, "in", "out", form="parquet", resume=True)["rows"]["out"] == 2
    (folder / "out" / "a.parquet").unlink()
    with pytest.raises(InputError, match=r"a\.parquet, which a finished run wrote, is missing or another file"):
        score_files(model, "in", "out", form="parquet", resume=True)


@pytest.mark.parametrize("content", ["{", "[]", '{"other": 1}', ""])
def test_a_damaged_record_of_a_run_is_a_sentence(model, folder, content):
    score_files(model, "in", "out")
    (folder / "out" / "_manifest.json").write_text(content)
    with pytest.raises(InputError, match="the record of a run is damaged"):
        score_files(model, "in", "out", resume=True)
    with pytest.raises(InputError, match="the manifest is damaged"):
        verify("out")
    score_files(model, "in", "other")
    (folder / "other" / "_manifest.json").unlink()
    (folder / "other" / "_fmkit").mkdir()
    (folder / "other" / "_fmkit" / "plan.json").write_text(content)
    with pytest.raises(InputError, match="the record of a run is damaged"):
        score_files(model, "in", "other", resume=True)
    for out in ("out", "other"):
        assert score_files(model, "in", out, overwrite=True)["rows"]["out"] == 2
        assert verify(out).faults == []


def test_links_that_lead_round_are_not_followed(model, folder):
    (folder / "in" / "deep").mkdir()
    (folder / "in" / "deep" / "b.csv").write_text(PAIRS)
    (folder / "in" / "deep" / "round").symlink_to(folder / "in", target_is_directory=True)
    (folder / "other").mkdir()
    (folder / "other" / "c.csv").write_text(PAIRS)
    (folder / "in" / "aside").symlink_to(folder / "other", target_is_directory=True)
    told = score_files(model, "in", "out")
    assert sorted(one["path"] for one in told["outputs"]) == ["a.csv", "aside/c.csv", "deep/b.csv"]


def test_formats_that_are_not_written_become_the_nearest(model, folder):
    import bz2

    (folder / "in" / "a.csv").unlink()
    for name, content in {"a.tsv.bz2": "user\titem\n1\t2\n", "b.ndjson.bz2": '{"user": 1, "item": 2}\n'}.items():
        (folder / "in" / name).write_bytes(bz2.compress(content.encode()))
    told = score_files(model, "in", "out")
    assert sorted(one["path"] for one in told["outputs"]) == ["a.tsv.gz", "b.ndjson.gz"]
    with pa.input_stream("out/b.ndjson.gz", compression="gzip") as stream:
        assert stream.read().startswith(b'{"user":1,"item":2,"prediction":')


def test_a_link_to_a_file_is_a_file(model, folder):
    (folder / "in" / "b.csv").symlink_to(folder / "in" / "a.csv")
    told = score_files(model, "in", "out")
    assert told["rows"]["in"] == 4
    assert (folder / "in" / "b.csv").is_symlink()
    np.testing.assert_array_equal((folder / "out" / "a.csv").read_bytes(), (folder / "out" / "b.csv").read_bytes())
