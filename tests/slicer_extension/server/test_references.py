"""A healthy reference on its way from the server to the view beside the scan."""

from __future__ import annotations

import contextlib
import gzip
import io
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from a_server import SCANS, AServer
from a_session import ASession, Open
from healthy_references import answer_of, maps_of, write_answer
from made_up_runs import Phantom
from people import TOKENS
from slow_proxy import SlowProxy
from small_server import SmallServer, json_reply, small_server

from HealthyCounterpartLib.known_jobs import RememberedJob
from HealthyCounterpartLib.reference_pictures import KIND
from HealthyCounterpartLib.scene import marks
from HealthyCounterpartLib.scene.voxels import ijk_to_ras
from HealthyCounterpartLib.view_state import BAD, GOOD

NAMES = ("reference-0a1b2c3d4e", "reference-1a1b2c3d4e", "reference-2a1b2c3d4e")
JOB = "job-1"
TOLD = {
    "references": [{"id": one, "similarity": 0.8, "rise": 0.03} for one in NAMES],
    "p_value": 0.21,
    "held_out": 60,
    "withdrawn": 0,
    "note": "",
    "viewable": True,
}


def picture(level: float) -> bytes:
    """A packed picture, as the server sends it."""
    values = np.full((24, 26, 20), level, np.float32)
    image = nib.Nifti1Image(values, np.diag([2.0, 2.0, 2.5, 1.0]))
    content = io.BytesIO()
    image.to_file_map(
        {"header": nib.FileHolder(fileobj=content), "image": nib.FileHolder(fileobj=content)}
    )
    return gzip.compress(content.getvalue(), mtime=0)


def path_of(name: str) -> str:
    return f"/counterpart/jobs/{JOB}/references/{name}"


@dataclass
class Reading:
    """A reader of a run whose references lie on a small server."""

    session: ASession
    server: SmallServer

    @property
    def asked(self) -> list[str]:
        """Which references the server was asked for."""
        return [
            path.rpartition("/")[2] for _, path, _ in self.server.seen if "/references/" in path
        ]

    def choose(self, row: int) -> Any:
        self.session.controller.choose_reference(row)
        return self.session.until(lambda state: state.references.progress is None).references


@pytest.fixture
def a_reading(open_session: Open, a_scan: Any, a_phantom: Phantom, tmp_path: Path) -> Any:
    """Opens a run; the server's answers and what it told of the references may be changed."""
    with contextlib.ExitStack() as stack:

        def begin(told: Any = None, through: Any = None, **replies: Any) -> Reading:
            pictures = {path_of(one): (200, {}, picture(n)) for n, one in enumerate(NAMES, 1)}
            changed = {path_of(name.replace("_", "-")): one for name, one in replies.items()}
            server = stack.enter_context(small_server({**pictures, **changed}))
            port = server.port if through is None else through(server.port)
            url = f"http://127.0.0.1:{port}"
            session = open_session()
            session.connect(url)
            delivery = a_phantom.delivery(tmp_path / "delivery", JOB)
            delivery.references = TOLD if told is None else told
            run = session.controller._with.scene.add_run(a_scan, delivery, "now", url)
            session.controller.review.open(run)
            session.controller._show()
            return Reading(session, server)

        yield begin


@pytest.fixture
def slowly() -> Iterator[Any]:
    """Puts a slow line before a server."""
    with contextlib.ExitStack() as stack:

        def begin(port: int) -> int:
            proxy = stack.enter_context(contextlib.closing(SlowProxy(port)))
            proxy.bytes_per_s = 200.0
            return int(proxy.port)

        yield begin


def test_a_chosen_reference_is_shown_beside_the_scan_at_the_largest_finding(
    a_reading: Any,
) -> None:
    reading = a_reading()
    assert reading.session.state.references.selected == -1
    told = reading.choose(1)
    assert told.line.mood == GOOD and NAMES[1] in told.line.text, told.line
    assert (told.selected, told.beside) == (1, True)
    state = reading.session.state
    assert state.layout == "beside" and state.selected == 0
    assert reading.session.parameters.layout == "beside"
    assert reading.asked == [NAMES[1]]
    volume = reading.session.controller._with.scene.runs()[0].reference
    assert volume.GetAttribute(marks.REFERENCE_ID) == NAMES[1]
    np.testing.assert_allclose(ijk_to_ras(volume), np.diag([2.0, 2.0, 2.5, 1.0]))


def test_another_row_replaces_it_and_the_same_row_is_not_fetched_again(a_reading: Any) -> None:
    reading = a_reading()
    reading.choose(1)
    assert reading.choose(0).selected == 0
    reading.session.controller.set_layout("four-up")
    assert reading.session.state.references.beside, "it stays in the scene"
    assert reading.choose(0).selected == 0
    assert reading.session.state.layout == "beside"
    assert reading.asked == [NAMES[1], NAMES[0]]
    runs = reading.session.controller._with.scene.runs()
    assert runs[0].reference.GetName() == f"Healthy reference {NAMES[0]}"


