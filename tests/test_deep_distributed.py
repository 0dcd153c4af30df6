"""Fits that two processes share: the same nets as of one."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests import shared_fits

N_PROCESSES = 2


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """What two processes wrote."""
    folder = tmp_path_factory.mktemp("shared")
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(N_PROCESSES)]
    done = subprocess.run([*start, shared_fits.__file__, folder], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def alone():
    return shared_fits.fitted()


@pytest.mark.parametrize("name", ["MLP", "sparse rows", "L-BFGS", "CNN", "texts", "series"])
def test_two_processes_learn_what_one_does(folder, alone, name):
    model, predictions = alone[name]
    first, second = (np.load(Path(folder, f"{name} {rank}.npz")) for rank in range(N_PROCESSES))
    for key in first.files:
        np.testing.assert_array_equal(first[key], second[key])
    # Sums over a batch are added up in another order: float32's rounding, 6e-8, grows over some 30 steps.
    for key, tensor in model.net_.state_dict().items():
        np.testing.assert_allclose(first[key], tensor.numpy(), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(first["losses"], [row["train_loss"] for row in model.history_], rtol=1e-5)
    np.testing.assert_allclose(first["predictions"], predictions, rtol=1e-4)
    assert first["best"] == model.best_epoch_


def test_processes_end_together_and_refuse_what_is_not_shared(folder):
    first, second = (Path(folder, f"told {rank}.txt").read_text().splitlines() for rank in range(N_PROCESSES))
    assert first == second
    ended, timed, *unlike, small = first
    assert ended == "2"
    assert int(timed) > 0
    assert len(unlike) == 3
    for told in unlike:
        assert "were given different rows or parameters: a fit is shared by all of them, give each the same" in told
    assert small == "2 processes share batches of 1 rows: set a batch_size of 2 at least"
