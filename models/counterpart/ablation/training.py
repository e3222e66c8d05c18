"""Trains the rows that have a network, each as long as the others, and remembers which are done.

::

    FOLDER/settings.json          cohort and sizes, of which there is one of each
    FOLDER/encoders/ROW           run of an encoder, and its mark
    FOLDER/rows/ROW/run           run of a row's network
    FOLDER/rows/ROW/trained.json  its mark: what is marked is never trained again
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from counterpart.ablation.autoencoder import Autoencoder, train_autoencoder
from counterpart.ablation.rows import Method, Row, Sizes, folder_name
from counterpart.benchmarking.machine import this_machine
from counterpart.denoiser import Denoiser, DenoiserConfig
from counterpart.encoder import EncoderConfig
from counterpart.errors import CounterpartError
from counterpart.hashing import file_sha256
from counterpart.training.machines import Machines
from counterpart.training.run import checkpoint_step, load_averaged_weights
from counterpart.training.stages import train_denoiser, train_encoder
from counterpart.training.watching import Watch
from counterpart.whole_file import write_whole

MARK = "trained.json"
_SETTINGS = "settings.json"
_LAST = Path("checkpoints") / "last.ckpt"
_QUIET = Watch(bar=False)

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Mark:
    """What is known of a network that has been trained to its end.

    Args:
        steps: Optimiser steps.
        timed_steps: Of the last start; the ones before it were stopped.
        seconds: That these took on the wall's clock.
        processor_seconds: That these took of the processor.
        checkpoint_sha256: Of the last checkpoint.
        machine: In words.
    """

    steps: int
    timed_steps: int
    seconds: float
    processor_seconds: float
    checkpoint_sha256: str
    machine: str


def encoder_folder(folder: Path, row: Row) -> Path:
    """Where the encoder of a row lies; it is named after the row that it was first trained for."""
    return folder / "encoders" / folder_name(str(row.encoder_of))


def row_folder(folder: Path, row: Row) -> Path:
    """Where the network of a row lies; several rows may share one."""
    return folder / "rows" / folder_name(str(row.network_of))


def read_mark(folder: Path) -> Mark | None:
    """The mark in the folder of a row or of an encoder; None while it has not been trained."""
    path = folder / MARK
    return Mark(**json.loads(path.read_text())) if path.is_file() else None


def train_rows(
    cohort: Path, folder: Path, rows: tuple[Row, ...], machines: Machines, tell: Tell
) -> None:
    """Train the networks that have no mark yet; one that was stopped goes on.

    Args:
        cohort: Folder of the cohort; its part *train* is what all rows see.
        folder: Of the ablation.
        rows: In the order in which they are trained.
        machines: Device and precision.
        tell: Called with words before and after each network.

    Raises:
        CohortError: The cohort cannot be used, or is another than that of a run to go on with.
    """
    for row in rows:
        method = row.method
        if method is None or not row.trains or read_mark(row_folder(folder, row)):
            continue
        if method.network.encoder is not None:
            _train_encoder(cohort, encoder_folder(folder, row), row, machines, tell)
        encoder = None if row.encoder_of is None else encoder_folder(folder, row) / "run"
        tell(f"{row.name}: {method.healing.steps} steps")
        train = partial(_train, cohort, method=method, encoder=encoder, machines=machines)
        mark = _timed(row_folder(folder, row), method.healing.steps, machines, train)
        tell(f"{row.name}: done, {mark.seconds / max(mark.timed_steps, 1):.2f} s per step")


def trained_network(folder: Path, row: Row) -> Denoiser:
    """The averaged weights of a row's network, ready to answer.

    Raises:
        CohortError: It has not been trained.
    """
    run = row_folder(folder, row) / "run"
    kind = Autoencoder if row.method is not None and row.method.kind == "autoencoder" else Denoiser
    network = kind(DenoiserConfig.from_json(json.loads((run / _SETTINGS).read_text())["network"]))
    network.load_state_dict(load_averaged_weights(run / _LAST))
    return network.eval().to(memory_format=torch.channels_last)


def settle_sizes(folder: Path, cohort_hash: str, sizes: Sizes) -> None:
    """Bind a folder to a cohort and to sizes.

    Raises:
        CounterpartError: It is bound to others, whose rows could not be compared with these.
    """
    now = {"cohort": cohort_hash, "sizes": json.loads(json.dumps(sizes.to_json()))}
    path = folder / _SETTINGS
    if path.is_file():
        before = json.loads(path.read_text())
        for name, value in now.items():
            if before.get(name) != value:
                raise CounterpartError(
                    f"{folder}: began with {name} {before.get(name)}, but is resumed with {value}. "
                    "Rows of both could not be compared; choose another folder."
                )
        return
    write_json_whole(path, now)


def settled_sizes(folder: Path) -> Sizes | None:
    """The sizes that a folder is bound to; None for a new one."""
    path = folder / _SETTINGS
    if not path.is_file():
        return None
    return Sizes.from_json(json.loads(path.read_text())["sizes"])


def write_json_whole(path: Path, values: Any) -> None:
    """Write JSON so that its path names the old content or the new, complete."""
    content = json.dumps(values, indent=1, allow_nan=False) + "\n"
    write_whole(path, lambda file: file.write(content.encode()))


def _train_encoder(cohort: Path, here: Path, row: Row, machines: Machines, tell: Tell) -> None:
    method = row.method
    if read_mark(here) or method is None or method.network.encoder is None:
        return
    training, pairs, network = method.encoder_training, method.pairs, method.network.encoder
    if training is None or pairs is None:
        raise CounterpartError(f"the row {row.name!r} has a condition but no encoder's training.")
    tell(f"encoder of {row.encoder_of}: {training.steps} steps")

    def train(run: Path) -> Path:
        return train_encoder(
            cohort,
            run,
            network=EncoderConfig.from_json(network.to_json()),
            training=training,
            examples=pairs,
            resume=True,
            machines=machines,
            watch=_QUIET,
        )

    _timed(here, training.steps, machines, train)


def _train(
    cohort: Path, run: Path, *, method: Method, encoder: Path | None, machines: Machines
) -> Path:
    if method.kind == "autoencoder":
        return train_autoencoder(
            cohort,
            run,
            network=method.network,
            healing=method.healing,
            examples=method.examples,
            resume=True,
            machines=machines,
            watch=_QUIET,
        )
    return train_denoiser(
        cohort,
        run,
        network=method.network,
        healing=method.healing,
        examples=method.examples,
        encoder_run=encoder,
        resume=True,
        machines=machines,
        watch=_QUIET,
    )


def _timed(here: Path, steps: int, machines: Machines, train: Callable[[Path], Path]) -> Mark:
    """Train in a folder, and mark it once that has ended."""
    last = here / "run" / _LAST
    begun = checkpoint_step(last) if last.exists() else 0
    wall, processor = time.perf_counter(), time.process_time()
    checkpoint = train(here / "run")
    mark = Mark(
        steps=steps,
        timed_steps=steps - begun,
        seconds=round(time.perf_counter() - wall, 1),
        processor_seconds=round(time.process_time() - processor, 1),
        checkpoint_sha256=file_sha256(checkpoint),
        machine=this_machine("cuda" if machines.on_gpu() else "cpu").words(),
    )
    write_json_whole(here / MARK, asdict(mark))
    return mark
