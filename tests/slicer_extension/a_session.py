"""A sitting at the module without its widgets: controller, scene, worker, and the states shown."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from plain_settings import PlainSettings

from HealthyCounterpartLib.client import ServerClient
from HealthyCounterpartLib.collaborators import Collaborators
from HealthyCounterpartLib.controller import Controller
from HealthyCounterpartLib.overlay import BOTH, FOUR_UP, SCORE
from HealthyCounterpartLib.scene.counterpart_scene import CounterpartScene
from HealthyCounterpartLib.view_state import ViewState
from HealthyCounterpartLib.worker import Worker

PATIENCE_S = 120.0


class PlainParameters:
    """The fields of the parameter node, in memory."""

    def __init__(self) -> None:
        self.scan: Any = None
        self.contrast = ""
        self.shownMap = SCORE
        self.sign = BOTH
        self.hideBelow = 1.0
        self.saturateAbove = 10.0
        self.opacity = 0.8
        self.layout = FOUR_UP
        self.run = ""


class KeepingPanel:
    """A panel that keeps every state that it was shown."""

    def __init__(self) -> None:
        self.states: list[ViewState] = []

    def show(self, state: ViewState) -> None:
        if not self.states or self.states[-1] != state:
            self.states.append(state)

    def finish_typing(self) -> None:
        """Nothing is typed here."""


class ASession:
    """One sitting: opened, used, and left.

    Args:
        scene: MRML scene.
        settings: Outlive a sitting.
        parameters: The parameter node.
        timeout_s: Of the client.
    """

    def __init__(
        self,
        scene: Any,
        settings: PlainSettings | None = None,
        parameters: Any = None,
        timeout_s: float = 10.0,
    ) -> None:
        self.scene = scene
        self.settings = settings or PlainSettings()
        self.parameters = parameters or PlainParameters()
        self.panel = KeepingPanel()
        self.controller = Controller(
            Collaborators(
                CounterpartScene(scene),
                Worker(),
                self.settings,
                lambda address, token: ServerClient(address, token, timeout_s=timeout_s),
            ),
            self.parameters,
            self.panel,
        )

    @property
    def state(self) -> ViewState:
        """What the panel shows."""
        return self.panel.states[-1]

    def until(self, holds: Callable[[ViewState], bool]) -> ViewState:
        """Let the timer tick until the panel shows what is awaited."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            self.controller.tick()
            if holds(self.state):
                return self.state
            time.sleep(0.02)
        raise RuntimeError(f"the panel still shows {self.state}")

    def connect(self, url: str, token: str = "") -> ViewState:
        """Type address and token, and wait until the server has answered."""
        self.controller.set_address(url)
        self.controller.set_token(token)
        self.controller.connect()
        return self.until(lambda state: state.server.mood != "waiting")

    def generate(self) -> ViewState:
        """Press the button and wait for the end."""
        self.controller.generate()
        return self.until(lambda state: state.progress is None)


Open = Callable[..., ASession]
