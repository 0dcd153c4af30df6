"""Data sets that are fetched: every published form gives the same rows, others are refused, downloads go on."""

import functools
import gzip
import http.server
import io
import tarfile
import threading
import wave
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fmkit.datasets import (
    fashion,
    fetch_fashion_mnist,
    fetch_japanese_vowels,
    fetch_sentence_polarity,
    fetch_spoken_digits,
    polarity,
    publication,
    spoken_digits,
    vowels,
)
from fmkit.datasets.archives import open_files
from fmkit.errors import InputError

SHARED = Path(__file__).parents[2] / "shared" / "data"  # beside the checkout, where there is one


def npz(**arrays):
    content = io.BytesIO()
    np.savez(content, **arrays)
    return content.getvalue()


def idx(array):
    return b"\0\0\x08" + bytes([array.ndim]) + np.array(array.shape, ">u4").tobytes() + array.tobytes()


def wav(samples):
    content = io.BytesIO()
    with wave.open(content, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(samples.tobytes())
    return content.getvalue()


def garments(parts):
    files = {name: idx(parts[key]) for key, name in fashion.FILES.items()}
    return {
        "idx": files,
        "idx, packed": {f"{name}.gz": gzip.compress(content) for name, content in files.items()},
        "npz": npz(**{fashion.IN_NPZ[key]: array for key, array in parts.items()}),
    }


def digits(sounds):
    """The files, and as npz in another order than that of the names."""
    fields = [name[:-4].split("_") for name in reversed(sounds)]
    packed = npz(
        audio=np.concatenate([sounds[name] for name in reversed(sounds)]),
        length=np.array([len(sounds[name]) for name in reversed(sounds)]),
        label=np.array([int(digit) for digit, _, _ in fields]),
        speaker=np.array([speaker for _, speaker, _ in fields]),
        index=np.array([int(index) for *_, index in fields]),
    )
    return {"wav": {f"recordings/{name}": wav(sound) for name, sound in sounds.items()}, "npz": packed}


def utterances(train, test):
    def ts(part):
        rows = [":".join([*(",".join(f"{v:.6f}" for v in c) for c in x.T), str(y)]) for x, y in zip(*part, strict=True)]
        return "\n".join(["#Of two speakers", "@problemName Vowels", "@data", *rows, ""]).encode()

    def uci(part, between):
        blocks = ["".join(" ".join(f"{v:.6f}" for v in step) + " \n" for step in x) for x in part[0]]
        return between.join(blocks).encode()

    def padded(part):
        X = np.full((len(part[0]), 12, 9), np.nan)
        for row, x in zip(X, part[0], strict=True):
            row[:, : len(x)] = x.T
        return X

    ones = "1.0 " * 12 + "\n"
    return {
        "UEA": {"JapaneseVowels_TRAIN.ts": ts(train), "JapaneseVowels_TEST.ts": ts(test)},
        "UCI": {"ae.train": uci(train, "\n"), "ae.test": uci(test, "\n")},
        "UCI, rows of ones between": {"ae.train": uci(train, ones), "ae.test": uci(test, ones)},
        "npz": npz(
            X_train=padded(train),
            y_train=np.array(train[1]).astype(str),
            X_test=padded(test),
            y_test=np.array(test[1]).astype(str),
        ),
    }


def sentences(negative, positive):
    """As published in Windows-1252, as NLTK and others have them in UTF-8, and as a table."""
    files = {"rt-polarity.neg": " \n".join([*negative, ""]), "rt-polarity.pos": " \n".join([*positive, ""])}
    rows = "".join(f'{label},"{text}"\r\n' for label, part in enumerate((negative, positive)) for text in part)
    return {
        "Windows-1252": {name: text.encode("cp1252") for name, text in files.items()},
        "UTF-8": {name: text.encode("utf-8") for name, text in files.items()},
        "UTF-8 of Latin-1": {
            name: text.encode("cp1252").decode("latin-1").encode("utf-8") for name, text in files.items()
        },
        "csv": f"label,text\n{rows}".encode(),
    }


RNG = np.random.default_rng(0)
PICTURES = {
    "data": RNG.integers(0, 256, (6, 28, 28), dtype=np.uint8),
    "target": RNG.integers(0, 10, 6, dtype=np.uint8),
    "test_data": RNG.integers(0, 256, (2, 28, 28), dtype=np.uint8),
    "test_target": RNG.integers(0, 10, 2, dtype=np.uint8),
}
SOUNDS = {
    name: RNG.integers(-999, 999, n, dtype=np.int16)
    for n, name in enumerate(["0_ann_0.wav", "0_ann_10.wav", "0_ann_4.wav", "0_bob_5.wav", "1_ann_2.wav"], start=5)
}
TRAIN = [RNG.normal(size=(n, 12)).round(6) for n in (3, 5, 4)], [1, 1, 2]
TEST = [RNG.normal(size=(n, 12)).round(6) for n in (2, 9)], [1, 2]
NEGATIVE, POSITIVE = (
    ["silly – and tedious .", "not ‘funny' ."],
    ["the clichés shine — at last .", "go !", "bon appétit ."],
)

# How each set is fetched, its module, the name of what it is taken to be there, and its forms.
SETS = {
    "garments": (fetch_fashion_mnist, fashion, "FASHION_MNIST", garments(PICTURES)),
    "digits": (fetch_spoken_digits, spoken_digits, "SPOKEN_DIGITS", digits(SOUNDS)),
    "vowels": (fetch_japanese_vowels, vowels, "JAPANESE_VOWELS", utterances(TRAIN, TEST)),
    "sentences": (fetch_sentence_polarity, polarity, "SENTENCE_POLARITY", sentences(NEGATIVE, POSITIVE)),
}
FORMS = [(name, form) for name, (*_, forms) in SETS.items() for form in forms]


@pytest.fixture(scope="module")
def sums(tmp_path_factory):
    """SHA-256 of the few rows above, by set and array."""
    sums = {}
    for name, (_, module, _, forms) in SETS.items():
        *_, path = written(next(iter(forms.values())), tmp_path_factory.mktemp("published") / name)
        with open_files(path) as files:
            sums[name] = {key: publication._sha256(array) for key, array in module._arrays(files).items()}
    return sums


@pytest.fixture(autouse=True)
def published(sums, monkeypatch):
    """What is published is taken to be these, of two speakers; and no proxy stands before this machine."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(vowels, "TRAIN", (2, 1))
    monkeypatch.setattr(vowels, "TEST", (1, 1))
    for name, (_, module, constant, _) in SETS.items():
        monkeypatch.setattr(module, constant, replace(getattr(module, constant), sha256=sums[name]))


def written(form, folder):
    """A form of a set as files: one as it is; several as a folder, a zip and a tar file, in folders of their own."""
    folder.mkdir(parents=True)
    if isinstance(form, bytes):
        paths = [folder / ("set.npz" if form[:2] == b"PK" else "set.csv")]
        paths[0].write_bytes(form)
        return paths
    unpacked, zipped, packed = folder / "unpacked", folder / "set.zip", folder / "set.tar.gz"
    for name, content in form.items():
        (unpacked / name).parent.mkdir(parents=True, exist_ok=True)
        (unpacked / name).write_bytes(content)
    with zipfile.ZipFile(zipped, "w") as archive, tarfile.open(packed, "w:gz") as other:
        for name in form:
            archive.write(unpacked / name, f"set-master/{name}")
            other.add(unpacked / name, f"set-master/{name}")
    return [unpacked, zipped, packed]


@pytest.mark.parametrize("form", SETS["garments"][3])
def test_garments_are_read(form, tmp_path):
    for path in written(SETS["garments"][3][form], tmp_path / "set"):
        bunch = fetch_fashion_mnist(path)
        for name, array in PICTURES.items():
            np.testing.assert_array_equal(bunch[name], array)
        assert (bunch.data.dtype, bunch.target.dtype) == (np.uint8, np.int64)
        assert bunch.data.flags.writeable
        assert bunch.target_names[9] == "Ankle boot"


@pytest.mark.parametrize("form", SETS["digits"][3])
def test_sounds_are_read_in_the_order_of_their_names(form, tmp_path):
    for path in written(SETS["digits"][3][form], tmp_path / "set"):
        bunch = fetch_spoken_digits(path)
        for sound, expected in zip(bunch.data, SOUNDS.values(), strict=True):
            np.testing.assert_array_equal(sound, expected)
        assert bunch.target.tolist() == [0, 0, 0, 0, 1]
        assert bunch.speaker.tolist() == ["ann", "ann", "ann", "bob", "ann"]
        assert bunch.index.tolist() == [0, 10, 4, 5, 2]
        assert bunch.test.tolist() == [True, False, True, False, True]
        assert (bunch.data[0].dtype, bunch.sample_rate) == (np.int16, 8000)


@pytest.mark.parametrize("form", SETS["vowels"][3])
def test_utterances_are_read(form, tmp_path):
    for path in written(SETS["vowels"][3][form], tmp_path / "set"):
        bunch = fetch_japanese_vowels(path)
        for read, expected in ((bunch.data, TRAIN[0]), (bunch.test_data, TEST[0])):
            for steps, known in zip(read, expected, strict=True):
                np.testing.assert_array_equal(steps, known.astype(np.float32))
        assert (bunch.target.tolist(), bunch.test_target.tolist()) == (TRAIN[1], TEST[1])


@pytest.mark.parametrize("form", SETS["sentences"][3])
def test_sentences_are_read_in_any_encoding(form, tmp_path):
    for path in written(SETS["sentences"][3][form], tmp_path / "set"):
        bunch = fetch_sentence_polarity(path)
        assert bunch.data == NEGATIVE + POSITIVE
        assert [bunch.target_names[label] for label in bunch.target] == ["negative"] * 2 + ["positive"] * 3
    packed = tmp_path / "sentences.csv.gz"
    packed.write_bytes(gzip.compress(SETS["sentences"][3]["csv"]))
    assert fetch_sentence_polarity(packed).data == NEGATIVE + POSITIVE


@pytest.mark.parametrize(("name", "form"), FORMS)
def test_what_is_cut_short_is_refused(name, form, tmp_path):
    fetch, module, constant, forms = SETS[name]
    title = getattr(module, constant).title
    whole = forms[form]
    if isinstance(whole, dict):
        whole = {file: content[:-3] for file, content in whole.items()}
        for path in written(whole, tmp_path / "shorter"):
            with pytest.raises(InputError, match=rf"not (that of )?{title}.*: download {title} from https"):
                fetch(path)
        whole = written(forms[form], tmp_path / "set")[-1].read_bytes()
    damaged = tmp_path / "damaged.csv"
    damaged.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=rf": download {title} from https"):
        fetch(damaged)


@pytest.mark.parametrize("name", SETS)
def test_what_is_something_else_is_refused(name, tmp_path):
    fetch, *_ = SETS[name]
    with pytest.raises(InputError, match=r"gone: no such file or folder: download .* from https.* and give its path"):
        fetch(tmp_path / "gone")
    for path in written({"notes.txt": b"", "photo.jpg": b""}, tmp_path / "other"):
        with pytest.raises(InputError, match=r"there is no \S+ in it: download .* from https"):
            fetch(path)
    with pytest.raises(InputError, match=r"neither a zip nor a tar archive\): download"):
        fetch(tmp_path / "other" / "unpacked" / "notes.txt")


@pytest.mark.parametrize("name", SETS)
def test_without_a_network_it_says_so(name, tmp_path, monkeypatch):
    fetch, module, constant, _ = SETS[name]
    closed = dict.fromkeys(getattr(module, constant).downloads, "http://127.0.0.1:9/set")
    monkeypatch.setattr(module, constant, replace(getattr(module, constant), downloads=closed))
    monkeypatch.setenv("FMKIT_CACHE", str(tmp_path / "cache"))
    with pytest.raises(InputError, match=r"cannot be downloaded .*refused.*give its path, or call again"):
        fetch()


class Handler(http.server.BaseHTTPRequestHandler):
    """Sends files from where they are asked to begin; the first time, not more than `limit` bytes of any."""

    def __init__(self, files, limit, asked, *arguments):
        self.files, self.limit, self.asked = files, limit, asked
        super().__init__(*arguments)

    def do_GET(self):
        content = self.files[self.path.strip("/")]
        begin = int(self.headers.get("Range", "bytes=0-")[6:-1])
        first = not any(path == self.path for path, _ in self.asked)
        self.asked.append((self.path, begin))
        if begin >= len(content):
            self.send_error(416)
            return
        self.send_response(206 if begin else 200)
        self.send_header("Content-Length", str(len(content) - begin))
        self.end_headers()
        self.wfile.write(content[begin : self.limit if first else None])

    def log_message(self, *_):
        pass


@pytest.fixture
def serve(tmp_path, monkeypatch):
    """Have a set's files served on this machine, with an empty cache; gives the list of what is asked for."""
    servers = []

    def serve(name, files, limit):
        _, module, constant, _ = SETS[name]
        asked = []
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, files, limit, asked))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        known = getattr(module, constant)
        urls = {place: f"http://127.0.0.1:{server.server_port}/{Path(place).name}" for place in known.downloads}
        monkeypatch.setattr(module, constant, replace(known, downloads=urls))
        monkeypatch.setenv("FMKIT_CACHE", str(tmp_path / "cache"))
        return asked

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


