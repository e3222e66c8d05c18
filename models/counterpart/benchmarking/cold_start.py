"""A process of its own that times the chain from its very start, as a first click meets it.

``python -m counterpart.benchmarking.cold_start`` prints a line of JSON; `run_cold` starts it.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from counterpart.errors import CounterpartError

_BEGUN = time.time()  # everything heavy is imported later, for that is part of what is timed


@dataclass(frozen=True)
class ColdRun:
    """What a fresh process took.

    Args:
        stages: Seconds of each, in order.
        to_overlay_s: From the start of the process to the maps, on the clock on the wall.
        peak_mib: Most resident memory up to the maps.
        peak_with_report_mib: The same up to the report.
        peak_gpu_mib: Most memory of torch's tensors on the GPU.
    """

    stages: dict[str, float]
    to_overlay_s: float
    peak_mib: float | None
    peak_with_report_mib: float | None
    peak_gpu_mib: float | None


def run_cold(
    scan: Path, folder: Path, *, model: str, brain_model: str, device: str, threads: int | None
) -> ColdRun:
    """Run the chain in a fresh process.

    Args:
        scan: File to read.
        folder: For maps and report.
        model: Name or folder of the bundle.
        brain_model: Name or folder of the brain network's bundle.
        device: torch device.
        threads: Of torch; its own choice if None.

    Raises:
        CounterpartError: The process failed; its own words are passed on.
    """
    program = [sys.executable, "-m", __name__, str(scan), str(folder)]
    program += ["--model", model, "--brain-model", brain_model, "--device", device]
    program += [] if threads is None else ["--threads", str(threads)]
    words = _output_of([*program, "--started", repr(time.time())])
    return ColdRun(**json.loads(words.splitlines()[-1]))


def time_help(times: int) -> list[float]:
    """Seconds that ``counterpart --help`` takes in fresh processes, each."""
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        _output_of([sys.executable, "-m", "counterpart.cli", "--help"])
        taken.append(time.perf_counter() - start)
    return taken


def _output_of(program: Sequence[str]) -> str:
    done = subprocess.run(program, capture_output=True, text=True)
    if done.returncode:
        raise CounterpartError(f"a fresh process failed: {done.stderr.strip()[-2000:]}")
    return done.stdout


def _time_chain(options: argparse.Namespace) -> ColdRun:
    import torch

    import counterpart.commands  # noqa: F401  (all that `counterpart generate` loads)
    from counterpart.benchmarking import chain
    from counterpart.benchmarking.machine import peak_gpu_memory_mib, peak_memory_mib
    from counterpart.benchmarking.timing import StageClock
    from counterpart.brain_extraction import load_brain_model
    from counterpart.bundle import load_model

    imported = time.time()
    clock = StageClock()
    clock.tell(chain.LOADING)
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    model = load_model(options.model, device=options.device)
    brain_model = load_brain_model(options.brain_model, device=options.device)
    result = chain.run_to_overlay(options.scan, model, brain_model, options.folder, clock)
    to_overlay_s = time.time() - options.started
    peak_mib = peak_memory_mib()
    chain.run_afterwards(result, options.folder, clock)
    early = {chain.STARTING: _BEGUN - options.started, chain.IMPORTING: imported - _BEGUN}
    return ColdRun(
        early | clock.seconds,
        to_overlay_s,
        peak_mib,
        peak_memory_mib(),
        peak_gpu_memory_mib(options.device),
    )


def _main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scan", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", required=True)
    parser.add_argument("--brain-model", required=True)
    parser.add_argument("--device", required=True)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--started", type=float, required=True)
    try:
        print(json.dumps(vars(_time_chain(parser.parse_args()))))
    except (CounterpartError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(_main())
