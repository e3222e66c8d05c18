"""How much memory a process and all that it started have at most."""

from __future__ import annotations

import threading
from types import TracebackType

import psutil

_PAUSE_S = 0.1


def tree_mib(pid: int) -> float | None:
    """Memory of a process tree, MiB; shared pages count once where the system can tell.

    On Linux it is the proportional set size (PSS): a page that several processes share counts by
    a share in each. Elsewhere it is the resident size, in which it counts in each. None once the
    process has ended.
    """
    try:
        root = psutil.Process(pid)
        processes = [root, *root.children(recursive=True)]
    except psutil.Error:
        return None
    total = 0
    for process in processes:
        try:
            facts = process.memory_full_info()
        except psutil.Error:  # which has just ended
            continue
        total += getattr(facts, "pss", facts.rss)
    return total / 2.0**20


class PeakMemory:
    """Watches a process tree while a context lasts.

    Args:
        pid: Of the process at its root.
    """

    def __init__(self, pid: int) -> None:
        self.mib = 0.0
        self._pid = pid
        self._stop = threading.Event()
        self._watch = threading.Thread(target=self._watch_it, name="peak-memory", daemon=True)

    def __enter__(self) -> PeakMemory:
        self._watch.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._watch.join()
        self._look()

    def _watch_it(self) -> None:
        while not self._stop.wait(_PAUSE_S):
            self._look()

    def _look(self) -> None:
        self.mib = max(self.mib, tree_mib(self._pid) or 0.0)
