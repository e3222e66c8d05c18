"""The administrator's section with a real server that really trains, and rolls back."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from a_server import NO_GATES, QUICK, ROOT, AServer, quick_model
from a_session import ASession

from counterpart.registry.publishing import publish

HEALTHY = ROOT / "sample_data" / "healthy"
OLD, NEW = QUICK, "9.9.9.quick"


@pytest.fixture(scope="module")
def the_hospital(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AServer]:
    """A server with eight healthy heads and two versions of its model."""
    server = AServer(tmp_path_factory.mktemp("hospital"))
    server.prepare(("sample-01_FLAIR",))
    publish(quick_model(server.folder / "made", NEW), root=server.registry, terms=NO_GATES)
    for path in sorted(HEALTHY.glob("*_T1.nii.gz")):
        shutil.copy(path, server.studies)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def an_administrator(the_hospital: AServer, a_scene: Any) -> Iterator[ASession]:
    """A sitting on the server's own machine, which administers it."""
    session = ASession(a_scene)
    session.connect(the_hospital.url)
    session.until(lambda state: bool(state.administrator.versions))
    yield session
    session.controller.close()


def test_an_earlier_version_serves_again(an_administrator: ASession) -> None:
    state = an_administrator.state
    assert {OLD, NEW} <= set(state.administrator.versions)
    assert state.administrator.versions[state.administrator.serving] == NEW
    an_administrator.controller.roll_back(state.administrator.versions.index(OLD))
    state = an_administrator.until(lambda state: OLD in state.server.text)
    assert state.administrator.versions[state.administrator.serving] == OLD


def test_healthy_studies_are_marked_and_a_training_is_started_watched_and_stopped(
    an_administrator: ASession,
) -> None:
    controller = an_administrator.controller
    controller.choose_source(True)
    healthy = [one for one in an_administrator.state.studies if one.startswith("healthy")]
    assert len(healthy) == 8
    for number, study in enumerate(healthy, start=1):
        controller.choose_study(study)
        assert an_administrator.state.administrator.study == study
        controller.mark_healthy(True)
        an_administrator.until(
            lambda state, number=number: (
                f"{number} healthy scans" in state.administrator.cohort.text
            )
        )
    assert "calibrat" in an_administrator.state.administrator.cohort.text.lower()
    assert not an_administrator.state.administrator.can_stop

    controller.start_training()
    state = an_administrator.until(lambda state: state.administrator.can_stop)
    assert not state.administrator.can_start
    state = an_administrator.until(lambda state: (state.administrator.fraction or 0.0) > 0.0)
    assert state.administrator.training.text

    controller.stop_training()
    state = an_administrator.until(lambda state: state.administrator.can_start)
    assert "stopped" in state.administrator.training.text
    assert state.administrator.fraction is None