def test_where_the_policy_shows_none_the_panel_says_so_and_nothing_is_asked(
    a_reading: Any,
) -> None:
    reading = a_reading({**TOLD, "viewable": False})
    told = reading.choose(0)
    assert "policy gives ids and similarity alone" in told.line.text
    assert reading.asked == [] and reading.session.state.layout != "beside"
    assert [row[1:] for row in told.rows] == [("0.800", "+0.030")] * 3


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (
            json_reply({"error": "The results are no longer kept.", "hint": "Ask."}, 410),
            "no longer",
        ),
        (json_reply({"error": "Names alone.", "hint": "Ask the administrator."}, 403), "Names"),
        ((200, {}, b"no gzip"), "damaged"),
        ((200, {}, picture(1.0)[:-6]), "damaged"),
        ((200, {}, gzip.compress(b"nothing")), "not a volume"),
    ],
)
def test_what_cannot_be_shown_is_a_sentence_and_the_scene_stays(
    a_reading: Any, reply: Any, words: str
) -> None:
    reading = a_reading(reference_0a1b2c3d4e=reply)
    count = reading.session.scene.GetNumberOfNodes()
    told = reading.choose(0)
    assert told.line.mood == BAD and words in told.line.text
    assert (told.selected, told.beside) == (-1, False)
    assert reading.session.scene.GetNumberOfNodes() == count


def test_fetching_can_be_cancelled_or_another_chosen_meanwhile(a_reading: Any, slowly: Any) -> None:
    reading = a_reading(through=slowly)
    controller = reading.session.controller
    controller.choose_reference(0)
    state = reading.session.until(lambda state: state.references.progress is not None)
    assert state.references.selected == 0
    controller.cancel_reference()
    assert reading.session.state.references.progress is None
    assert reading.session.state.references.line.text == "Cancelled."
    controller.choose_reference(1)
    controller.choose_reference(2)
    assert reading.session.state.references.selected == 2
    controller.close()
    threads = controller._with.worker._threads
    assert not any(one.is_alive() for work, one in threads.items() if work.kind == KIND)


def test_a_reference_of_another_run_is_dropped_when_it_arrives(
    a_reading: Any, a_scan: Any, a_phantom: Phantom, tmp_path: Path
) -> None:
    reading = a_reading()
    controller = reading.session.controller
    controller.choose_reference(0)
    scene = controller._with.scene
    other = scene.add_run(a_scan, a_phantom.delivery(tmp_path / "other"), "later")
    controller.review.open(other)
    reading.session.until(lambda state: controller.references.progress is None)
    assert all(run.reference is None for run in scene.runs())
    assert not reading.session.state.references.offered


def test_a_run_of_another_server_says_where_its_references_lie(a_reading: Any) -> None:
    reading = a_reading()
    url = reading.session.controller.connection.url
    reading.session.controller.set_address("http://127.0.0.1:9")
    told = reading.choose(0)
    assert url in told.line.text and "Connect to it first." in told.line.text
    assert reading.asked == []


def test_references_come_from_the_real_server(
    open_session: Open, the_server: AServer, the_cohort: tuple[str, ...], new_scene: Any
) -> None:
    anna, bela, _ = the_cohort
    first = the_server.wait(the_server.submit(SCANS[0])["id"])
    maps = maps_of(the_server.state, first["id"])
    real = (maps / "references.json").read_bytes()
    write_answer(maps, answer_of(bela, anna))
    try:
        job = the_server.wait(the_server.submit(SCANS[0], minimum_ml=0.2)["id"])
        session = open_session(new_scene())
        session.connect(the_server.url, TOKENS["user"])
        known = RememberedJob(job["id"], session.controller.connection.url, "now", SCANS[0])
        session.controller.generation.fetch(known, None)
        state = session.until(lambda state: state.progress is None)
        assert state.message.mood == GOOD, state.message
        assert "p = 0.21 against 60 healthy subjects" in state.references.sentence
        assert "2 subjects" in state.references.sentence
        assert [row[0] for row in state.references.rows] == [bela, anna]
        session.controller.choose_reference(1)
        told = session.until(lambda state: state.references.progress is None).references
        assert told.line.mood == GOOD, told.line
        run = session.controller._with.scene.runs()[0]
        assert run.reference.GetAttribute(marks.REFERENCE_ID) == anna
        assert run.reference.GetImageData().GetDimensions() == (80, 96, 80)
    finally:
        (maps / "references.json").write_bytes(real)
        shutil.rmtree(maps.parent / "references")
