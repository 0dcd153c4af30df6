"""The wheel: built from the sdist, installed beside exactly the packages that it asks for, and used from elsewhere."""

import os
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import fmkit

ROOT = Path(__file__).parent.parent
PACKAGES = {"fmkit": "fmkit", "deep": "fmkit/deep", "datasets": "fmkit/datasets"}  # folder: where it installs


def run(*command, cwd, **environment):
    """Run a command as a user in `cwd` would, not as this checkout's environment."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "MAKE"))}
    return subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=inherited | environment,
        capture_output=True,
        text=True,
        timeout=300,
    )


def succeed(*command, cwd, **environment):
    done = run(*command, cwd=cwd, **environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The sdist, and the wheel built from it alone."""
    folder = tmp_path_factory.mktemp("dist")
    succeed(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT, cwd=folder)
    (sdist,), (wheel,) = folder.glob("*.tar.gz"), folder.glob("*.whl")
    return sdist, wheel


def required(name, extras=frozenset(), found=None):
    """The distributions that pip would bring with `name`: its requirements, theirs, and so on."""
    found = {} if found is None else found
    for line in distribution(name).requires or ():
        wanted = Requirement(line)
        applies = not wanted.marker or any(wanted.marker.evaluate({"extra": extra}) for extra in extras | {""})
        if applies and (wanted.name, *wanted.extras) not in found:
            found[wanted.name, *wanted.extras] = distribution(wanted.name)
            required(wanted.name, frozenset(wanted.extras), found)
    return found


@pytest.fixture(scope="module")
def clean(built, tmp_path_factory):
    """An environment with the wheel and what it requires, and nothing else.

    The wheel is installed by pip; its requirements are linked to from here instead of being unpacked again (half a
    gigabyte), so that a package which fmkit uses and does not declare is missing.
    """
    folder = tmp_path_factory.mktemp("clean environment")  # with a space
    venv.create(folder, symlinks=True)
    scripts, site = (Path(sysconfig.get_path(kind, "venv", {"base": folder})) for kind in ("scripts", "purelib"))
    pip = [sys.executable, "-m", "pip", "--python", scripts / "python"]
    succeed(*pip, "install", "--quiet", "--no-deps", "--no-index", built[1], cwd=folder)
    for needed in required("fmkit").values():
        for top in {file.parts[0] for file in needed.files or ()} - {"..", "__pycache__"}:
            if not (site / top).exists():
                (site / top).symlink_to(needed.locate_file(top))
    return scripts, site / "fmkit"


def test_wheel_holds_every_module_the_data_and_the_licences(built):
    with zipfile.ZipFile(built[1]) as wheel:
        names = set(wheel.namelist())
        metadata = wheel.read(f"fmkit-{fmkit.__version__}.dist-info/METADATA").decode()
    for folder, home in PACKAGES.items():
        modules = {f"{home}/{path.relative_to(ROOT / folder)}" for path in (ROOT / folder).rglob("*.py")}
        assert modules <= names
    for name in (
        "py.typed",
        "datasets/adult/adult.parquet",
        "datasets/movielens_small/ratings.csv.gz",
        "datasets/movielens_small/movies.csv.gz",
        "datasets/goodbooks/ratings.parquet",
        "datasets/goodbooks/books.parquet",
        "datasets/harvesters/harvesters.jpg",
        *(
            f"datasets/{name}/{text}"
            for name in ("adult", "movielens_small", "goodbooks", "harvesters")
            for text in ("LICENSE", "README.md")
        ),
    ):
        assert f"fmkit/{name}" in names
    assert not [name for name in names if not name.startswith(("fmkit/", "fmkit-"))]
    assert not [name for name in names if "__pycache__" in name]
    assert f"\nVersion: {fmkit.__version__}\n" in metadata
    assert "LicenseRef-GroupLens" in metadata


def test_wheel_is_small_enough_to_carry_its_data(built):
    assert built[1].stat().st_size < 4_000_000


def test_sdist_holds_the_tests(built):
    with tarfile.open(built[0]) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    assert {"pyproject.toml", "LICENSE", "README.md", "tests/test_packaging.py"} <= names


def test_installed_command_tells_its_version(clean, tmp_path):
    assert fmkit.__version__ in succeed(clean[0] / "fmkit", "--version", cwd=tmp_path)


def test_installed_wheel_recommends_from_the_shipped_ratings(clean, tmp_path):
    scripts, package = clean
    where = succeed(scripts / "python", "-c", "import fmkit; print(fmkit.__file__)", cwd=tmp_path)
    assert Path(where.strip()) == package / "__init__.py"
    data = package / "datasets" / "movielens_small"
    table = succeed(
        scripts / "fmkit", "recommend", data / "ratings.csv.gz", "--items", data / "movies.csv.gz",
        "--user", "15", "--top", "3", "--format", "csv",
        cwd=tmp_path,
    )  # fmt: skip
    header, *rows = table.splitlines()
    assert "rank" in header
    assert len(rows) == 3
    assert all("(19" in row or "(20" in row for row in rows)  # titles carry their year


@pytest.mark.skipif(sys.platform == "win32", reason="make")
def test_make_says_in_a_sentence_which_python_it_needs(tmp_path):
    folder = tmp_path / "a checkout"
    folder.mkdir()
    for name in ("Makefile", "pyproject.toml"):
        (folder / name).write_bytes((ROOT / name).read_bytes())
    done = run("make", "PYTHON=false", "test", cwd=folder)
    assert done.returncode != 0
    assert done.stderr.startswith("fmkit needs Python 3.11 or newer with its venv module")
    assert not (folder / ".venv").exists()
