"""What a stage trains on: the device, how many processes on how many machines, the precision."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from counterpart.errors import CounterpartError

DEVICES = ("auto", "cpu", "gpu")
PRECISIONS = ("auto", "float32", "bfloat16")


@dataclass(frozen=True)
class Machines:
    """What a stage trains on; one process per device.

    Args:
        device: One of `DEVICES`; ``auto`` is a GPU where there is one.
        devices: Devices, and processes, per machine: a number, or ``auto`` for all.
        nodes: Number of machines.
        strategy: How processes share the work, by Lightning's name: ``auto``, ``ddp``, …
        precision: One of `PRECISIONS`; ``auto`` is bfloat16 where the device has it natively.
    """

    device: str = "auto"
    devices: int | str = 1
    nodes: int = 1
    strategy: str = "auto"
    precision: str = "auto"

    def __post_init__(self) -> None:
        if self.device not in DEVICES:
            raise CounterpartError(f"expected a device of {DEVICES}, got {self.device!r}.")
        if self.precision not in PRECISIONS:
            raise CounterpartError(f"expected a precision of {PRECISIONS}, got {self.precision!r}.")
        if self.devices != "auto" and not (str(self.devices).isdecimal() and int(self.devices)):
            raise CounterpartError(f"expected 1 or more devices, or auto, got {self.devices!r}.")
        if self.nodes < 1:
            raise CounterpartError(f"expected 1 or more nodes, got {self.nodes}.")

    def trainer_options(self) -> dict[str, Any]:
        """These choices as Lightning's trainer takes them."""
        return {
            "accelerator": self.device,
            "devices": self.devices if self.devices == "auto" else int(self.devices),
            "num_nodes": self.nodes,
            "strategy": self.strategy,
            "precision": "bf16-mixed" if self.chosen_precision() == "bfloat16" else "32-true",
        }

    def chosen_precision(self) -> str:
        """The precision, where ``auto`` stands for what suits this machine: one of the others."""
        if self.precision != "auto":
            return self.precision
        return "bfloat16" if _has_native_bfloat16(self.on_gpu()) else "float32"

    def on_gpu(self) -> bool:
        """Whether the work is done on a GPU."""
        return self.device != "cpu" and torch.cuda.is_available()


ONE_DEVICE = Machines()


def require_all_processes(world_size: int, environment: Mapping[str, str] | None = None) -> None:
    """Refuse to train several times over, each process on its own, in one folder.

    Args:
        world_size: Number of processes that train together.
        environment: Variables of torchrun or SLURM; this process' own if None.

    Raises:
        CounterpartError: torchrun or srun started another number of processes.
    """
    given = os.environ if environment is None else environment
    for name in ("WORLD_SIZE", "SLURM_STEP_NUM_TASKS"):
        started = int(given.get(name, world_size))
        if started != world_size:
            raise CounterpartError(
                f"{started} processes were started ({name}), but --devices times --nodes is "
                f"{world_size}. Give both as they are: one process per device."
            )


def _has_native_bfloat16(on_gpu: bool) -> bool:
    if on_gpu:
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    # torch has no public name for this in all the versions that we take.
    return bool(torch.cpu._is_avx512_bf16_supported())
