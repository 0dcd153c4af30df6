"""A fit whose process was killed goes on to the same result, bit for bit."""

import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from sklearn.base import clone

from fmkit import Design, FMClassifier, FMRegressor, RelationBlock, load, save
from fmkit.blocks import find_blocks
from fmkit.checkpoint import CheckpointFailed, digest
from fmkit.errors import InputError
from fmkit.fitting import FitInterrupted

ROOT = str(Path(__file__).resolve().parent.parent)
MAX_ITER = 12


def data(kind, n=400):
    """Users and items ("pair"), and a third field ("three"), or what is known of the user repeated a row ("blocks")."""
    rng = np.random.default_rng(1)
    users, items = rng.integers(0, 20, n), rng.integers(0, 12, n)
    if kind == "pair":
        design = Design.from_codes([users, items])
    elif kind == "hierarchical":
        rated, labels = rng.random((20, 7)) < 0.5, np.repeat([0, 1], [20, 7])
        block = RelationBlock(np.c_[np.eye(20), rated], users, labels, hierarchical=True)
        design = Design.from_blocks([block], Design.from_codes([items]))
    elif kind == "three":
        design = Design.from_codes([users, items, rng.integers(-1, 4, n)])
    else:  # a field of the users' own, so that predictions are kept a row as well
        age, town = rng.integers(0, 5, 20), rng.integers(0, 4, 20)
        fields = [users, age[users], town[users], items]
        design = Design.from_codes(fields if kind == "blocks" else [*fields, rng.integers(0, 4, n)])
        assert find_blocks(design).blocks
    y = rng.standard_normal(20)[users] + rng.standard_normal(12)[items] + rng.standard_normal(n)
    weights = 0.5 + rng.random(n) if kind == "three" else None
    return design, y, weights


def regressor(solver, path, n_jobs=1, **more):
    parameters = {"max_iter": MAX_ITER, "random_state": 3, "checkpoint_sweeps": 1, "n_jobs": n_jobs, **more}
    if solver == "mcmc":
        parameters |= {"burn_in": 4, "keep_draws": 3}
    return FMRegressor(3, solver=solver, checkpoint=None if path is None else str(path), **parameters)


def told(model, design):
    """All that a model tells of a design, and its history without times."""
    parts = [model.predict(design)]
    if model.posterior_ is not None:
        parts += [*model.predict(design, return_std=True), *(d.factors for d in model.posterior_.draws)]
        parts.append(np.array([list(row.values()) for row in model.trace_]))
    parts.append(np.array([[row["train_loss"], row["validation_loss"] or 0] for row in model.history_]))
    return parts


KILLED = """
import os, signal, sys
sys.path.insert(0, {root!r})
from tests.test_checkpoint import data, regressor

jobs = {jobs!r}
for solver, kind in dict.fromkeys(job[:2] for job in jobs):  # kernels are loaded once, not in each of the processes
    regressor(solver, None, max_iter=1).fit(*data(kind))
for solver, kind, path, sweep, n_jobs, more in jobs:
    if os.fork():
        os.wait()
        continue
    def kill(progress):
        if progress.sweep == sweep:
            os.kill(os.getpid(), signal.SIGKILL)
    design, y, weights = data(kind)
    regressor(solver, path, n_jobs, callbacks=[kill], **more).fit(design, y, weights)
    os._exit(1)
"""


