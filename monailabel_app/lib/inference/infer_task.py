"""What stock clients are told of the model: its name, its label, and the options that it knows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from monailabel.interfaces.tasks.infer_v2 import InferTask, InferType

from counterpart.bundle import WEIGHTS, bundle_folder
from counterpart.errors import ModelError
from counterpart.results import DISCLAIMER

KEY = "healthy_counterpart"
LABELS = {"anomaly": 1}


class CounterpartInfer(InferTask):  # type: ignore[misc]
    """The inference as MONAI Label lists it; the work itself is done as a job.

    Args:
        model: Name or folder of the bundle.
    """

    def __init__(self, model: str) -> None:
        super().__init__(
            type=InferType.SEGMENTATION,
            labels=dict(LABELS),
            dimension=3,
            description=f"Where this brain differs from its healthy counterpart. {DISCLAIMER}.",
        )
        self._model = model

    def is_valid(self) -> bool:
        """Whether there are weights."""
        return self.get_path() is not None

    def get_path(self, validate: bool = True) -> str | None:
        """The weights that serve."""
        try:
            path: Path = bundle_folder(self._model) / WEIGHTS
        except ModelError:
            return None
        return str(path)

    def __call__(self, request: dict[str, Any]) -> tuple[str | None, dict[str, Any]]:
        """Not used: every way to ask leads through the queue of jobs.

        Raises:
            NotImplementedError: Always.
        """
        raise NotImplementedError("ask with POST /infer/healthy_counterpart or /counterpart/jobs")
