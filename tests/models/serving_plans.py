"""Plans of servers that are cheap to start: a stand-in where MONAI Label would be."""

import sys
from collections.abc import Callable
from dataclasses import dataclass

from server_stand_in import stand_in_command

from counterpart.serving.plan import ServerPlan

PlanOf = Callable[..., "StandInPlan"]
GOOD_DEVICE = "pass"


@dataclass(frozen=True)
class StandInPlan(ServerPlan):
    """Starts a stand-in where MONAI Label would be started, and a line of Python for the check."""

    behaviour: str = "good"
    check: str = GOOD_DEVICE

    def command(self) -> list[str]:
        return stand_in_command(self.port, self.behaviour)

    def check_command(self) -> list[str] | None:
        return [sys.executable, "-c", self.check]
