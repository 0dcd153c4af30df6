import json
import pickle
import struct

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save as to_bytes
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import fmkit
from fmkit import FMClassifier, FMRegressor, TableEncoder, load, modelfile, save
from fmkit.errors import InputError

X = np.array([[1, 0], [0, 1], [1, 1]])


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.fmkit"


@pytest.mark.parametrize(
    "model",
    [
        FMRegressor(3, random_state=0, reg_linear=[1.0, 2.0], fields=[0, 1]).fit(X, [1.5, 2, 3]),
        FMRegressor(np.int64(2), learning_rate=np.float32(0.5), early_stopping=np.bool_(False)).fit(X, [1, 2, 3]),
        FMRegressor(0, solver="sgd", callbacks=[print and (lambda p: None)], random_state=0).fit(X, [1, 2, 3]),
        FMClassifier(2, random_state=0).fit(X, [True, False, True]),
        FMClassifier(2, random_state=0).fit(X, ["é", "b", "c"]),
        FMClassifier(2, random_state=0).fit(X, np.array(["é", "b", "c"], object)),
        FMClassifier(2, random_state=0).fit(X, [-1, 1, 1]),
    ],
)
def test_a_loaded_model_is_the_saved_one(model, path):
    save(model, path)
    loaded = load(path)
    assert type(loaded) is type(model)
    np.testing.assert_array_equal(loaded.predict(X), model.predict(X))
    assert loaded.predict(X).dtype == model.predict(X).dtype
    assert loaded.n_features_in_ == 2
    assert loaded.history_ == model.history_
    if isinstance(model, FMRegressor):
        np.testing.assert_array_equal(loaded.penalties_.factors, model.penalties_.factors)
    assert loaded.get_params() == {**model.get_params(), "callbacks": None}
    unpickled = pickle.loads(pickle.dumps(model.set_params(callbacks=None)))
    np.testing.assert_array_equal(unpickled.predict(X), model.predict(X))


def damaged(path, change):
    """A model file whose header went through `change`."""
    save(FMRegressor(2, random_state=0).fit(X, [1, 2, 3]), path)
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    outer = json.loads(content[8 : 8 + length])
    header = json.loads(outer["__metadata__"]["fmkit"])
    outer["__metadata__"]["fmkit"] = json.dumps(change(header) or header)
    new = json.dumps(outer).encode()
    path.write_bytes(struct.pack("<Q", len(new)) + new + content[8 + length :])
    return path


def set_to(value, *keys):
    def change(header):
        place = header
        for key in keys[:-1]:
            place = place[key]
        place[keys[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (set_to(2, "format"), "the file has format 2, fmkit .* reads format 1: use the fmkit"),
        (set_to("os.system", "class"), "the file holds a 'os.system', which fmkit .* does not know"),
        (set_to(["FMRegressor"], "class"), "does not know"),
        (lambda header: [1], "fmkit.save did not write it"),
        (set_to({}, "facts"), "damaged: parameters is missing"),
        (set_to([], "facts"), "damaged"),
        (set_to(5, "facts", "parameters", "n_factors"), "shapes of its machines do not fit"),
        (set_to("many", "facts", "parameters", "n_factors"), "damaged: .*n_factors"),
        (set_to(1, "facts", "parameters", "colour"), "damaged: .*colour"),
        (set_to(["a"], "facts", "feature_names"), "feature names are not those"),
        (set_to("ab", "facts", "feature_names"), "feature names are not those"),
    ],
)
def test_a_hostile_header_gets_a_sentence(path, change, message):
    with pytest.raises(InputError, match=message) as told:
        load(damaged(path, change))
    assert str(told.value).startswith(str(path))


def test_labels_of_a_hostile_width_take_no_memory():
    labels = {"dtype": "<U999999999", "values": ["a", "b"]}
    assert modelfile.unpack_labels(labels, 1).tolist() == ["a", "b"]
    with pytest.raises(ValueError, match="3 outputs do not tell its classes apart"):
        modelfile.unpack_labels(labels, 3)


def test_strings_whose_ends_overflow_are_refused():
    arrays = modelfile.pack_strings(["a", "b", "c", "d"], "ids")
    arrays["ids.ends"] = np.array([2, -(2**63), -1, 4])
    with pytest.raises(ValueError, match="overlap"):
        modelfile.unpack_strings(arrays, "ids")


@pytest.mark.parametrize(
    "content", [b"", b"PK\x03\x04", b"\x80\x04\x95", b"user,item\n1,2\n", b"\xff" * 40, struct.pack("<Q", 2) + b"{}"]
)
def test_a_foreign_file_gets_a_sentence(path, content):
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"no model file|fmkit.save did not write it"):
        load(path)