SOLVERS = ("mcmc", "vb", "als")
CASES = [
    ("pair", 3, 1, {}),
    ("pair", 9, 2, {}),
    ("three", 3, 2, {}),
    ("three", 9, 1, {}),
    ("blocks", 3, 1, {}),
    ("blocks", 9, 2, {}),
    ("hierarchical", 3, 2, {}),
    ("hierarchical", 9, 1, {}),
    ("blocks and more", 6, 2, {}),
    ("blocks and more", 9, 1, {}),
    ("pair", 8, 1, {"early_stopping": True, "patience": 50}),
    ("three", 8, 2, {"early_stopping": True, "patience": 50}),
]


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """Fits whose processes were killed in the callback of a sweep, that is before its checkpoint is written."""
    folder = tmp_path_factory.mktemp("killed")
    jobs = [
        (solver, kind, str(folder / f"{solver}-{i}.fmkit"), *rest)
        for solver in SOLVERS
        for i, (kind, *rest) in enumerate(CASES)
    ]
    subprocess.run([sys.executable, "-c", KILLED.format(root=ROOT, jobs=jobs)], check=True, timeout=120)
    return jobs


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_killed_fit_goes_on_bit_for_bit(solver, killed):
    jobs = [job for job in killed if job[0] == solver]
    for _, kind, path, sweep, n_jobs, more in jobs:
        design, y, weights = data(kind)
        seen = []
        resumed = regressor(solver, path, n_jobs, callbacks=[lambda p, seen=seen: seen.append(p.sweep)], **more)
        resumed.fit(design, y, weights)
        assert seen == list(range(sweep, MAX_ITER + 1))
        whole = regressor(solver, None, 3 - n_jobs, callbacks=[lambda p: None], **more).fit(design, y, weights)
        for a, b in zip(told(whole, design), told(resumed, design), strict=True):
            np.testing.assert_array_equal(a, b)
        assert [row["sweep"] for row in resumed.history_] == list(range(1, MAX_ITER + 1))
        seconds = [row["seconds"] for row in resumed.history_]
        assert seconds == sorted(seconds)
        assert not Path(path).exists()


class Ended(Exception):
    pass


def ended(path, *, at=5, solver="mcmc", kind="pair", **more):
    """Leave a checkpoint behind: that of the sweep before the one that an error in a callback ends."""

    def end(progress):
        if progress.sweep == at:
            raise Ended

    design, y, weights = data(kind)
    model = regressor(solver, path, callbacks=[end], **more)
    with pytest.raises(Ended):
        model.fit(design, y, weights)
    assert path.exists()
    return model.set_params(callbacks=None), design, y, weights


@pytest.mark.parametrize("state", [None, "instance"])
def test_what_was_drawn_without_a_seed_is_drawn_again(state, tmp_path):
    path = tmp_path / "fit.fmkit"
    state = np.random.RandomState(5) if state else None
    drawn = []
    model, design, y, _ = ended(path, random_state=state, early_stopping=True, patience=50)
    before = load_file(path)["linear"].copy()
    other = clone(model).set_params(random_state=None, checkpoint=None).fit(design, y)
    resumed = clone(model).set_params(callbacks=[lambda p: drawn.append(p.sweep)]).fit(design, y)
    assert drawn[0] == 5
    assert resumed.n_iter_ == 12
    assert np.isfinite(before).all()
    assert (other.predict(design) != resumed.predict(design)).any()


def test_the_file_is_written_every_so_many_sweeps_or_minutes(tmp_path):
    path = tmp_path / "fit.fmkit"
    found = []
    design, y, _ = data("pair")
    look = [lambda progress: found.append((progress.sweep, path.exists()))]
    model = regressor("mcmc", path, checkpoint_sweeps=4, callbacks=look).fit(design, y)
    assert next(sweep for sweep, there in found if there) == 5
    assert not path.exists()
    found.clear()
    model.set_params(checkpoint_sweeps=None).fit(design, y)
    assert not any(there for _, there in found)
    found.clear()
    model.set_params(checkpoint_minutes=0).fit(design, y)
    assert next(sweep for sweep, there in found if there) == 2


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"max_iter": 20}, "the checkpoint is of another fit (max_iter=12 there, 20 here): delete it, or name another"),
        ({"n_factors": 2, "random_state": 4}, "(n_factors=3 there, 2 here; random_state=3 there, 4 here)"),
        ({"solver": "vb"}, "(solver='mcmc' there, 'vb' here)"),
    ],
)
def test_the_file_of_another_fit_is_refused(changes, sentence, tmp_path):
    path = tmp_path / "fit.fmkit"
    model, design, y, _ = ended(path)
    with pytest.raises(InputError) as error:
        clone(model).set_params(**changes).fit(design, y)
    assert sentence in str(error.value)
    assert path.exists()


