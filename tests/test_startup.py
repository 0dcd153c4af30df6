"""Start-up: help is shown without the heavy libraries, and the core never asks for torch."""

import subprocess
import sys

import pytest

HEAVY = {"implicit", "llvmlite", "numba", "numpy", "pandas", "pyarrow", "pyvips", "scipy", "sklearn", "torch"}

TELL_MODULES = """
import atexit, sys
imported = lambda: [name for name, module in sys.modules.items() if getattr(module, "__spec__", None)]
atexit.register(lambda: print(*imported(), file=sys.stderr))
from fmkit.cli import main
sys.argv[0] = "fmkit"
main()
"""

WATCH_FOR_TORCH = """
import pkgutil, sys
from importlib import import_module

class Watch:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            asked.append(name)

asked = []
sys.meta_path.insert(0, Watch())
import fmkit, fmkit.datasets
names = [module.name for package in (fmkit, fmkit.datasets)
         for module in pkgutil.walk_packages(package.__path__, package.__name__ + ".")]
apart = "fmkit.deep", "fmkit.tensors."
core = [name for name in names if not name.startswith(apart) or name == "fmkit.tensors.device"]
for name in core:
    import_module(name)
print(len(core), asked)
"""


def run(*arguments):
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done


@pytest.mark.parametrize(
    "command", [["--help"], ["--version"], ["recommend", "--help"], ["restore", "--help"], ["damage", "--help"]]
)
def test_help_waits_for_nothing_heavy(command):
    done = run("-c", TELL_MODULES, *command)
    assert "fmkit" in done.stdout
    imported = {module.partition(".")[0] for module in done.stderr.split()}
    assert "click" in imported
    assert imported & HEAVY == set()


def test_a_command_waits_for_nothing_that_it_does_not_use(tmp_path):
    table = tmp_path / "ratings.csv"
    table.write_text("user,item,rating\nann,x,5\nann,y,1\nbob,y,2\nbob,z,4\n")
    imported = set(run("-c", TELL_MODULES, "recommend", table, "--user", "ann").stderr.split())
    assert {"numba", "sklearn", "pyarrow"} < imported
    assert (
        imported
        & {"pandas", "scipy.stats.distributions", "scipy.optimize", "torch", "matplotlib", "fmkit.interactions.machine"}
        == set()
    )


def test_importing_fmkit_waits_for_nothing_heavy():
    imported = run("-c", "import fmkit, sys; print(*sys.modules)").stdout.split()
    assert "fmkit" in imported
    assert HEAVY.isdisjoint(imported)


def test_no_module_of_the_core_asks_for_torch():
    count, asked = run("-c", WATCH_FOR_TORCH).stdout.split(maxsplit=1)
    assert int(count) > 15
    assert asked.strip() == "[]"


def test_kernels_compile_where_no_cache_can_be_written():
    # Told to look only in a folder that nobody names, numba finds none, as in a read-only install without a home.
    code = """
import os
os.environ["NUMBA_CACHE_LOCATOR_CLASSES"] = "UserProvidedCacheLocator"
os.environ.pop("NUMBA_CACHE_DIR", None)
from fmkit.linalg import padded
print(padded(17))
"""
    assert run("-c", code).stdout == "32\n"
