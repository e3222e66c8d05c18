"""A real server with four people, clients of it, and the small servers that stand in for others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from a_server import SAMPLES, AServer
from a_session import ASession, Open
from certificates import make_certificates
from healthy_references import names_of, write_small_cohort
from job_listener import ClientOf, Listener, ScanOf
from people import GUARDED, TOKENS, write_token_file

from HealthyCounterpartLib.address import ServerAddress
from HealthyCounterpartLib.client import ServerClient
from HealthyCounterpartLib.jobs import Delivery, generate
from HealthyCounterpartLib.scan_source import SceneScan
from HealthyCounterpartLib.scene.arrival import add_study

COHORT = "cohort"


@dataclass(frozen=True)
class FirstRun:
    """A scan, what came of it, and what was told on the way."""

    scan: SceneScan
    delivery: Delivery
    listener: Listener


@pytest.fixture(scope="session")
def the_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AServer]:
    """A running server that wants tokens and shows references; asks as the administrator."""
    folder = tmp_path_factory.mktemp("server")
    known = {**GUARDED, "COUNTERPART_REFERENCES_COHORT": str(folder / COHORT)}
    write_small_cohort(folder / COHORT)
    server = AServer(folder, known, host="0.0.0.0", token=TOKENS["admin"])
    server.prepare()
    write_token_file(server)
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def the_cohort(the_server: AServer) -> tuple[str, ...]:
    """Pseudonyms of the three healthy references whom the server could show."""
    return names_of(the_server.folder / COHORT)


@pytest.fixture(scope="session")
def client_of(the_server: AServer) -> ClientOf:
    """Makes clients of the server, through another port if one is given."""

    def make(role: str = "user", port: int = 0, **options: object) -> ServerClient:
        address = ServerAddress.of(f"127.0.0.1:{port or the_server.port}")
        return ServerClient(address, TOKENS.get(role, role), **options)

    return make


@pytest.fixture
def a_client(client_of: ClientOf) -> ServerClient:
    return client_of()


@pytest.fixture(scope="session")
def scan_of() -> ScanOf:
    """Makes scans of the scene, all of different content; 0 is the sample itself."""
    image = nib.load(SAMPLES / "sample-01_FLAIR.nii.gz")
    values = np.asarray(image.dataobj).astype(np.int16)

    def make(number: int = 0, name: str = "scan_FLAIR") -> SceneScan:
        own = values.copy()
        own[0, 0, 0] += number
        return SceneScan(own.T, image.affine, name, owner=own)

    return make


@pytest.fixture(scope="session")
def the_first_run(
    client_of: ClientOf, scan_of: ScanOf, tmp_path_factory: pytest.TempPathFactory
) -> FirstRun:
    """A counterpart of the sample, which is computed once for all tests."""
    scan, listener, folder = scan_of(), Listener(), tmp_path_factory.mktemp("first")
    delivery = generate(client_of(), scan, {"contrast": "FLAIR"}, folder, listener.work)
    return FirstRun(scan, delivery, listener)


@pytest.fixture
def a_done_job(the_first_run: FirstRun) -> str:
    return the_first_run.delivery.job.id


@pytest.fixture(scope="session")
def some_certificates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def open_session(a_scene: Any) -> Iterator[Open]:
    """Opens sittings, on one scene unless told otherwise; all are left afterwards."""
    made: list[ASession] = []

    def make(scene: Any = None, **more: Any) -> ASession:
        made.append(ASession(scene or a_scene, **more))
        return made[-1]

    yield make
    for session in made:
        session.controller.close()


@pytest.fixture
def a_patient(a_scene: Any) -> Any:
    return add_study(a_scene, SAMPLES / "sample-01_FLAIR.nii.gz", "sample-01_FLAIR")


@pytest.fixture
def a_session(open_session: Open, the_server: AServer, a_patient: Any) -> ASession:
    """A sitting of a user who is connected and has chosen the patient."""
    session = open_session()
    session.parameters.scan = a_patient
    session.connect(the_server.url, TOKENS["user"])
    return session
