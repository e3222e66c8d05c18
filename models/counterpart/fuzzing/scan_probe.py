"""Reads scans in a process of their own, so that even a crash or a hang is only an answer.

Run as ``python -m counterpart.scan_probe`` it is that process: a line of JSON in, a line out.
"""

from __future__ import annotations

import json
import os
import resource
import select
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from counterpart.errors import ScanError
from counterpart.formats.scan_checks import MIN_SLICES, SPACING_RANGE_MM
from counterpart.scans import Scan, read_scan

VERDICTS = ("read", "refused", "crashed", "hung", "nonsense")
MEMORY_BYTES = 6 * 2**30
MAX_MESSAGE = 1200
START_S = 120.0


@dataclass(frozen=True)
class Verdict:
    """What became of a scan.

    Args:
        name: One of `VERDICTS`.
        detail: The message or what is wrong; empty for ``read``.
    """

    name: str
    detail: str = ""


class Probe:
    """A process that reads scans; it is started anew after a crash or a hang.

    Args:
        limit_s: Seconds for one scan.
    """

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._process: subprocess.Popen[bytes] | None = None

    def read(self, path: Path, original: Path, rule: str) -> Verdict:
        """Let the process read a scan and judge it.

        Args:
            path: The scan.
            original: The undamaged scan.
            rule: See `counterpart.mutations.Mutant`.
        """
        process = self._running()
        assignment = {"path": str(path), "original": str(original), "rule": rule}
        try:
            answer = self._ask(process, assignment, self._limit_s)
        except BrokenPipeError:
            answer = b""
        if answer is None:
            self.close()
            return Verdict("hung", f"no answer after {self._limit_s:g} s")
        if not answer:
            self.close()
            return Verdict("crashed", f"the process ended with {process.returncode}")
        return Verdict(**json.loads(answer))

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is not None:
            return self._process
        self._process = subprocess.Popen(
            [sys.executable, "-m", "counterpart.fuzzing.scan_probe"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
        )
        self._ask(self._process, {}, START_S)
        return self._process

    @staticmethod
    def _ask(
        process: subprocess.Popen[bytes], assignment: dict[str, str], limit_s: float
    ) -> bytes | None:
        """The answer; empty if the process is gone, none if it does not answer in time."""
        if process.stdin is None or process.stdout is None:
            return b""
        process.stdin.write(json.dumps(assignment).encode() + b"\n")
        ready, _, _ = select.select([process.stdout], [], [], limit_s)
        return process.stdout.readline() if ready else None


def judge(path: Path, original: Path, rule: str) -> Verdict:
    """Read a scan and say whether what came is sound."""
    try:
        scan = read_scan(path)
    except ScanError as error:
        return _judge_message(path, str(error))
    except Exception as error:
        return Verdict("crashed", f"{type(error).__name__}: {str(error)[:300]}")
    if rule == "refused":
        return Verdict("nonsense", "voxels are missing, yet it was read")
    if rule == "same":
        whole = read_scan(original)
        if not (scan.grid.same_as(whole.grid) and np.array_equal(scan.values, whole.values)):
            return Verdict("nonsense", "bytes under a checksum were changed, yet it was read")
    return _judge_scan(scan)


def _judge_message(path: Path, message: str) -> Verdict:
    folder = path if path.is_dir() else path.parent
    sound = message.startswith(str(folder)) and message.endswith(".") and "\n" not in message
    if sound and len(message) <= MAX_MESSAGE:
        return Verdict("refused", message)
    return Verdict("nonsense", f"a message that is no sentence about the file: {message[:300]!r}")


def _judge_scan(scan: Scan) -> Verdict:
    low, high = SPACING_RANGE_MM
    values = scan.values
    sound = {
        "three axes of the grid's sizes": values.shape == scan.grid.shape and values.ndim == 3,
        "float32": values.dtype == np.float32,
        "enough slices": min(values.shape) >= MIN_SLICES,
        "finite values": bool(np.isfinite(values).all()),
        "an image": float(values.min()) < float(values.max()),
        "an affine": bool(np.isfinite(np.linalg.inv(scan.grid.affine)).all()),
        "plausible voxels": all(0.99 * low < step < 1.01 * high for step in scan.grid.spacing),
    }
    broken = [name for name, holds in sound.items() if not holds]
    return (
        Verdict("nonsense", f"read, but without {', '.join(broken)}") if broken else Verdict("read")
    )


def main() -> None:
    """Answer assignments from standard input until it ends.

    What a library prints goes to a file and counts against the scan that made it do so.
    """
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    with tempfile.TemporaryFile() as console:
        os.dup2(console.fileno(), 1)
        os.dup2(console.fileno(), 2)
        for line in sys.stdin:
            assignment = json.loads(line)
            verdict = Verdict("read")
            if assignment:
                paths = (Path(assignment["path"]), Path(assignment["original"]))
                verdict = _with_console(console.fileno(), *paths, assignment["rule"])
            answers.write(json.dumps(asdict(verdict)).encode() + b"\n")


def _with_console(console: int, path: Path, original: Path, rule: str) -> Verdict:
    before = os.fstat(console).st_size
    verdict = judge(path, original, rule)
    sys.stdout.flush()
    sys.stderr.flush()
    if os.fstat(console).st_size == before or verdict.name not in ("read", "refused"):
        return verdict
    printed = os.pread(console, 300, before).decode(errors="replace")
    return Verdict("nonsense", f"a library wrote to the console: {printed!r}")


if __name__ == "__main__":
    main()