@given(st.floats(0, 0.999))
def test_a_truncated_file_gets_a_sentence(tmp_path_factory, share):
    path = tmp_path_factory.mktemp("cut") / "model.fmkit"
    save(FMRegressor(2, random_state=0).fit(X, [1, 2, 3]), path)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(InputError, match="no model file, or a damaged one"):
        load(path)


def test_values_that_are_not_finite_are_refused(path):
    model = FMRegressor(2, random_state=0).fit(X, [1, 2, 3])
    model.machine_.factors[0, 0] = np.nan
    save(model, path)
    with pytest.raises(InputError, match="not finite"):
        load(path)


def test_missing_files_and_folders_are_told_by_python(tmp_path):
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "none.fmkit")
    with pytest.raises(IsADirectoryError):
        load(tmp_path)
    with pytest.raises(FileNotFoundError):
        save(FMRegressor().fit(X, [1, 2, 3]), tmp_path / "none" / "model.fmkit")


def test_a_failed_save_leaves_the_old_file(path, monkeypatch):
    path.write_bytes(b"old")
    model = FMClassifier().fit(X, np.array([1 + 2j, 3j, 4], object).astype(str))
    monkeypatch.setattr(modelfile, "to_bytes", lambda *_: 1)  # write_bytes fails half-way
    with pytest.raises(TypeError):
        save(model, path)
    assert path.read_bytes() == b"old"
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_models_that_are_not_fitted_and_files_that_are_none(path):
    with pytest.raises(NotFittedError):
        save(FMRegressor(), path)
    with pytest.raises(InputError, match="a pipe or a device"):
        load("/dev/null")


def test_only_known_models_are_saved(path):
    with pytest.raises(
        TypeError, match="save takes one of CNNClassifier, FMClassifier, FMOrdinal, FMRanker, FMRegressor, Image"
    ):
        save({}, path)
    assert fmkit.load is load


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]))))
def test_strings_come_back(strings):
    assert modelfile.unpack_strings(modelfile.pack_strings(strings, "ids"), "ids") == strings


def test_a_pipeline_of_what_can_be_saved_can_be_saved(tmp_path):
    frame = pa.table({"colour": ["red", "blue", None, "red"] * 10, "size": [1.0, 2.0, 3.0, None] * 10})
    y = np.arange(40) % 4.0
    pipeline = make_pipeline(TableEncoder(), FMRegressor(2, max_iter=3, random_state=0)).fit(frame, y)
    save(pipeline, tmp_path / "model.fmkit")
    again = load(tmp_path / "model.fmkit")
    np.testing.assert_array_equal(again.predict(frame), pipeline.predict(frame))
    assert list(again.named_steps) == ["tableencoder", "fmregressor"]
    assert modelfile.read_header(tmp_path / "model.fmkit")["class"] == "Pipeline"


def test_a_step_that_cannot_be_saved_is_named(tmp_path):
    pipeline = make_pipeline(StandardScaler(), FMRegressor(2, max_iter=1)).fit(np.eye(3), [1, 2, 3])
    with pytest.raises(TypeError, match="got a StandardScaler as its step 'standardscaler'"):
        save(pipeline, tmp_path / "model.fmkit")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("steps", [[], [{"name": "a", "class": "Popen", "facts": {}}], [{"class": "FMRegressor"}], 3])
def test_a_hostile_pipeline_is_refused(steps, tmp_path):
    header = {"format": 1, "fmkit": "1", "class": "Pipeline", "facts": {"steps": steps}}
    (tmp_path / "model.fmkit").write_bytes(to_bytes({}, {"fmkit": json.dumps(header)}))
    with pytest.raises(InputError, match="the file is damaged"):
        load(tmp_path / "model.fmkit")


@pytest.mark.parametrize(
    "model",
    [
        FMRegressor(2, random_state=0).fit(X, [1, 2, 3]),
        make_pipeline(TableEncoder(), FMClassifier(2, random_state=0)).fit(pa.table({"a": ["é", "b", "é"]}), [1, 2, 1]),
    ],
)
def test_a_mapped_model_is_the_saved_one_and_changes_no_file(model, path):
    table = X if isinstance(model, FMRegressor) else pa.table({"a": ["c", "é", "b"]})
    save(model, path)
    content = path.read_bytes()
    mapped = load(path, mapped=True)
    np.testing.assert_array_equal(mapped.predict(table), model.predict(table))
    machine = mapped.machine_ if isinstance(model, FMRegressor) else mapped[-1].machines_[0]
    assert np.memmap in (type(machine.linear.base), type(machine.linear.base.base))
    machine.linear[:] = 5
    assert path.read_bytes() == content
    save(mapped, path)  # by another file of this name
    assert path.read_bytes() != content
    path.write_bytes(content[:-3])
    with pytest.raises(InputError, match="no model file"):
        load(path, mapped=True)
