"""The sentence polarity data set, from its page's archive, NLTK's, or a table."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
from sklearn.utils import Bunch

from .archives import Files
from .publication import Arrays, Publication

NAMES = ("negative", "positive")
# What Windows-1252 has at 0x91, 0x96 and 0x97, which are control characters if it is read as Latin-1.
PUNCTUATION = str.maketrans("\x91\x96\x97", "‘–—")
SENTENCE_POLARITY = Publication(
    "the sentence polarity dataset 1.0",
    "https://www.cs.cornell.edu/people/pabo/movie-review-data",
    {"rt-polaritydata.tar.gz": "https://www.cs.cornell.edu/people/pabo/movie-review-data/rt-polaritydata.tar.gz"},
    {
        "data": "dc25a0202f24e63b0e3458e0d2009bc8165fe1b2bbb461878c8d2b7e4a69c868",
        "target": "5e8e15a6f648f9d283d65cb03ec97b066da7d265da5c97f6dcac1f77a24d1fca",
    },
)


def fetch_sentence_polarity(path: str | Path | None = None) -> Bunch:
    """Read the sentence polarity data set: 5,331 negative and 5,331 positive sentences of reviews of films.

    Parameters
    ----------
    path : str or Path, optional
        The archive as downloaded (rt-polaritydata.tar.gz, or NLTK's sentence_polarity.zip), the folder that it unpacks
        to, with rt-polarity.neg and rt-polarity.pos, or a table with the columns label (0 or 1) and text (.csv or
        .csv.gz). By default the archive in the cache, `~/.cache/fmkit` (or `$FMKIT_CACHE`): it is downloaded once, and
        a download that was cut off goes on where it ended.

    Returns
    -------
    bunch : sklearn.utils.Bunch
        `data`, a list of str, `target`, int64, 0 or 1, `target_names`, "negative" and "positive", and `DESCR`. The
        negative ones come first.

    Raises
    ------
    InputError
        If there is no such set at `path`, or other sentences than those published (by their SHA-256); if it is not in
        the cache and cannot be downloaded.

    References
    ----------
    B. Pang and L. Lee, "Seeing stars: exploiting class relationships for sentiment categorization with respect to
    rating scales", ACL 2005.
    """
    arrays, source = SENTENCE_POLARITY.read(path, _arrays)
    return Bunch(
        data=arrays["data"].tolist(),
        target=arrays["target"],
        target_names=list(NAMES),
        DESCR=f"Sentence polarity dataset 1.0 (B. Pang and L. Lee, 2005), read from {source}. Source: "
        f"{SENTENCE_POLARITY.page}",
    )


def _arrays(files: Files) -> Arrays:
    tables = [name.removesuffix(".gz") for name in files if name.removesuffix(".gz").endswith(".csv")]
    if "rt-polarity.neg" in files or not tables:
        rows = [
            (label, line)
            for label, part in enumerate(("neg", "pos"))
            for line in _text(files.read(f"rt-polarity.{part}")).split("\n")
        ]
    else:
        table = csv.DictReader(io.StringIO(_text(files.read(tables[0])), newline=""))
        rows = [(int(row["label"]), row["text"]) for row in table]
    sentences = [(label, text.strip(" \r").translate(PUNCTUATION)) for label, text in rows]
    kept = [(label, text) for label, text in sentences if text]
    return {
        "data": np.array([text for _, text in kept]),
        "target": np.array([label for label, _ in kept], np.int64),
    }


def _text(content: bytes) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return content.decode("latin-1")
