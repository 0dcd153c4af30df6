"""A fit on the cluster, from rows to a pipeline of fmkit's that needs no Spark any more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline, make_pipeline

from fmkit.checkpoint import Checkpoint, digest
from fmkit.errors import InputError
from fmkit.estimators import FMRegressor
from fmkit.fitting import run_fit
from fmkit.machine import FactorizationMachine
from fmkit.solvers.knowledge import Evidence
from fmkit.solvers.penalties import Penalties
from fmkit.spark.levels import Levels, find_levels
from fmkit.spark.ratings import cut_into_blocks
from fmkit.spark.session import check_workers, told_plainly
from fmkit.spark.sweeps import ClusterAls, penalties_of
from fmkit.tables import TableEncoder

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


@dataclass(frozen=True)
class Settings:
    """Parameters of a fit, as of FMRegressor.

    Parameters
    ----------
    n_factors, max_iter : int
    reg_linear, reg_factors, init_scale : float
    random_state : int
    """

    n_factors: int
    max_iter: int
    reg_linear: float
    reg_factors: float
    init_scale: float
    random_state: int


def fit(
    frame: DataFrame,
    ids: Sequence[str],
    target: str,
    weight: str | None,
    settings: Settings,
    *,
    checkpoint: str | None,
    checkpoint_sweeps: int | None,
    n_blocks: int | None,
    verbose: bool,
) -> Pipeline:
    """Fit a machine to the rows of a DataFrame; parameters as of `fmkit.spark.SparkFM`.

    Returns
    -------
    sklearn.pipeline.Pipeline
        A fitted TableEncoder, which knows the ids, and an FMRegressor.
    """
    check_columns(frame, ids, target, weight)
    check_workers(frame.sparkSession)
    kept = None if checkpoint is None else Checkpoint(checkpoint, checkpoint_sweeps)
    rows = frame.select(*[frame[quoted(name)] for name in (*ids, target, *([] if weight is None else [weight]))])
    levels = find_levels(rows, ids, target, weight)
    model = FMRegressor(**asdict(settings))
    model._validate_params()
    start = start_of(model, levels)
    if kept is not None:
        told = {**asdict(settings), "ids": list(ids), "target": target, "weight": weight}
        kept.identify(told, digest_of(rows, levels), "")
    penalties = penalties_of(levels.counts, levels.weight, levels.spread, settings.reg_linear, settings.reg_factors)
    blocks = cut_into_blocks(rows, levels, levels.mean, weight is not None, n_blocks)
    try:
        solver = ClusterAls(blocks, levels.sizes, start, penalties, levels.weight)
        record = run_fit(iter(solver), start, settings.max_iter, checkpoint=kept, solver=solver, verbose=verbose)
    finally:
        for block in blocks:
            block.unpersist()
    if kept is not None and not record.interrupted:
        kept.remove()
    machine = FactorizationMachine(record.machine.bias + levels.mean, record.machine.linear, record.machine.factors)
    model.machine_, model.history_, model.n_iter_ = machine, record.history, len(record.history)
    linear, factors = (np.repeat(np.array(of_fields, np.float32), levels.sizes) for of_fields in penalties)
    model.penalties_, model.posterior_, model.trace_ = Penalties(linear, factors), None, []
    model.evidence_, model.reg_factors_ = evidence_of(levels, machine), model.reg_factors
    model.planned_ = settings.max_iter
    model.learning_rate_, model.n_features_in_ = model.learning_rate, machine.n_features
    return make_pipeline(TableEncoder.of_levels(dict(zip(ids, levels.ids, strict=True))), model)


def quoted(name: str) -> str:
    """A column's name as Spark reads it whatever is in it."""
    return "`" + name.replace("`", "``") + "`"


def check_columns(frame: DataFrame, ids: Sequence[str], target: str, weight: str | None) -> None:
    """Refuse a frame without these columns, or with some that are of no use."""
    from pyspark.sql.types import AtomicType, NumericType

    if len(ids) < 2 or len({*ids}) < len(ids):
        raise InputError(f"ids must name two columns or more, each once; got {list(ids)}")
    kinds = {field.name: field.dataType for field in frame.schema.fields}
    for name in (*ids, target, *([] if weight is None else [weight])):
        if name not in kinds:
            raise InputError(f"there is no column '{name}': the table has {', '.join(kinds)}")
        if name in ids and (not isinstance(kinds[name], AtomicType) or name in (target, weight)):
            raise InputError(f"column '{name}' cannot hold ids: it is of {kinds[name].simpleString()}, or the target")
        if name not in ids and not isinstance(kinds[name], NumericType):
            raise InputError(f"column '{name}' is of {kinds[name].simpleString()}: numbers are needed, cast it first")


def start_of(model: FMRegressor, levels: Levels) -> FactorizationMachine:
    """The machine that FMRegressor starts from, given a design of these ids' codes."""
    rng, n = model._generator(), sum(levels.sizes)
    factors = rng.standard_normal((n, model.n_factors), dtype=np.float32)
    assert model.init_scale is not None
    factors *= np.float32(model.init_scale * np.sqrt(levels.spread))
    return FactorizationMachine(0.0, np.zeros(n, np.float32), factors)


def digest_of(rows: DataFrame, levels: Levels) -> str:
    """A name of the rows, the same in whatever order they come."""
    from pyspark.sql import functions as F

    columns = [F.col(quoted(name)) for name in rows.columns]
    with told_plainly():
        mixed = rows.agg(F.bit_xor(F.xxhash64(*columns)).alias("mixed")).toArrow()
    return digest(int(mixed["mixed"][0].as_py() or 0), *levels.counts)


def evidence_of(levels: Levels, machine: FactorizationMachine) -> Evidence:
    """What later rows need to know of these, fields being taken for independent of each other."""
    k, starts = machine.n_factors, np.cumsum([0, *levels.sizes])
    means, squares = np.zeros((len(levels.sizes), k)), np.zeros((len(levels.sizes), k))
    for field, counts in enumerate(levels.counts):
        share = counts / counts.sum()
        own = machine.factors[starts[field] : starts[field + 1]].astype(np.float64)
        means[field], squares[field] = share @ own, share @ np.square(own)
    variance = squares - np.square(means)
    of_rest = (variance.sum(axis=0) - variance) + np.square(means.sum(axis=0) - means)
    groups: NDArray[np.int32] = np.repeat(np.arange(len(levels.sizes), dtype=np.int32), levels.sizes)
    of_columns = np.concatenate(levels.counts).astype(np.float32)
    return Evidence(of_columns, groups, of_rest.astype(np.float32), np.zeros(len(groups)))