def test_the_file_of_other_data_is_refused(tmp_path):
    path = tmp_path / "fit.fmkit"
    model, design, y, _ = ended(path)
    nearly = y.copy()
    nearly[7] += 1e-3
    with pytest.raises(InputError, match=r"fit.fmkit: the checkpoint is of another fit \(other data\)"):
        model.fit(design, nearly)
    with pytest.raises(InputError, match="other data"):
        model.fit(design, y, np.linspace(1, 2, len(y)))
    with pytest.raises(InputError, match="other data"):
        model.fit(data("three")[0], y)
    started = clone(model).set_params(checkpoint=None, warm_start=True).fit(design, y)
    with pytest.raises(InputError, match="another machine to start from"):
        started.set_params(checkpoint=path).fit(design, y)
    model.fit(design, y)
    assert not path.exists()


def test_what_is_no_checkpoint_is_told(tmp_path):
    path = tmp_path / "fit.fmkit"
    model, design, y, _ = ended(path)
    content = path.read_bytes()
    for part in (b"", content[:5], content[: len(content) // 2], content[:-1], b"no checkpoint at all"):
        path.write_bytes(part)
        with pytest.raises(InputError, match="this is no checkpoint, or a damaged one: delete it, or name"):
            model.fit(design, y)
        assert path.read_bytes() == part
    save_file({"a": np.ones(3)}, path)
    with pytest.raises(InputError, match="this is no checkpoint"):
        model.fit(design, y)
    save(FMRegressor(1, random_state=0).fit(np.eye(3), [1, 2, 3]), path)
    with pytest.raises(InputError, match="the file holds a 'FMRegressor', no checkpoint: name another file"):
        model.fit(design, y)
    path.write_bytes(content)
    with pytest.raises(InputError, match="the file holds a 'checkpoint'"):
        load(path)
    path.write_bytes(content.replace(b'\\"format\\": 1', b'\\"format\\": 9'))
    with pytest.raises(InputError, match="the checkpoint has format 9"):
        model.fit(design, y)
    path.write_bytes(content.replace(b"noise_mean", b"noise_meal"))
    with pytest.raises(InputError, match="the checkpoint is damaged: noise_mean is missing; delete it to begin anew"):
        model.fit(design, y)
    path.write_bytes(content.replace(b"level means.0", b"level means.7"))
    with pytest.raises(InputError, match=r"the checkpoint is damaged: level means.0 is missing"):
        model.fit(design, y)


def test_where_no_file_can_be_is_told_before_the_fit(tmp_path):
    design, y, _ = data("pair")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        regressor("als", tmp_path / "nowhere" / "fit.fmkit").fit(design, y)
    with pytest.raises(IsADirectoryError):
        regressor("als", tmp_path).fit(design, y)
    with pytest.raises(ValueError, match="written by 'als', 'mcmc' and 'vb': for solver='sgd' set checkpoint=None"):
        regressor("als", tmp_path / "fit.fmkit").set_params(solver="sgd").fit(design, y)
    with pytest.raises(ValueError, match="classes are written by 'mcmc' and 'vb'"):
        FMClassifier(2, checkpoint=tmp_path / "fit.fmkit").fit(design, y > 0)


def test_a_checkpoint_that_cannot_be_written_ends_no_fit(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()

    def remove(progress):
        if progress.sweep == 3:
            (folder / "fit.fmkit").unlink()
            folder.rmdir()

    design, y, _ = data("pair")
    model = regressor("als", folder / "fit.fmkit", callbacks=[remove])
    with pytest.warns(CheckpointFailed, match="no checkpoint was written: .*there is no folder.*; the fit goes on"):
        model.fit(design, y)
    assert model.n_iter_ == 12


def test_a_path_does_not_go_into_model_files(tmp_path):
    design, y, _ = data("pair")
    model = regressor("als", None).set_params(checkpoint=tmp_path / "fit.fmkit").fit(design, y)
    save(model, tmp_path / "model.fmkit")
    assert load(tmp_path / "model.fmkit").checkpoint is None


def test_digests_tell_what_differs():
    design, y, _ = data("blocks")
    blocks = find_blocks(design)
    names = {digest(d, a) for d in (design, blocks, data("three")[0]) for a in (y, y.astype(np.float32), y[:-1], None)}
    assert len(names) == 12
    assert digest(design, y) == digest(data("blocks")[0], y.copy())


@pytest.mark.usefixtures("ctrl_c_works")
@pytest.mark.parametrize(
    ("at", "kept"),
    [(9, "the average of 5 draws is kept"), (3, "the burn-in of 4 sweeps was not over: only the present draw is kept")],
)
def test_ctrl_c_keeps_the_average_and_the_checkpoint(at, kept, tmp_path):
    def press(progress):
        if progress.sweep == at:
            signal.raise_signal(signal.SIGINT)

    path = tmp_path / "fit.fmkit"
    design, y, _ = data("pair")
    model = regressor("mcmc", path, callbacks=[press])
    with pytest.warns(FitInterrupted, match=f"interrupted in sweep {at + 1} of 12; {kept}"):
        model.fit(design, y)
    shorter = regressor("mcmc", None, callbacks=[lambda progress: progress.sweep == at]).fit(design, y)
    for a, b in zip(told(model, design)[:3], told(shorter, design)[:3], strict=True):
        np.testing.assert_array_equal(a, b)
    assert path.exists()
    model.set_params(callbacks=None).fit(design, y)
    whole = regressor("mcmc", None).fit(design, y)
    np.testing.assert_array_equal(model.predict(design), whole.predict(design))


INTERRUPTED = """
import sys, warnings
sys.path.insert(0, {root!r})
import numpy as np
from tests.test_checkpoint import data, regressor

warnings.simplefilter("always")
design, y, weights = data("three", 40_000)
def tell(progress):
    if progress.sweep == {after}:
        print("now", flush=True)
model = regressor("mcmc", None, 2, max_iter=100_000, callbacks=[tell])
model.fit(design, y, weights)
mean, std = model.predict(design, return_std=True)
assert np.isfinite(std).all() and model.n_iter_ >= {after}
print(model.n_iter_, np.corrcoef(mean, y)[0, 1] > 0.5)
"""


@pytest.mark.usefixtures("ctrl_c_works")
@pytest.mark.parametrize(
    ("after", "kept"), [(2, "burn-in of 4 sweeps|average|single"), (40, r"the average of \d+ draws is kept")]
)
def test_ctrl_c_as_a_terminal_sends_it(after, kept):
    """At any moment of a sweep."""
    code = INTERRUPTED.format(root=ROOT, after=after)
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as run:
        assert run.stdout.readline() == "now\n"
        run.send_signal(signal.SIGINT)
        out, err = run.communicate(timeout=60)
    assert run.returncode == 0, err
    assert out.endswith("True\n") or after == 2
    assert "FitInterrupted: the fit was interrupted in sweep" in err
    assert re.search(kept, err)


@pytest.mark.parametrize("solver", ["mcmc", "vb"])
def test_callbacks_see_both_losses_and_patience_ends_the_fit(solver):
    design, y, _ = data("pair")
    y = 1000 + 300 * y
    seen = []
    see = [lambda p: seen.append((p.sweep, p.train_loss, p.validation_loss, p.machine.predict(design)))]
    model = FMRegressor(
        4, solver=solver, max_iter=400, burn_in=30, early_stopping=True, patience=8, random_state=0, callbacks=see
    ).fit(design, y)
    assert (30 if solver == "mcmc" else 0) + 8 < model.n_iter_ < 400
    assert [row["validation_loss"] for row in model.history_] == [loss for _, _, loss, _ in seen]
    # In the user's units: the mean squared errors of what the callbacks were shown.
    aside = np.zeros(len(y), bool)
    rng = np.random.default_rng(np.random.RandomState(0).randint(2**31))
    aside[rng.permutation(len(y))[: len(y) // 10]] = True
    for _, train, validation, prediction in seen[-3:]:
        assert validation == pytest.approx(np.mean((y - prediction)[aside] ** 2), rel=1e-3)
        assert train == pytest.approx(np.mean((y - prediction)[~aside] ** 2), rel=0.4)
    last = seen[-1][3]  # the posterior is that of all sweeps done
    assert np.corrcoef(model.predict(design), last)[0, 1] > 0.99