def test_each_of_several_downloads_goes_on_where_it_ended(serve, tmp_path):
    files = SETS["garments"][3]["idx, packed"]
    asked = serve("garments", files, limit=20)
    for name in files:
        with pytest.raises(InputError, match=rf"{name}.part: the download was cut off: call again, it goes on"):
            fetch_fashion_mnist()
    np.testing.assert_array_equal(fetch_fashion_mnist().data, PICTURES["data"])
    assert asked == [(f"/{name}", begin) for name in files for begin in (0, 20)]
    fetch_fashion_mnist()  # from the cache
    assert len(asked) == 8
    assert sorted(path.name for path in (tmp_path / "cache" / "fashion-mnist").iterdir()) == sorted(files)


def test_an_archive_is_downloaded_and_what_began_another_file_is_dropped(serve, tmp_path):
    content = written(SETS["sentences"][3]["Windows-1252"], tmp_path / "set")[-1].read_bytes()
    asked = serve("sentences", {"rt-polaritydata.tar.gz": content}, limit=None)
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "rt-polaritydata.tar.gz.part").write_bytes(content + b"more")
    assert fetch_sentence_polarity().data == NEGATIVE + POSITIVE
    assert [begin for _, begin in asked] == [len(content) + 4, 0]


def test_a_damaged_cache_says_how_to_mend_it(tmp_path, monkeypatch):
    monkeypatch.setenv("FMKIT_CACHE", str(tmp_path))
    (tmp_path / "rt-polaritydata.tar.gz").write_bytes(b"<html>not found</html>")
    with pytest.raises(InputError, match=r"rt-polaritydata.tar.gz: not the .*: delete it and call again"):
        fetch_sentence_polarity()


