"""The Free Spoken Digit Dataset, from its repository's archive."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import Bunch

from .archives import Files
from .publication import Arrays, Publication

SAMPLE_RATE = 8000
TEST = 5  # recordings of each speaker and digit, the first, which the set's page sets aside
RECORDING = re.compile(r"(\d)_([a-z]+)_(\d+)\.wav")
# Of the sounds one after the other, by the names of their files: int16 samples, int64 numbers, and text.
SPOKEN_DIGITS = Publication(
    "the Free Spoken Digit Dataset 1.0.10",
    "https://github.com/Jakobovski/free-spoken-digit-dataset",
    {
        "free-spoken-digit-dataset-1.0.10.tar.gz": (
            "https://github.com/Jakobovski/free-spoken-digit-dataset/archive/refs/tags/v1.0.10.tar.gz"
        )
    },
    {
        "samples": "6f643a7422de89763625dfc9aa79427e69f7a690223a5bc5752a2f56db5af465",
        "lengths": "b43f9680885a221662ed485e53cbb94d049abf4538a3b3118c496c31c7d29117",
        "target": "10ec2f774651d4417a800af7cd0c932985a4ba69d04230047d3c28435bf20d18",
        "speaker": "d045ba00b2d160357be06d2062c63df861ec6d4f0313ec5c49e349032bda14fd",
        "index": "6e9777efd740366290b04900b5085631e44462bb3e10d1d42892d7875c8848e3",
    },
)


def fetch_spoken_digits(path: str | Path | None = None) -> Bunch:
    """Read the Free Spoken Digit Dataset: 3,000 sounds, each of ten digits 50 times from six speakers.

    Parameters
    ----------
    path : str or Path, optional
        The archive of the repository (zip or tar.gz), the folder that it unpacks to, or an npz file of audio (the
        samples of all), length, label, speaker and index. By default the archive of version 1.0.10 in the cache,
        `~/.cache/fmkit` (or `$FMKIT_CACHE`): it is downloaded once, about 15 MB.

    Returns
    -------
    bunch : sklearn.utils.Bunch
        `data`, a list of 3,000 sounds, int16 of shape (n_samples,), `sample_rate` (8000 samples a second), `target`,
        int64, `speaker`, names, `index`, the number of the recording from 0 to 49, `test`, True where that is 4 or
        less, and `DESCR`. Sounds are in the order of their files' names.

    Raises
    ------
    InputError
        If there is no such set at `path`, or other samples than those published (by their SHA-256); if it is not in
        the cache and cannot be downloaded.

    References
    ----------
    Z. Jackson et al., "Free Spoken Digit Dataset", 2018 to 2020.
    """
    arrays, source = SPOKEN_DIGITS.read(path, _arrays)
    return Bunch(
        data=np.split(arrays["samples"], arrays["lengths"].cumsum()[:-1]),
        target=arrays["target"],
        speaker=arrays["speaker"],
        index=arrays["index"],
        test=arrays["index"] < TEST,
        sample_rate=SAMPLE_RATE,
        DESCR=f"Free Spoken Digit Dataset (Z. Jackson et al.), read from {source}. Licence: CC BY-SA 4.0; source: "
        f"{SPOKEN_DIGITS.page}",
    )


def _arrays(files: Files) -> Arrays:
    sounds = _from_npz(files) if "audio.npy" in files else _from_wav(files)
    fields = [field for name in sorted(sounds) if (field := RECORDING.fullmatch(name))]
    ordered = [sounds[field[0]] for field in fields]
    return {
        "samples": np.concatenate(ordered),
        "lengths": np.array([len(sound) for sound in ordered], np.int64),
        "target": np.array([int(field[1]) for field in fields], np.int64),
        "speaker": np.array([field[2] for field in fields]),
        "index": np.array([int(field[3]) for field in fields], np.int64),
    }


def _from_npz(files: Files) -> dict[str, NDArray[Any]]:
    sounds = np.split(files.array("audio"), files.array("length").cumsum()[:-1])
    labels = zip(files.array("label"), files.array("speaker"), files.array("index"), strict=True)
    names = [f"{digit}_{speaker}_{index}.wav" for digit, speaker, index in labels]
    return dict(zip(names, sounds, strict=True))


def _from_wav(files: Files) -> dict[str, NDArray[Any]]:
    from scipy.io import wavfile

    names = [name for name in files if RECORDING.fullmatch(name)]
    return {name: wavfile.read(io.BytesIO(files.read(name)))[1] for name in names or ["0_george_0.wav"]}
