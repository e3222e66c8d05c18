"""What stock clients see of training: its choices, and how far it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from monailabel.interfaces.tasks.train import TrainTask

from lib.training.supervisor import Run

_DESCRIPTION = "Calibrate or retrain on the scans that are marked as healthy; no lesion labels."


class CounterpartTrain(TrainTask):  # type: ignore[misc]
    """The training as MONAI Label lists it; the work is done in a process of its own.

    Args:
        latest: Finds the run that was started last.
    """

    def __init__(self, latest: Callable[[], Run | None]) -> None:
        super().__init__(_DESCRIPTION)
        self._latest = latest

    def config(self) -> dict[str, Any]:
        """The choices, as stock clients show them; lists are the values to choose from."""
        return {"mode": ["auto", "calibrate", "train"], "start": ["released", "nothing"]}

    def stats(self) -> dict[str, Any]:
        """How far it is, by the names that stock clients know, and by ours."""
        run = self._latest()
        if run is None:
            return {}
        progress = run.progress()
        verdicts = {one["gate"]: one["passed"] for one in progress.get("verdicts", ())}
        best = progress.get("fraction") if not verdicts else float(all(verdicts.values()))
        return {
            "epoch": progress.get("epoch", 0),
            "total_epochs": progress.get("epochs", 0),
            "best_metric": best,
            "total_time": progress.get("updated"),
            "start_ts": progress.get("started"),
            **progress,
        }

    def __call__(self, request: dict[str, Any], datastore: object) -> dict[str, Any]:
        """Not used: a training is started by the server's routes.

        Raises:
            NotImplementedError: Always.
        """
        raise NotImplementedError("start it with POST /train/healthy_counterpart")
