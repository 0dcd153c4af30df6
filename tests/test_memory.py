"""Estimates against the peaks of real fits, in a process of its own whose peak can be set back (Linux)."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fmkit import Design, FMRegressor, estimate_memory

ROOT = Path(__file__).parents[1]
CHILD = """
import ctypes, json, sys
from pathlib import Path
import numpy as np
from scipy import sparse
from fmkit import Design, FMRegressor, RelationBlock, estimate_memory

def designs(n):
    rng = np.random.default_rng(0)
    user, item, place = rng.integers(0, n // 20, n), rng.integers(0, n // 100, n), rng.integers(0, 50, n)
    some = np.where(rng.random(n) < 0.5, place, -1)
    one_hot = [sparse.csr_array((np.ones(n), codes, np.arange(n + 1))) for codes in (user, item)]
    tags = [sparse.random_array((m, 200), density=0.05, rng=0, format="csr") for m in (n // 20, n // 100)]
    known = [(sparse.hstack([sparse.eye_array(t.shape[0]), t]), c) for t, c in zip(tags, (user, item))]
    whole = [RelationBlock(*b, np.repeat([0, 1], [b[0].shape[0], 200]), hierarchical=True) for b in known]
    known = [RelationBlock(*b) for b in known]
    yield "pair", lambda: Design.from_codes([user, item])
    yield "columns", lambda: Design.from_codes([rng.integers(0, n, n), rng.integers(0, n // 2, n)], [n, n // 2])
    yield "gaps", lambda: Design.from_codes([user, item, some])
    yield "values", lambda: Design.from_matrix(sparse.hstack([*one_hot, rng.standard_normal((n, 3))]))
    yield "hierarchies", lambda: Design.from_blocks(whole)
    yield "two blocks", lambda: Design.from_blocks(known)
    yield "block", lambda: Design.from_blocks(known[:1], Design.from_codes([item, place]))

def megabytes(key):
    return int(Path("/proc/self/status").read_text().split(key + ":")[1].split()[0]) * 1024 / 1e6

told, trim = [], ctypes.CDLL(None).malloc_trim
for n, ks in ((30_000, [8]), (300_000, [16])):  # the first for the kernels
    for name, make in designs(n):
        X = make()
        for solver in sys.argv[1:]:
            for k in ks:
                average = solver == "averages"
                how = {"solver": "als" if average else solver, "n_factors": k, "average": average}
                model = FMRegressor(max_iter=10 if solver == "mcmc" else 2, random_state=0, **how)
                y = np.arange(float(n)) % 5
                trim(0)
                Path("/proc/self/clear_refs").write_text("5")
                before = megabytes("VmRSS")
                model.fit(X, y)
                del model
                told.append((name, solver, k, n, megabytes("VmHWM") - before, estimate_memory(X, **how) / 1e6))
print(json.dumps(told))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="peaks are read from /proc")
def test_estimates_are_the_peaks_of_fits():
    command = [sys.executable, "-c", CHILD, "als", "averages", "mcmc", "vb"]
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_ARENA_MAX": "1"}  # what is freed is free
    told = json.loads(subprocess.run(command, check=True, capture_output=True, cwd=ROOT, env=environment).stdout)
    ratios = {tuple(row[:3]): row[5] / row[4] for row in told if row[3] == 300_000}
    assert len(ratios) == 28
    wrong = {case: round(ratio, 2) for case, ratio in ratios.items() if not 0.85 < ratio < 1.4}
    assert not wrong


def test_a_solver_that_is_not_estimated_is_told():
    with pytest.raises(ValueError, match="solver must be 'als', 'mcmc' or 'vb', got 'sgd'"):
        estimate_memory(Design.from_codes([[0, 1], [1, 0]]), solver="sgd")


def test_a_fit_tells_its_memory_before_it_starts(capsys):
    FMRegressor(verbose=1, max_iter=2).fit(np.eye(3), [1, 2, 3])
    assert "the fit will take about 0 MB beyond its input" in capsys.readouterr().err
