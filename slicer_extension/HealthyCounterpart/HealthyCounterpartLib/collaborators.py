"""What the controller works with; everything is handed in, so that everything can be replaced."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from HealthyCounterpartLib.address import ServerAddress
    from HealthyCounterpartLib.client import ServerClient
    from HealthyCounterpartLib.known_jobs import Settings
    from HealthyCounterpartLib.scene.counterpart_scene import CounterpartScene
    from HealthyCounterpartLib.view_state import ViewState
    from HealthyCounterpartLib.worker import Event, Work, Worker


class Panel(Protocol):
    """What shows the state."""

    def show(self, state: ViewState) -> None:
        """Set every widget."""

    def finish_typing(self) -> None:
        """Tell the controller what was typed and not told yet."""


class Taker(Protocol):
    """What has work under way, and takes what it brings."""

    def is_mine(self, work: Work) -> bool:
        """Whether this is its work."""

    def take(self, event: Event) -> None:
        """One event of its work."""


def local_time() -> str:
    """Now, as runs and remembered jobs are named by it."""
    return time.strftime("%Y-%m-%d %H:%M:%S")


@dataclass(frozen=True)
class Collaborators:
    """What the controller works with.

    Args:
        scene: The MRML scene.
        worker: Does what takes time.
        settings: Keep texts when Slicer is closed.
        client_of: Makes a client of an address and a token.
        now: Local time in words.
        seconds: A clock that never goes back.
    """

    scene: CounterpartScene
    worker: Worker
    settings: Settings
    client_of: Callable[[ServerAddress, str], ServerClient]
    now: Callable[[], str] = local_time
    seconds: Callable[[], float] = time.monotonic


Parameters = Any  # Slicer's wrapper of `ParameterFields`: a class that is made at run time
