"""Says in words what machine a figure was measured on, and how much memory it took."""

from __future__ import annotations

import os
import platform
import re
from dataclasses import dataclass
from pathlib import Path

from counterpart import __version__

_CPU_INFO = Path("/proc/cpuinfo")
_STATUS = Path("/proc/self/status")
_FEATURES = {
    "avx2": "AVX2",
    "avx512f": "AVX-512",
    "avx512_bf16": "AVX-512 bfloat16",
    "amx_bf16": "AMX bfloat16",
    "asimd": "NEON",
    "bf16": "bfloat16",
    "sve": "SVE",
}


@dataclass(frozen=True)
class Machine:
    """What a figure was measured on.

    Args:
        processor: Model of the CPU.
        features: What it can multiply with, in words.
        cores: That this process may use.
        memory_gib: Of the machine; None where it is not known.
        system: Operating system.
        python: Version.
        counterpart: Version.
        torch: Version; None where the work did not need it.
        threads: Of torch.
        accelerator: Name and memory of the GPU that did the work.
        load: Tasks that were at work or waiting, mean over the minute before; a figure that was
            taken while others were at work is too large.
    """

    processor: str
    features: tuple[str, ...]
    cores: int
    memory_gib: float | None
    system: str
    python: str
    counterpart: str
    torch: str | None = None
    threads: int | None = None
    accelerator: str | None = None
    load: float | None = None

    def words(self) -> str:
        """All of it as one line."""
        features = f" ({', '.join(self.features)})" if self.features else ""
        parts = [
            *([self.accelerator] if self.accelerator else []),
            f"{self.processor}{features}, {_counted(self.cores, 'core')} for this process",
            *([f"{self.memory_gib:.1f} GiB of memory"] if self.memory_gib is not None else []),
            self.system,
            f"Python {self.python}",
        ]
        if self.torch is not None:
            parts.append(f"torch {self.torch} with {_counted(self.threads or 1, 'thread')}")
        parts.append(f"Counterpart {self.counterpart}")
        if self.load is not None:
            parts.append(f"load {self.load:.1f} before the start")
        return "; ".join(parts)


def this_machine(device: str | None = None, *, load: float | None = None) -> Machine:
    """The machine that this process runs on.

    Args:
        device: torch device that does the work; None where torch has no part in it.
        load: From `load_average`, as it was before the work.
    """
    info = _CPU_INFO.read_text(errors="replace") if _CPU_INFO.is_file() else ""
    versions: tuple[str | None, int | None, str | None] = (None, None, None)
    if device is not None:
        import torch

        versions = str(torch.__version__), torch.get_num_threads(), _accelerator(device)
    torch_version, threads, accelerator = versions
    return Machine(
        processor=_processor(info),
        features=_features(info),
        cores=_cores(),
        memory_gib=_memory_gib(),
        system=_system(),
        python=platform.python_version(),
        counterpart=__version__,
        torch=torch_version,
        threads=threads,
        accelerator=accelerator,
        load=load,
    )


def load_average() -> float | None:
    """Tasks at work or waiting on this machine, mean over a minute; None where not known."""
    try:
        return os.getloadavg()[0]
    except (AttributeError, OSError):  # Windows
        return None


def peak_memory_mib() -> float | None:
    """The most resident memory that this process ever had, MiB; None where it cannot be known.

    On Linux it is read from the kernel's own account of this program: `getrusage` there counts
    the memory of the process that started it too, as it was when it did.
    """
    if _STATUS.is_file():
        found = re.search(r"^VmHWM:\s*(\d+) kB$", _STATUS.read_text(), re.MULTILINE)
        if found:
            return int(found[1]) / 1024.0
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2.0 ** (20 if platform.system() == "Darwin" else 10)


def peak_gpu_memory_mib(device: str) -> float | None:
    """The most memory that torch's tensors ever had on a GPU, MiB; None on a CPU."""
    import torch

    place = torch.device(device)
    return torch.cuda.max_memory_allocated(place) / 2.0**20 if place.type == "cuda" else None


def _processor(info: str) -> str:
    named = re.search(r"^model name\s*:\s*(.+)$", info, re.MULTILINE)
    if named:
        return " ".join(named[1].split())
    return platform.processor() or platform.machine() or "unknown processor"


def _features(info: str) -> tuple[str, ...]:
    listed = re.search(r"^(?:flags|Features)\s*:\s*(.+)$", info, re.MULTILINE)
    known = set(listed[1].split()) if listed else set()
    return tuple(words for flag, words in _FEATURES.items() if flag in known)


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _memory_gib() -> float | None:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2.0**30
    except (AttributeError, ValueError, OSError):  # not Unix, or a name that it lacks
        return None


def _system() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return f"{platform.system()} {platform.release()}"


def _accelerator(device: str) -> str | None:
    import torch

    place = torch.device(device)
    if place.type != "cuda":
        return None
    facts = torch.cuda.get_device_properties(place)
    return f"{facts.name} with {facts.total_memory / 2.0**30:.0f} GiB"


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"
