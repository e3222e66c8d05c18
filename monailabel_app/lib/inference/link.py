"""The server's end of a process that computes: starts it, asks it, and starts it again if it ends.

The work is done in processes of their own so that the server answers while they are at it, and
outlives what ends them: no memory, a fault in a compiled library.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lib.inference.messages import Cancelled, Task, Tell, Values
from lib.problems import Problem

logger = logging.getLogger("counterpart.server")

_GRACE_S = 15.0
_POLL_S = 0.2
_LONGEST_S = 1800.0


class ProcessLink:
    """One process that works on one task at a time.

    Args:
        role: ``compute`` or ``desk``; see `lib.inference.worker`.
        app: Folder of the app, from which the process is started.
        log: File for what the process prints.
        options: Further words of its command line.
    """

    def __init__(self, role: str, app: Path, log: Path, options: tuple[str, ...] = ()) -> None:
        self._role = role
        self._app = app
        self._log = log
        self._options = options
        self._turn = threading.Lock()
        self._start_lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._answers: queue.Queue[Values | None] = queue.Queue()
        self._number = 0
        self._ending = False
        self.ready = threading.Event()

    @property
    def pid(self) -> int | None:
        """Of the process, while there is one."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def start(self) -> None:
        """Start the process if there is none; it warms up by itself."""
        with self._start_lock:
            if self._ending or self.pid is not None:
                return
            self.ready.clear()
            self._answers = queue.Queue()
            with self._log.open("ab") as log:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "lib.inference.worker", self._role, *self._options],
                    cwd=self._app,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    text=True,
                    start_new_session=True,  # a Ctrl-C is the server's to answer
                )
            threading.Thread(
                target=self._read,
                args=(self._process, self._answers),
                name=f"{self._role}-answers",
                daemon=True,
            ).start()

    def ask(
        self, task: Task, tell: Tell | None = None, cancelled: Callable[[], bool] | None = None
    ) -> Values:
        """Have a task done, after those that others have asked for.

        Args:
            task: The task.
            tell: Called with what is being done and how much of it is done.
            cancelled: Asked now and then whether the task is no longer wanted.

        Returns:
            The answer's values.

        Raises:
            Problem: The task failed, or the process ended.
            Cancelled: The task was no longer wanted, and the process has stopped.
        """
        with self._turn:
            self.start()
            return self._asked(task, tell or (lambda words, share: None), cancelled)

    def end(self) -> None:
        """End the process for good."""
        self._ending = True
        self._kill()

    def _asked(self, task: Task, tell: Tell, cancelled: Callable[[], bool] | None) -> Values:
        self._number += 1
        number = self._number
        self._send({"id": number, "kind": task.kind, "arguments": task.arguments})
        deadline = time.monotonic() + _LONGEST_S
        stop_by: float | None = None
        while True:
            answer = self._next()
            if answer is not None and answer.get("id") == number:
                if "words" in answer:
                    tell(str(answer["words"]), float(answer["fraction"]))
                elif "cancelled" in answer:
                    raise Cancelled
                elif "failed" in answer:
                    raise Problem(**answer["failed"])
                elif "done" in answer:
                    return dict(answer["done"])
            now = time.monotonic()
            if stop_by is None and cancelled is not None and cancelled():
                self._send({"cancel": number})
                stop_by = now + _GRACE_S
            if stop_by is not None and now > stop_by:
                self._kill()
                raise Cancelled
            if now > deadline:
                self._kill()
                raise Problem(504, "The scan took too long.", "Send a smaller scan.")

    def _next(self) -> Values | None:
        """The next answer; None if there is none yet.

        Raises:
            Problem: The process has ended.
        """
        try:
            answer = self._answers.get(timeout=_POLL_S)
        except queue.Empty:
            return None
        if answer is not None:
            return answer
        raise Problem(
            503,
            "The process that computes has ended.",
            "Ask again; if it happens again, the administrator finds the reason in the server's "
            "log. A machine with too little memory is the usual one.",
        )

    def _send(self, values: Values) -> None:
        try:
            if self._process is not None and self._process.stdin is not None:
                self._process.stdin.write(json.dumps(values) + "\n")
                self._process.stdin.flush()
        except (BrokenPipeError, ValueError):
            logger.warning("the %s process has ended", self._role)  # `_next` says it to who asked

    def _read(self, process: subprocess.Popen[str], answers: queue.Queue[Values | None]) -> None:
        """Hand on what the process says, until it ends; a thread."""
        for line in process.stdout or ():
            try:
                values: Any = json.loads(line)
            except ValueError:
                continue
            if "ready" in values:
                self.ready.set()
            else:
                answers.put(values)
        process.wait()
        with self._start_lock:
            self._process = None if self._process is process else self._process
        answers.put(None)
        if not self._ending:
            logger.error("the %s process ended (%s)", self._role, _ending(process.returncode))
            if self.ready.is_set():  # else it would only fail to start again
                self.start()

    def _kill(self) -> None:
        process = self._process
        if process is not None and process.poll() is None:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                return
            process.wait()


def _ending(code: int | None) -> str:
    if code is None or code >= 0:
        return f"exit code {code}"
    try:
        return f"signal {signal.Signals(-code).name}"
    except ValueError:
        return f"signal {-code}"
