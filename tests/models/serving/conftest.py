"""What the tests of serving share: studies, and plans for them."""

from pathlib import Path

import pytest
from server_stand_in import a_free_port
from serving_plans import GOOD_DEVICE, PlanOf, StandInPlan

from counterpart.serving.options import ServeOptions
from counterpart.serving.plan import plan_server


@pytest.fixture
def studies(tmp_path: Path) -> Path:
    folder = tmp_path / "studies"
    folder.mkdir()
    for name in ("a_T1.nii.gz", "b_T1.nii", "c_FLAIR.nrrd", "d.mha", "note.txt"):
        (folder / name).touch()
    return folder


@pytest.fixture
def plan_of(studies: Path, tmp_path: Path) -> PlanOf:
    """Plans a server on the stand-in."""

    def plan(
        behaviour: str = "good",
        check: str = GOOD_DEVICE,
        environment: dict[str, str] | None = None,
        **options: object,
    ) -> StandInPlan:
        given = {"port": a_free_port(), "state": tmp_path / "state"} | options
        chosen = ServeOptions(str(studies), **given)  # type: ignore[arg-type]
        made = plan_server(chosen, environment or {})
        return StandInPlan(**vars(made), behaviour=behaviour, check=check)

    return plan
