"""The command lines of the pages run, from top to bottom, each page in a folder that holds what it speaks of."""

import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fmkit.datasets import load_adult, load_harvesters, load_movielens_small, make_damage, write_libffm, write_libfm
from tests.command_line import call

ROOT = Path(__file__).parent.parent
FENCED = re.compile(r"^( *)```.*?^ *```", re.DOTALL | re.MULTILINE)
COMMAND = re.compile(r"^    (fmkit .+)$|(?<!`)`(fmkit [^`]+)`(?!`)", re.MULTILINE)
SHORTENED = {"contrast": ["--epochs", "2", "--seeds", "1"]}  # of what takes minutes otherwise


def commands(page: Path) -> list[list[str]]:
    """Those that name a file, for others are only spoken of; and not `fmkit app`, which tests of its own start."""
    found = ["".join(ways) for ways in COMMAND.findall(FENCED.sub("", page.read_text("utf-8")))]
    lines = [shlex.split(line, comments=True)[1:] for line in found]
    return [words for words in lines if words[0] != "app" and any(set(word) & set("./*") for word in words)]


def pages() -> dict[str, list[list[str]]]:
    paths = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    found = {str(path.relative_to(ROOT)): commands(path) for path in paths if not {"_build", "_run"} & set(path.parts)}
    return {page: lines for page, lines in found.items() if lines}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with a small one of every file that a page names."""
    home = tmp_path_factory.mktemp("guide")
    (home / "datasets").symlink_to(ROOT / "datasets")
    rng = np.random.default_rng(0)
    _tables(home, rng)
    _pictures(home, rng)
    recommend = ["recommend", "my.csv", "--factors", 4, "--sweeps", 5, "--quiet", "--save"]
    for model in ("movies.fmkit", "stars.fmkit", "films.fmkit"):
        assert call(*recommend, model, cwd=home).returncode == 0
    train = ["train", "people.csv", "--target", "income", "--factors", 4, "--quiet", "--save", "churn.fmkit"]
    assert call(*train, cwd=home).returncode == 0
    return home


def _tables(home: Path, rng: np.random.Generator) -> None:
    ratings = load_movielens_small(as_frame=True).frame.sample(3000, random_state=0)
    ids = ratings[["userId", "movieId"]].rank(method="dense").astype(int) - 1
    one_hot = np.zeros((len(ids), ids.max().sum() + 2), np.float32)
    one_hot[np.arange(len(ids)), ids.userId] = 1
    one_hot[np.arange(len(ids)), ids.userId.max() + 1 + ids.movieId] = 1
    write_libfm(home / "train.libfm", one_hot[:2500], ratings.rating[:2500])
    write_libfm(home / "test.libfm", one_hot[2500:], ratings.rating[2500:])
    field_of = np.digitize(np.arange(one_hot.shape[1]), [ids.userId.max() + 1])
    write_libffm(home / "train.ffm", one_hot[:2500], ratings.rating[:2500] >= 4, field_of)
    write_libffm(home / "test.ffm", one_hot[2500:], ratings.rating[2500:] >= 4, field_of)
    for name in ("my.csv", "ratings.csv"):
        ratings.to_csv(home / name, index=False)
    pairs = ratings[["userId", "movieId"]]
    (home / "pairs").mkdir()
    pairs.to_parquet(home / "pairs" / "1.parquet")
    pairs.to_parquet(home / "pairs.parquet")
    ratings.to_parquet(home / "ratings.parquet")
    (home / "log").mkdir()
    for part in range(2):
        clicks = ratings[part::2].assign(clicked=ratings.rating >= 4).drop(columns=["rating"])
        clicks.to_parquet(home / "log" / f"{part}.parquet")

    people, income = load_adult(return_X_y=True, as_frame=True)
    people = people.assign(income=income)[:1500]
    for name in ("people.csv", "adult.csv"):
        people.to_csv(home / name, index=False)
    (home / "customers").mkdir()
    people.drop(columns="income").assign(id=np.arange(1500)).to_csv(home / "customers" / "1.csv", index=False)
    words = {"good": ["fine", "lovely", "warm", "bright"], "bad": ["dull", "cold", "tired", "grim"]}
    rows = [(kind, " ".join(rng.choice(words[kind], 5))) for kind in ("good", "bad") for _ in range(40)]
    reviews = pd.DataFrame(rows, columns=["kind", "review"])
    reviews.to_csv(home / "reviews.csv", index=False)
    reviews[["review"]].to_csv(home / "new_reviews.csv", index=False)


def _pictures(home: Path, rng: np.random.Generator) -> None:
    clean = load_harvesters().picture[500:580, 100:196]
    mask = make_damage(clean.shape[:2], "scratches", share=0.05, random_state=0)
    torn = Image.fromarray(np.where(mask[..., None], 255, clean).astype(np.uint8))
    Image.fromarray(clean).save(home / "clean.png")
    (home / "scans" / "1911").mkdir(parents=True)
    for name in ("photo.jpg", "scan.png", "page.png", "scans/a.png", "scans/1911/b.png"):
        torn.save(home / name)
    for name in ("mask.png", "photo_mask.png", "scans/a_mask.png", "scans/1911/b_mask.png"):
        Image.fromarray(mask).save(home / name)
    for name, colour in {"flowers/red": (200, 30, 30), "flowers/blue": (30, 30, 200), "holiday": (190, 40, 40)}.items():
        (home / name).mkdir(parents=True)
        for number in range(16):
            pixels = np.clip(rng.normal(colour, 40, (16, 16, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(home / name / f"{number}.png")


@pytest.mark.skipif(not (ROOT / "docs").exists(), reason="the pages do not come with the source distribution")
@pytest.mark.parametrize("page", pages())
def test_command_lines_run(page, home, tmp_path):
    folder = shutil.copytree(home, tmp_path / "folder", symlinks=True)
    for words in pages()[page]:
        expanded = []  # as a shell would
        for word in words:
            expanded += sorted(folder.glob(word)) if "*" in word else ["1" if word == "SOMEBODY" else word]
        done = call(*expanded, *SHORTENED.get(words[0], []), cwd=folder)
        assert done.returncode == 0, f"fmkit {' '.join(words)}\n{done.stdout}{done.stderr}"