def shared(path):
    if not (SHARED / path).exists():
        pytest.skip(f"there is no {SHARED / path}")
    return SHARED / path


def test_the_published_garments(monkeypatch, tmp_path):
    path = shared("images/fashion_mnist.npz")
    monkeypatch.undo()
    bunch = fetch_fashion_mnist(path)
    assert (bunch.data.shape, bunch.test_data.shape) == ((60_000, 28, 28), (10_000, 28, 28))
    for key, name in fashion.FILES.items():
        array = bunch[key] if bunch[key].ndim == 3 else bunch[key].astype(np.uint8)
        (tmp_path / name).write_bytes(idx(array))
    np.testing.assert_array_equal(fetch_fashion_mnist(tmp_path).test_target, bunch.test_target)


def test_the_published_sounds(monkeypatch, tmp_path):
    path = shared("audio/fsdd.npz")
    monkeypatch.undo()
    bunch = fetch_spoken_digits(path)
    assert (len(bunch.data), bunch.test.sum(), len(set(bunch.speaker))) == (3000, 300, 6)
    for sound, *fields in zip(bunch.data, bunch.target, bunch.speaker, bunch.index, strict=True):
        (tmp_path / f"{'_'.join(map(str, fields))}.wav").write_bytes(wav(sound))
    assert fetch_spoken_digits(tmp_path).index.tolist() == bunch.index.tolist()


def test_the_published_vowels(monkeypatch):
    path = shared("series/JapaneseVowels.npz")
    monkeypatch.undo()
    bunch = fetch_japanese_vowels(path)
    assert np.bincount(bunch.target).tolist() == [0, *vowels.TRAIN]
    assert np.bincount(bunch.test_target).tolist() == [0, *vowels.TEST]


def test_the_published_sentences(monkeypatch):
    path = shared("text/sentence_polarity.csv.gz")
    monkeypatch.undo()
    bunch = fetch_sentence_polarity(path)
    assert np.bincount(bunch.target).tolist() == [5331, 5331]
    assert bunch.data[0] == "simplistic , silly and tedious ."
