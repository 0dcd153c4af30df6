"""A table of mixed columns that ships with fmkit."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyarrow import parquet
from sklearn.utils import Bunch

HERE = Path(__file__).parent


def load_adult(*, return_X_y: bool = False, as_frame: bool = False) -> Bunch | tuple[Any, NDArray[np.object_]]:
    """Load Adult: 30,162 people of a census of 1994, with 14 numbers and categories, and who earned more than 50K.

    The training part of the set at UCI, of Barry Becker and Ronny Kohavi, without people with unknown values; its
    licence is CC BY 4.0.

    Parameters
    ----------
    return_X_y : bool, default=False
        Return `(data, target)` alone.
    as_frame : bool, default=False
        Give pandas objects instead of a pyarrow.Table and an array; pandas must be installed.

    Returns
    -------
    bunch : sklearn.utils.Bunch
        `data` : pyarrow.Table of 30,162 rows and 14 columns, integers and text; `target` : object ndarray of shape
        (30162,), "<=50K" or ">50K"; `feature_names`, `target_names`; `filename`; `DESCR`; with `as_frame`, `frame` :
        all columns.

    Examples
    --------
    >>> from fmkit.datasets import load_adult
    >>> X, y = load_adult(return_X_y=True)
    >>> X.shape, int((y == ">50K").sum())
    ((30162, 14), 7508)
    """
    path = HERE / "adult" / "adult.parquet"
    table = parquet.read_table(path)
    data: Any = table.drop_columns(["income"])
    target: Any = table["income"].to_numpy()
    arranged: dict[str, Any] = {"feature_names": data.column_names, "target_names": ["income"]}
    if as_frame:
        frame = table.to_pandas()
        data, target = frame.drop(columns="income"), frame["income"]
        arranged["frame"] = frame
    if return_X_y:
        return data, target
    descr = (path.parent / "README.md").read_text(encoding="utf-8")
    return Bunch(data=data, target=target, **arranged, filename=str(path), DESCR=descr)
