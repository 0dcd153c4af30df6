"""Reading and learning at once: a thread that is some items ahead, and no more."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from queue import Empty, Full, Queue
from threading import Event, Thread
from typing import Any, TypeVar

T = TypeVar("T")

DEPTH = 4  # items ahead: what is read must not fill the memory
PATIENCE = 0.1  # seconds between looks whether anybody still waits


def read_ahead(items: Iterator[T], depth: int = DEPTH) -> Generator[T]:
    """The same items, made by a thread while the last ones are worked on; its errors come out here, in their turn.

    Parameters
    ----------
    items : iterator
        Asked by the thread alone.
    depth : int, default=4
        Items that wait at most.

    Examples
    --------
    >>> list(read_ahead(iter(range(3))))
    [0, 1, 2]
    """
    waiting: Queue[tuple[str, Any]] = Queue(depth)
    left = Event()

    def put(told: tuple[str, Any]) -> None:
        while not left.is_set():
            try:
                waiting.put(told, timeout=PATIENCE)
            except Full:
                continue
            return

    def work() -> None:
        try:
            for item in items:
                put(("item", item))
                if left.is_set():
                    return
            put(("end", None))
        except BaseException as error:
            put(("error", error))

    thread = Thread(target=work, name="fmkit-stream", daemon=True)  # whose reader waits for a socket, say, ends it so
    thread.start()
    try:
        while True:
            try:
                kind, value = waiting.get(timeout=PATIENCE)  # so that Ctrl-C is heard on every system
            except Empty:
                continue
            if kind == "error":
                raise value
            if kind == "end":
                return
            yield value
    finally:
        left.set()
        thread.join(timeout=1)
