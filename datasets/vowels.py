"""Japanese vowels, from the archives of UEA and UCI."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import Bunch

from .archives import Files
from .publication import Arrays, Publication

N_CHANNELS = 12
# Utterances of each speaker, which UCI tells apart by their order alone.
TRAIN, TEST = (30,) * 9, (31, 35, 88, 44, 29, 24, 40, 50, 29)
# Steps of all utterances one after the other, float32 (n, 12), the utterances' lengths and their speakers, int64.
JAPANESE_VOWELS = Publication(
    "JapaneseVowels",
    "https://www.timeseriesclassification.com/description.php?Dataset=JapaneseVowels",
    {"JapaneseVowels.zip": "https://www.timeseriesclassification.com/aeon-toolkit/JapaneseVowels.zip"},
    {
        "steps": "b531e6680122bee893af0ee8794a696bb7caad40d5abe04cc19dd8be9bc61172",
        "lengths": "7a96637927b94a25f3a9c56a0da937c1c5088a00e6e6cef77f02d702b858386d",
        "target": "be6c1ef3f1fe050a5210962a28f0b6a7d9acc19f74460aeecb77ed7c320a9b45",
        "test_steps": "7c71160980b89a87419481f63e5e0687879d87e97d824d2d77393df866943db5",
        "test_lengths": "b3b90bb51a7c73e4f56748fa87ffa3c37f9548c464c285bc949aec831046aff2",
        "test_target": "71b9816bf683a45a6abc919be0f69e3fb89d6974f43d19eeaeebe6efca496a24",
    },
)

Utterances = list[NDArray[np.float32]]


def fetch_japanese_vowels(path: str | Path | None = None) -> Bunch:
    """Read Japanese vowels: 270 utterances of nine speakers to train on, and 370 to test with.

    Parameters
    ----------
    path : str or Path, optional
        The archive as downloaded, or the folder that it unpacks to: that of UEA's series, with JapaneseVowels_TRAIN.ts
        and JapaneseVowels_TEST.ts, or UCI's, with ae.train and ae.test; or an npz file of X_train (n, 12, length, NaN
        after the end of each), y_train, X_test and y_test. By default UEA's archive in the cache, `~/.cache/fmkit` (or
        `$FMKIT_CACHE`): it is downloaded once, and a download that was cut off goes on where it ended.

    Returns
    -------
    bunch : sklearn.utils.Bunch
        `data`, a list of 270 utterances, float32 of shape (length, 12) with lengths of 7 to 29, which `RNNClassifier`
        takes as they are, `target`, the speakers from 1 to 9, int64, `test_data`, `test_target` and `DESCR`.

    Raises
    ------
    InputError
        If there is no such set at `path`, or other values than those published (by their SHA-256); if it is not in the
        cache and cannot be downloaded.

    References
    ----------
    M. Kudo, J. Toyama and M. Shimbo, "Multidimensional curve classification using passing-through regions", Pattern
    Recognition Letters 1999.
    """
    arrays, source = JAPANESE_VOWELS.read(path, _arrays)
    return Bunch(
        data=np.split(arrays["steps"], arrays["lengths"].cumsum()[:-1]),
        target=arrays["target"],
        test_data=np.split(arrays["test_steps"], arrays["test_lengths"].cumsum()[:-1]),
        test_target=arrays["test_target"],
        DESCR=f"Japanese vowels (M. Kudo, J. Toyama and M. Shimbo, 1999), read from {source}. Source: "
        f"{JAPANESE_VOWELS.page}",
    )


def _arrays(files: Files) -> Arrays:
    if "X_train.npy" in files:
        train, test = (_from_npz(files, part) for part in ("train", "test"))
    elif "ae.train" in files:
        train, test = _from_uci(files.read("ae.train"), TRAIN), _from_uci(files.read("ae.test"), TEST)
    else:
        train, test = (_from_ts(files.read(f"JapaneseVowels_{part}.ts")) for part in ("TRAIN", "TEST"))
    return {**_named("", *train), **_named("test_", *test)}


def _named(prefix: str, utterances: Utterances, speakers: Sequence[int]) -> Arrays:
    return {
        f"{prefix}steps": np.concatenate(utterances),
        f"{prefix}lengths": np.array([len(utterance) for utterance in utterances], np.int64),
        f"{prefix}target": np.array(speakers, np.int64),
    }


def _from_npz(files: Files, part: str) -> tuple[Utterances, list[int]]:
    padded = files.array(f"X_{part}").transpose(0, 2, 1).astype(np.float32)
    return [steps[np.isfinite(steps).any(axis=1)] for steps in padded], [int(y) for y in files.array(f"y_{part}")]


def _from_ts(content: bytes) -> tuple[Utterances, list[int]]:
    """A line an utterance, after "@data": its channels and its speaker, between colons."""
    lines = content.decode().partition("@data")[2].split()
    rows: list[list[Any]] = [line.split(":") for line in lines]
    utterances = [np.array([c.split(",") for c in channels], np.float32).T.copy() for *channels, _ in rows]
    return utterances, [int(speaker) for *_, speaker in rows]


def _from_uci(content: bytes, counts: Sequence[int]) -> tuple[Utterances, list[int]]:
    """A line a step; between utterances, which are in the order of their speakers, blank lines or rows of 1.0."""
    text = re.sub(r"^(1\.0\s+){12}", "\n", content.decode().replace("\r", ""), flags=re.MULTILINE)
    blocks = re.split(r"\n\s*\n", text.strip())
    utterances = [np.array(block.split(), np.float32).reshape(-1, N_CHANNELS) for block in blocks]
    return utterances, [speaker for speaker, count in enumerate(counts, start=1) for _ in range(count)]
