"""A process that works for the server: reads tasks from its input, writes answers to its output.

``python -m lib.inference.worker compute …`` holds the networks; ``… desk`` reads, lists, packs and
draws without them, while the other one computes. It ends when its input ends, that is with the
server, however that ends.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import queue
import sys
import threading
from typing import Any, TextIO

from lib.inference.messages import Cancelled, Values, Work, problem_of
from lib.problems import Problem

logger = logging.getLogger("counterpart.server")

_NICENESS = 5  # so that the server answers at once while this process uses every core


class Wire:
    """The two ends of the line to the server.

    Args:
        output: For answers.
    """

    def __init__(self, output: TextIO) -> None:
        self._output = output
        self._lock = threading.Lock()
        self._cancelled: set[int] = set()
        self.tasks: queue.Queue[Values] = queue.Queue()

    def say(self, values: Values) -> None:
        """Write one line."""
        with self._lock:
            self._output.write(json.dumps(values) + "\n")
            self._output.flush()

    def listen(self) -> None:
        """Take in tasks and cancellations until the server is gone; a thread."""
        for line in sys.stdin:
            values = json.loads(line)
            if "cancel" in values:
                self._cancelled.add(int(values["cancel"]))
            else:
                self.tasks.put(values)
        os._exit(0)  # nobody is left to compute for

    def wanted(self, number: int) -> None:
        """Go on, unless a task was cancelled.

        Raises:
            Cancelled: It was.
        """
        if number in self._cancelled:
            raise Cancelled

    def do(self, task: Values, works: dict[str, Work]) -> None:
        """Do a task and say how it went."""
        number = int(task["id"])

        def tell(words: str, fraction: float) -> None:
            self.wanted(number)
            self.say({"id": number, "words": words, "fraction": round(fraction, 4)})

        try:
            self.wanted(number)
            self.say({"id": number, "done": works[task["kind"]](task["arguments"], tell)})
        except Cancelled:
            self.say({"id": number, "cancelled": True})
        except Exception as error:
            self.say({"id": number, "failed": _failure(error, task["arguments"])})


def _failure(error: Exception, arguments: Values) -> dict[str, Any]:
    try:
        problem = error if isinstance(error, Problem) else problem_of(error, arguments.get("scan"))
    except Exception:
        logger.exception("a task failed by a defect")
        hint = "Tell the administrator; the server's log has the details."
        problem = Problem(500, "The server has a defect.", hint)
    return {"status": problem.status, "error": problem.error, "hint": problem.hint}


def main() -> None:
    """Work until the server is gone."""
    parser = argparse.ArgumentParser()
    parser.add_argument("role", choices=("compute", "desk"))
    parser.add_argument("--model", default="")
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    # What libraries print goes to the log; the line to the server is ours alone.
    output = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    os.nice(_NICENESS)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    wire = Wire(output)
    threading.Thread(target=wire.listen, daemon=True).start()
    if options.role == "compute":
        from lib.inference.computing import Computer

        computer = Computer(options.model, options.device)
        computer.warm_up(lambda words, share: _unless_asked(wire))
        works: dict[str, Work] = {"generate": computer.generate}
    else:
        from lib.inference.desk import WORKS

        works = WORKS
    wire.say({"ready": True})
    while True:
        wire.do(wire.tasks.get(), works)


def _unless_asked(wire: Wire) -> None:
    """Leave the warm-up as soon as somebody waits."""
    if not wire.tasks.empty():
        raise Cancelled


if __name__ == "__main__":
    main()
