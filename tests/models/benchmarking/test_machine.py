"""The machine in words, and the memory that a process took."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from counterpart import __version__
from counterpart.benchmarking import machine
from counterpart.benchmarking.machine import (
    Machine,
    load_average,
    peak_gpu_memory_mib,
    peak_memory_mib,
    this_machine,
)

CPU_INFO = """processor\t: 0
model name\t: Example(R)   CPU @ 2.00GHz
flags\t\t: fpu avx2 avx512f amx_bf16
processor\t: 1
model name\t: Example(R)   CPU @ 2.00GHz
"""


def test_all_that_is_known_is_said_on_one_line() -> None:
    told = Machine(
        "CPU X", ("AVX2",), 2, 7.75, "Linux Y", "3.12.1", "0.1", "2.8", 1, "GPU Z with 8 GiB", 1.25
    ).words()
    assert told == (
        "GPU Z with 8 GiB; CPU X (AVX2), 2 cores for this process; 7.8 GiB of memory; Linux Y; "
        "Python 3.12.1; torch 2.8 with 1 thread; Counterpart 0.1; "
        "load 1.2 before the start"
    )


def test_what_is_not_known_is_left_out() -> None:
    told = Machine("CPU X", (), 1, None, "Y", "3.12", "0.1").words()
    assert told == "CPU X, 1 core for this process; Y; Python 3.12; Counterpart 0.1"


def test_this_machine_names_its_versions() -> None:
    found = this_machine("cpu")
    assert found.python == platform.python_version()
    assert (found.counterpart, found.torch) == (__version__, str(torch.__version__))
    assert found.threads == torch.get_num_threads()
    assert found.accelerator is None
    assert this_machine().torch is None
    if hasattr(os, "sched_getaffinity"):
        assert found.cores == len(os.sched_getaffinity(0))


def test_the_processor_is_that_of_the_kernel_s_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = tmp_path / "cpuinfo"
    listed.write_text(CPU_INFO)
    monkeypatch.setattr(machine, "_CPU_INFO", listed)
    found = this_machine()
    assert found.processor == "Example(R) CPU @ 2.00GHz"
    assert found.features == ("AVX2", "AVX-512", "AMX bfloat16")


def test_without_a_list_the_processor_is_python_s_word_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "_CPU_INFO", tmp_path / "none")
    monkeypatch.setattr(platform, "processor", lambda: "chip")
    assert this_machine().processor == "chip"
    monkeypatch.setattr(platform, "processor", lambda: "")
    monkeypatch.setattr(platform, "machine", lambda: "")
    assert this_machine().processor == "unknown processor"


@pytest.mark.skipif(platform.system() != "Linux", reason="other systems count otherwise")
def test_a_process_is_not_charged_for_the_memory_of_the_one_that_started_it() -> None:
    ours = bytearray(b"x" * (300 << 20))
    program = (
        "from counterpart.benchmarking.machine import peak_memory_mib\n"
        "before = peak_memory_mib()\n"
        "much = bytearray(b'x' * (100 << 20))\n"
        "print(before, peak_memory_mib())\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    before, after = map(float, done.stdout.split())
    assert 1.0 < before < 250.0 < len(ours) / 2**20
    assert after - before > 90.0


def test_without_the_kernel_s_account_the_peak_is_that_of_getrusage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    resource = pytest.importorskip("resource")
    monkeypatch.setattr(machine, "_STATUS", tmp_path / "none")
    unit = 2.0 ** (20 if platform.system() == "Darwin" else 10)
    least = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
    found = peak_memory_mib()
    assert found is not None
    assert least <= found < least + 100.0


def test_the_load_is_known_where_the_system_counts_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getloadavg", lambda: (1.5, 2.0, 3.0), raising=False)
    assert this_machine(load=load_average()).load == 1.5
    monkeypatch.delattr(os, "getloadavg")
    assert load_average() is None


def test_a_cpu_has_no_gpu_memory() -> None:
    assert peak_gpu_memory_mib("cpu") is None
