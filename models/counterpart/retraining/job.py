"""One retraining at work: its plan, its folder, and what its earlier stages have decided."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from counterpart.errors import CohortError
from counterpart.retraining.cancelling import Cancellation
from counterpart.retraining.marks import Decided, Mark, Prepared, read_mark
from counterpart.retraining.plan import Plan
from counterpart.retraining.telling import Teller
from counterpart.training.machines import Machines

CHECKPOINT = Path("checkpoints") / "last.ckpt"


@dataclass(frozen=True, eq=False)
class Job:
    """One retraining at work.

    Args:
        run: Its folder.
        plan: What is asked for.
        tell: Told how far it is.
        cancellation: Whether to go no further.
    """

    run: Path
    plan: Plan
    tell: Teller
    cancellation: Cancellation

    @property
    def cohort_folder(self) -> Path:
        """The prepared cohort."""
        return self.run / "cohort"

    @property
    def bundle_folder(self) -> Path:
        """The new bundle; the folder's name is the model's."""
        return self.run / "bundle" / self.decided.model

    @property
    def device(self) -> str:
        """Where networks work outside of training, by torch's name."""
        return "cuda" if self.machines.on_gpu() else "cpu"

    @property
    def machines(self) -> Machines:
        """What training runs on."""
        plan = self.plan
        return Machines(device=plan.device, devices=plan.devices, nodes=plan.nodes)

    @property
    def decided(self) -> Decided:
        """What the checks decided."""
        return self.left("checks", Decided)

    @property
    def prepared(self) -> Prepared:
        """What came of preparing."""
        return self.left("prepare", Prepared)

    def left(self, stage: str, kind: type[Mark]) -> Mark:
        """What an earlier stage has left.

        Raises:
            CohortError: It has not ended.
        """
        mark = read_mark(self.run, stage, kind)
        if mark is None:
            raise CohortError(f"{self.run}: the stage {stage!r} has not ended yet.")
        return mark

    def stage_run(self, stage: str) -> Path:
        """The folder of a stage of training."""
        return self.run / stage

    def require_device(self) -> None:
        """Refuse a GPU that is not there.

        Raises:
            CohortError: There is none.
        """
        if self.plan.device == "gpu" and not torch.cuda.is_available():
            raise CohortError(
                "the plan asks for a GPU, but there is none; ask for 'auto' or 'cpu'."
            )
