"""`fmkit classify`: what a path holds is found, a net is fitted and judged, and saved ones answer."""

import csv
import io
import json

import numpy as np
import pytest
import pyvips
from scipy.io import wavfile

import fmkit
from fmkit import FMRegressor
from fmkit.deep import MLPClassifier
from fmkit.deep.labelled import read_for, read_labelled
from fmkit.errors import InputError
from tests.command_line import assert_one_sentence, call, run

RNG = np.random.default_rng(0)


def people(path, n=200):
    sizes, kinds = RNG.standard_normal(n), RNG.integers(0, 2, n)
    labels = np.where(sizes + kinds > 0.5, "good", "bad")
    lines = [f"{s:.3f},{'x' if k else 'y'},{label}" for s, k, label in zip(sizes, kinds, labels, strict=True)]
    path.write_text("\n".join(["size,kind,label", *lines]))
    return path


def tones(folder, rate=8000):
    for pitch, hertz in (("low", 300), ("high", 1500)):
        (folder / pitch).mkdir(parents=True)
        for n in range(12):
            time = np.arange(int(rate * (0.2 + 0.01 * n))) / rate
            wave = 8000 * np.sin(2 * np.pi * hertz * time) + 500 * RNG.standard_normal(len(time))
            wavfile.write(folder / pitch / f"{n}.wav", rate, wave.astype(np.int16))
    return folder


def stripes(folder):
    for name, axis in (("across", 0), ("down", 1)):
        (folder / name).mkdir(parents=True)
        for n in range(15):
            picture = 100 * (np.indices((12, 12))[axis] // 2 % 2) + RNG.integers(0, 100, (12, 12))
            pyvips.Image.new_from_array(picture.astype(np.uint8)).write_to_file(folder / name / f"{n}.png")
    return folder


def answers(done):
    assert done.returncode == 0, done.stderr
    return [row["class"] for row in csv.DictReader(io.StringIO(done.stdout))]


def test_a_table_is_fitted_reported_saved_and_asked(tmp_path):
    table, net = people(tmp_path / "people.csv"), tmp_path / "net.fmkit"
    done = run("classify", table, "--epochs", 20, "--save", net, "--format", "json")
    assert done.returncode == 0, done.stderr
    assert "200 rows of 2 classes (column 'label'): a multilayer perceptron" in done.stderr
    report = json.loads(done.stdout)
    assert [row["class"] for row in report] == ["bad", "good", "all"]
    assert report[-1]["rows"] == 40 == report[0]["rows"] + report[1]["rows"]
    assert report[-1]["recall"] > 0.8
    new = tmp_path / "new.csv"
    new.write_text("kind,more,size\nx,1,3.0\ny,2,-3.0\n")  # in another order, with a column that is not asked for
    assert answers(call("classify", "--model", net, "--predict", new, "--format", "csv")) == ["good", "bad"]


def test_sounds_in_folders_are_told_apart(tmp_path):
    folder = tones(tmp_path / "tones")
    done = run("classify", folder, "--epochs", 15, "--predict", folder / "low", "--format", "csv")
    assert answers(done) == ["low"] * 12
    assert "24 sounds of 2 classes: a recurrent net over their spectra" in done.stderr
    assert "of 5 rows set aside, 100.0% are classified right" in done.stderr


def test_pictures_in_folders_are_told_apart(tmp_path):
    folder = stripes(tmp_path / "stripes")
    done = call("classify", folder, "--test", 0, "--epochs", 10, "--predict", folder, "--format", "csv")
    assert answers(done) == ["across"] * 15 + ["down"] * 15
    assert "30 pictures of 2 classes: a convolutional net" in done.stderr


def test_one_column_of_sentences_is_read_as_texts(tmp_path):
    table = tmp_path / "reviews.csv"
    lines = [f"{n % 2},{'a fine and moving' if n % 2 else 'a dull and boring'} film number {n}" for n in range(60)]
    table.write_text("\n".join(["label,text", *lines]))
    new = tmp_path / "new.txt"
    new.write_text("how boring and dull\nmoving, a fine thing\n")
    done = call("classify", table, "--epochs", 10, "--predict", new, "--format", "csv")
    assert answers(done) == ["0", "1"]
    assert "60 texts (column 'text') of 2 classes: a recurrent net over their words" in done.stderr


def test_what_a_path_holds_is_told(tmp_path):
    table = people(tmp_path / "people.csv")
    assert read_labelled(table).kind == "table"
    assert read_labelled(table, "kind").told == "200 rows of 2 classes (column 'kind')"
    short = tmp_path / "short.csv"
    short.write_text("label,colour\n1,red\n0,blue\n")
    assert read_labelled(short).kind == "table"  # words, no sentences
    unusual = tmp_path / "unusual.csv"
    unusual.write_text("sentiment,review\npos,what a film it was\nneg,what a bore it was\n")
    assert read_labelled(unusual).told == "2 texts (column 'review') of 2 classes"


def test_what_cannot_be_read_is_a_sentence(tmp_path):
    table, folder = people(tmp_path / "people.csv"), tones(tmp_path / "tones")
    with pytest.raises(InputError, match="there is no column 'income': size, kind, label"):
        read_labelled(table, "income")
    unnamed = tmp_path / "unnamed.csv"
    unnamed.write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match="which column holds the classes: a, b"):
        read_labelled(unnamed)
    gaps = tmp_path / "gaps.csv"
    gaps.write_text("a,label\n1,x\n2,\n")
    with pytest.raises(InputError, match="1 rows have no class in column 'label': leave them out"):
        read_labelled(gaps)
    with pytest.raises(InputError, match="the folders of a folder are the classes: leave the target out"):
        read_labelled(folder, "label")
    wavfile.write(folder / "low" / "other.wav", 16000, np.zeros(100, np.int16))
    with pytest.raises(InputError, match=r"it has 16,000 samples a second, 0\.wav has 8,000: resample them alike"):
        read_labelled(folder)
    (folder / "low" / "other.wav").write_bytes(b"no sound")
    with pytest.raises(InputError, match="it is no WAV file that can be read"):
        read_labelled(folder)
    (folder / "low" / "a.png").write_bytes(b"")
    with pytest.raises(InputError, match="it holds pictures and sounds: keep them in folders apart"):
        read_labelled(folder)
    found = read_labelled(table)
    model = MLPClassifier((4,), max_epochs=1).fit(found.X, found.y)
    with pytest.raises(InputError, match="columns of the fit are missing: size, kind"):
        read_for(model, unnamed)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "name what to fit, or a saved net with --model"),
        (["--model", "a.fmkit"], "a saved net classifies what --predict names"),
        (["--model", "a.fmkit", "--predict", "b", "--target", "c"], "--save and --target are for a fit"),
        (["nowhere"], "nowhere: no such file or directory"),
    ],
)
def test_a_slip_is_told(arguments, sentence):
    assert_one_sentence(call("classify", *arguments), sentence)


def test_a_model_that_is_no_net_is_told(tmp_path):
    path = tmp_path / "machine.fmkit"
    fmkit.save(FMRegressor(2, max_iter=1).fit([[1.0], [2.0]], [1.0, 2.0]), path)
    assert_one_sentence(call("classify", "--model", path, "--predict", path), "the file holds a FMRegressor, no net")
