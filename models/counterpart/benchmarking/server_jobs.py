"""What is asked of a server while it is watched: jobs cold and warm, other thresholds, a crowd."""

from __future__ import annotations

import hashlib
import http.client
import json
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlencode

from counterpart.errors import CounterpartError, ServingError
from counterpart.serving.client import CounterpartClient

MODEL = "healthy_counterpart"
COLD, WARM = "job, first (cold)", "job, second (warm)"
STOCK, STOCK_AGAIN = "stock /infer (warm)", "stock /infer, the same again"
AGAIN, OTHER_THRESHOLD = "job, the same again", "job, another threshold"
CROWD_RESULTS = (("anomaly", "nii"), ("findings", "json"))
_PATIENCE_S = 1800.0
_PAUSE_S = 0.02  # so that asking adds little to what is timed
_THRESHOLD = 5.0


@dataclass(frozen=True)
class Work:
    """One thing that is asked of the server, timed from the question to the answer.

    Args:
        name: In words.
        do: Asks, and waits for the answer.
    """

    name: str
    do: Callable[[], None]


@dataclass(frozen=True)
class CrowdFigures:
    """What came of many clients that asked at once.

    Args:
        clients: That asked.
        images: Different ones that they asked for.
        done: Clients whose job was done and whose results came whole.
        different: Clients whose results were not those of the first who asked for the same.
        seconds: Until the last had its results.
        failures: How many others, by reason.
    """

    clients: int
    images: int
    done: int
    different: int
    seconds: float
    failures: dict[str, int]

    @property
    def nothing_lost(self) -> bool:
        """Whether everybody got everything, and the same got the same."""
        return self.done == self.clients and self.different == 0


def works_of(client: CounterpartClient, image: str, seed: int, cold_job: str) -> list[Work]:
    """What is timed, in this order.

    Args:
        client: That asks.
        image: Of the studies.
        seed: Such that the server has computed neither it nor the two after it.
        cold_job: That has been submitted with this seed and is waited for first.
    """

    def job(**options: object) -> None:
        _wait(client, client.submit(image=image, options=options).id)

    return [
        Work(COLD, lambda: _wait(client, cold_job)),
        Work(WARM, lambda: job(seed=seed + 1)),
        Work(STOCK, lambda: infer(client, image, seed=seed + 2)),
        Work(STOCK_AGAIN, lambda: infer(client, image, seed=seed + 2)),
        Work(AGAIN, lambda: job(seed=seed)),
        Work(OTHER_THRESHOLD, lambda: job(seed=seed, threshold=_THRESHOLD)),
    ]


def infer(client: CounterpartClient, image: str, **params: object) -> None:
    """Run an inference the stock MONAI Label way, and read its answer.

    Raises:
        CounterpartError: It fails, or breaks off.
    """
    path = f"/infer/{MODEL}?image={quote(image, safe='')}"
    body = urlencode({"params": json.dumps(params)}).encode()
    connection = client.address.connection(_PATIENCE_S)
    headers = {"Content-Type": "application/x-www-form-urlencoded", **client.headers}
    try:
        connection.request("POST", client.address.base + path, body, headers)
        answer = connection.getresponse()
        content = answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise CounterpartError(f"the inference broke off: {error or type(error)}.") from error
    finally:
        connection.close()
    if answer.status != 200:
        said = content[:500].decode(errors="replace")
        raise CounterpartError(f"{path}: the server answers with status {answer.status}: {said}.")


def crowd(
    client: CounterpartClient, images: Sequence[str], clients: int, seed: int
) -> CrowdFigures:
    """Let many clients ask at once, in turn for each image, and compare what they get.

    Args:
        client: Each asks as this one does.
        images: Of the studies.
        clients: Number of them.
        seed: Such that the server has not computed it.
    """
    asked = [images[number % len(images)] for number in range(clients)]
    hashes: list[tuple[str, ...] | None] = [None] * clients
    failures: list[str] = []
    gate = threading.Barrier(clients + 1)

    def ask(number: int) -> None:
        gate.wait()
        try:
            hashes[number] = _results(client, asked[number], seed)
        except (CounterpartError, OSError) as error:
            failures.append(str(error))

    threads = [
        threading.Thread(target=ask, args=(number,), name=f"crowd-{number}")
        for number in range(clients)
    ]
    for thread in threads:
        thread.start()
    gate.wait()
    start = time.perf_counter()
    for thread in threads:
        thread.join()
    first: dict[str, tuple[str, ...]] = {}
    for image, found in zip(asked, hashes, strict=True):
        if found is not None:
            first.setdefault(image, found)
    return CrowdFigures(
        clients,
        len(set(asked)),
        sum(found is not None for found in hashes),
        sum(
            found is not None and found != first[image]
            for image, found in zip(asked, hashes, strict=True)
        ),
        time.perf_counter() - start,
        dict(Counter(failures).most_common()),
    )


def _wait(client: CounterpartClient, job: str) -> None:
    client.wait(job, timeout_s=_PATIENCE_S, pause_s=_PAUSE_S)


def _results(client: CounterpartClient, image: str, seed: int) -> tuple[str, ...]:
    """The hashes of a job's results.

    Raises:
        ServingError: A result is empty, or something else fails.
    """
    job = client.wait(client.submit(image=image, options={"seed": seed}).id, timeout_s=_PATIENCE_S)
    digests = []
    with tempfile.TemporaryDirectory() as folder:
        for name, kind in CROWD_RESULTS:
            path = Path(folder) / name
            client.fetch(job.id, name, path, kind=kind)
            content = path.read_bytes()
            if not content:
                raise ServingError(f"the result {name!r} is empty.")
            digests.append(hashlib.sha256(content).hexdigest())
    return tuple(digests)
