"""A Spark session that the rest of this package can work with: found, checked, or started on this machine."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

import pyarrow as pa

from fmkit import __version__
from fmkit.errors import InputError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.types import StructType

OLDEST = (4, 0)
TRIES = 4  # of a task that fails, as on a cluster: by itself, the local mode has one
NO_JAVA = (
    "Spark needs Java 17 or newer, and {}: install one (Debian, Ubuntu: apt install openjdk-17-jre-headless), "
    "or set JAVA_HOME to it"
)
MEND = (
    "set the environment variable PYSPARK_PYTHON={} before the session starts, or take fmkit.spark.local_session(); "
    "on a cluster, set it to a Python that stands at the same place of every machine, with fmkit[spark] in it"
)


def local_session(n_cores: int | None = None, memory: str = "4g", **conf: Any) -> SparkSession:
    """A session on this machine, whose workers have the Python that asks for it.

    Parameters
    ----------
    n_cores : int, optional
        Tasks at once; None for every core.
    memory : str, default="4g"
        Of the Java process, which holds the data; `spark.driver.memory`.
    **conf
        Further settings of Spark, with underscores for the dots of their names.

    Returns
    -------
    SparkSession
        That which runs already, if one does.

    Raises
    ------
    InputError
        If there is no Java that can be used, or too old a pyspark.

    Examples
    --------
    >>> from fmkit.spark import local_session
    >>> spark = local_session(2, "1g", spark_ui_showConsoleProgress="false")
    >>> spark.range(3).count()
    3
    """
    check_pyspark()
    from pyspark.sql import SparkSession

    own = {
        "spark.driver.memory": memory,
        "spark.ui.enabled": "false",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
    }
    own |= {name.replace("_", "."): str(value) for name, value in conf.items()}
    builder = SparkSession.builder.master(f"local[{n_cores or '*'}, {TRIES}]").appName("fmkit")
    for name, value in own.items():
        builder = builder.config(name, value)
    if "JAVA_HOME" not in os.environ and shutil.which("java") is None:
        raise InputError(NO_JAVA.format("none is found here"))
    # A context takes the workers' Python from the environment alone, when it starts.
    before = os.environ.get("PYSPARK_PYTHON")
    os.environ["PYSPARK_PYTHON"] = sys.executable
    try:
        return builder.getOrCreate()
    except Exception as error:  # pyspark has an error of its own for a gateway that died
        if "JAVA_GATEWAY_EXITED" not in str(error) and "UnsupportedClassVersion" not in str(error):
            raise
        java = os.environ.get("JAVA_HOME") or shutil.which("java")
        raise InputError(NO_JAVA.format(f"that of {java} does not start, or is older")) from None
    finally:
        if before is None:
            del os.environ["PYSPARK_PYTHON"]
        else:
            os.environ["PYSPARK_PYTHON"] = before


def check_pyspark() -> None:
    """Refuse a pyspark that lacks what is needed, Arrow tables in and out."""
    try:
        import pyspark
    except ImportError:
        raise InputError("fmkit.spark needs pyspark 4 or newer: pip install 'fmkit[spark]'") from None
    version = tuple(int(part) for part in re.findall(r"\d+", pyspark.__version__)[:2])
    if version < OLDEST:
        raise InputError(
            f"fmkit.spark needs pyspark 4 or newer, this is {pyspark.__version__}: pip install -U 'fmkit[spark]'"
        )


_checked: WeakSet[Any] = WeakSet()  # sessions


def check_workers(spark: SparkSession) -> None:
    """Ask a worker for its Python and its fmkit, once a session: what goes wrong there ends in pages of Java.

    Raises
    ------
    InputError
        If they are not as here.
    """
    check_pyspark()
    if spark in _checked:
        return
    with told_plainly():
        asked = spark.range(0, 1, 1, 1).mapInArrow(_tell, "python string, minor string, fmkit string").toArrow()
    (found,) = asked.to_pylist()
    here = "{}.{}".format(*sys.version_info[:2])
    if found["minor"] != here:
        raise InputError(
            f"Spark's workers run Python {found['minor']} ({found['python']}), this is {here}: "
            + MEND.format(sys.executable)
        )
    if found["fmkit"] != __version__:
        raise InputError(
            f"Spark's workers have fmkit {found['fmkit']} ({found['python']}), this is {__version__}: install the same"
        )
    _checked.add(spark)


def _tell(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for _ in batches:
        minor = "{}.{}".format(*sys.version_info[:2])
        yield pa.RecordBatch.from_pydict({"python": [sys.executable], "minor": [minor], "fmkit": [__version__]})


@contextmanager
def told_plainly() -> Iterator[None]:
    """Turn what Spark says of a worker without our Python, or of an InputError there, into a sentence."""
    try:
        yield
    except Exception as error:  # of Spark's classic mode or of Connect, each with classes of its own
        text = str(error)
        if lost := re.search(r"ModuleNotFoundError: No module named '([\w.]+)'", text):
            raise InputError(
                f"the Python of Spark's workers has no {lost[1]}: " + MEND.format(sys.executable)
            ) from error
        if "PYTHON_VERSION_MISMATCH" in text or "WORKER_PYTHON_NOT_FOUND" in text or "Cannot run program" in text:
            raise InputError("Spark's workers run another Python than this: " + MEND.format(sys.executable)) from error
        if said := re.search(r"fmkit\.errors\.InputError: (.*)", text):
            raise InputError(said[1]) from error
        raise


def in_arrow(frame: DataFrame, work: Any, schema: StructType | str, *arguments: Any) -> DataFrame:
    """`frame.mapInArrow` of a function of this package, which takes the batches and `arguments`."""
    return frame.mapInArrow(partial(_call, work, arguments), schema)


def _call(work: Any, arguments: tuple[Any, ...], batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    return iter(work(batches, *arguments))


def threads_of_task() -> int:
    """Threads that a task may have: as many as Spark has set cores apart for it."""
    from pyspark import TaskContext

    context = TaskContext.get()
    return 1 if context is None else max(1, int(context.cpus()))
