"""What may follow a stage while it trains, besides its own figures and checkpoints."""

from __future__ import annotations

from dataclasses import dataclass

from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import Logger


@dataclass(frozen=True)
class Watch:
    """Who follows a stage.

    Args:
        callbacks: Called after those of the stage itself, so after a due checkpoint is written.
        loggers: Given the stage's figures besides its own table.
        bar: Whether Lightning draws its bar on the console.
    """

    callbacks: tuple[Callback, ...] = ()
    loggers: tuple[Logger, ...] = ()
    bar: bool = True


UNWATCHED = Watch()
