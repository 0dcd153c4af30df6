"""Columns of texts, series, sounds and picture files, scored by nets and by a restorer."""

import io

import numpy as np
import pyarrow as pa
import pytest
from scipy.io import wavfile

from fmkit import load, save
from fmkit.batch import score, score_files
from fmkit.restore import ImageRestorer
from fmkit.restore.picture_file import read_picture, write_view

pytest.importorskip("torch")
from fmkit.deep import CNNClassifier, MLPClassifier, RNNClassifier, RNNRegressor


def scored(model, table, **options):
    return pa.Table.from_batches(list(score(model, table, **options)))


def reasons(rejects):
    return [(row["row"], row["reason"]) for batch in rejects for row in batch.to_pylist()]


def test_a_net_of_a_table_is_asked_by_name(tmp_path):
    rng = np.random.default_rng(0)
    table = pa.table({"age": rng.uniform(0, 9, 60), "city": rng.choice(["a", "b"], 60)})
    net = MLPClassifier((8,), max_epochs=2, random_state=0).fit(table, np.asarray(table["age"]) > 4)
    save(net, tmp_path / "net.fmkit")
    table = table.append_column("id", pa.array(range(60)))
    out = scored(load(tmp_path / "net.fmkit"), table.to_batches(max_chunksize=7), keep=["id"], proba=True)
    assert out.column_names == ["id", "prediction", "proba_False", "proba_True"]
    np.testing.assert_allclose(out["proba_True"], net.predict_proba(table.select(["age", "city"]))[:, 1], rtol=1e-5)
    assert out["prediction"].to_pylist() == net.predict(table.select(["age", "city"])).tolist()


def test_texts(tmp_path):
    texts = ["a good film", "a bad film", "good", "bad bad"] * 8
    net = RNNClassifier(kind="text", max_epochs=2, random_state=0).fit(texts, ["yes", "no"] * 16)
    (tmp_path / "in.csv").write_text('review\na good one\n"bad, I say"\n""\n')
    save(net, tmp_path / "net.fmkit")
    told = score_files(tmp_path / "net.fmkit", tmp_path / "in.csv", tmp_path / "out.csv", rejects=tmp_path / "r.csv")
    assert told["rows"] == {"in": 3, "out": 2, "rejected": 1}
    want = net.predict(["a good one", "bad, I say"]).tolist()
    out = (tmp_path / "out.csv").read_text().splitlines()
    assert [line.rsplit(",", 1)[1].strip('"') for line in out[1:]] == want
    rejects = []
    scored(net, pa.table({"text": ["good", None]}), rejects=rejects)
    assert reasons(rejects) == [(1, "there is no text: an empty one is written ''")]


def test_series_of_one_channel_and_of_two():
    rng = np.random.default_rng(0)
    flat = [rng.normal(size=5 + n % 3) for n in range(20)]
    net = RNNRegressor(max_epochs=2, random_state=0).fit(flat, rng.random(20))
    lists = pa.table({"series": [list(map(float, one)) for one in flat]})
    np.testing.assert_allclose(scored(net, lists)["prediction"], net.predict(flat), rtol=1e-4)
    rejects = []
    wrong = pa.array([[1.0, None], [], None, [float("inf")], [1.0]], pa.list_(pa.float64()))
    assert len(scored(net, pa.table({"series": wrong}), rejects=rejects)) == 1
    assert reasons(rejects) == [(row, "finite numbers are needed, 1 a step") for row in range(4)]
    deep = [rng.normal(size=(4 + n % 3, 2)) for n in range(20)]
    net = RNNRegressor(max_epochs=2, random_state=0).fit(deep, rng.random(20))
    np.testing.assert_allclose(
        scored(net, pa.table({"series": [one.tolist() for one in deep]}))["prediction"], net.predict(deep), rtol=1e-4
    )


def test_sounds_are_bytes_of_wav_files():
    rng = np.random.default_rng(0)
    sounds = [(1000 * np.sin(np.arange(4000) * pitch)).astype(np.int16) for pitch in rng.uniform(0.1, 1, 12)]
    net = RNNClassifier(sampling_rate=8000, max_epochs=2, random_state=0).fit(sounds, ["low", "high"] * 6)

    def wav(samples, rate=8000):
        file = io.BytesIO()
        wavfile.write(file, rate, samples)
        return file.getvalue()

    rejects = []
    column = [*map(wav, sounds), wav(sounds[0], 16000), b"RIFF junk", None]
    out = scored(net, pa.table({"wav": pa.array(column, pa.binary())}), rejects=rejects)
    assert out["prediction"].to_pylist() == net.predict(sounds).tolist()
    told = reasons(rejects)
    assert [row for row, _ in told] == [12, 13, 14]
    assert told[0][1] == "the sound has 16,000 samples a second, the net was fitted to 8,000"


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Small pictures as PNG files."""
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    ramp = np.add.outer(np.arange(48), np.arange(64)).astype(np.uint8) * 2
    for n in range(12):
        pixels = np.stack([ramp, ramp[::-1], rng.integers(0, 99, ramp.shape).astype(np.uint8)], axis=2)
        write_view(folder / f"{n}.png", [np.roll(pixels, n % 3, axis=2)])
    return sorted(folder.glob("*.png"))


def test_pictures_are_classified(files):
    net = CNNClassifier(max_epochs=1, random_state=0, n_jobs=1).fit([str(f) for f in files], ["a", "b", "c"] * 4)
    rejects = []
    content = [file.read_bytes() for file in files]
    out = scored(
        net, pa.table({"image": [*content, content[0][:-60], b"GIF89a"]}), keep=[], proba=True, rejects=rejects
    )
    np.testing.assert_allclose(out["proba_a"], net.predict_proba([str(f) for f in files])[:, 0], rtol=1e-3)
    told = reasons(rejects)
    assert [row for row, _ in told] == [12, 13]
    assert "damaged" in told[0][1]
    assert told[1][1] == "this is no PNG, JPEG, TIFF or WebP picture"


def test_pictures_are_restored_under_their_masks(files, tmp_path):
    pictures = [read_picture(file).pixels for file in files[:2]]
    lost = np.zeros(pictures[0].shape[:2], bool)
    lost[20:24, 10:40] = True
    for name, mask in (("mask", lost), ("small", lost[:20])):
        write_view(tmp_path / f"{name}.png", [(mask * 255).astype(np.uint8)])
    restorer = ImageRestorer(quality="fast").fit(pictures)
    save(restorer, tmp_path / "restorer.fmkit")
    restorer = load(tmp_path / "restorer.fmkit")
    mask, small = ((tmp_path / f"{name}.png").read_bytes() for name in ("mask", "small"))
    content = [file.read_bytes() for file in files[:2]]
    rejects = []
    table = pa.table({"picture": [*content, content[0], mask], "mask": [mask, mask, small, mask]})
    out = scored(restorer, table, keep=[], rejects=rejects)
    for picture, restored in zip(pictures, out["restored"].to_pylist(), strict=True):
        (tmp_path / "out.png").write_bytes(restored)
        np.testing.assert_array_equal(read_picture(tmp_path / "out.png").pixels, restorer.transform(picture, lost))
    assert reasons(rejects) == [
        (2, "the mask has not as many pixels as the picture"),
        (3, "the restorer was fitted to 3 colour channels, the picture has 1"),
    ]
    assert len(scored(restorer, pa.table({"picture": content}))["restored"]) == 2  # damage is looked for
