"""Stores maps as labels of the image, where stock clients look for them."""

from __future__ import annotations

import json
import logging
import shutil

from lib.datastore.receiving import remove
from lib.datastore.studies import MADE_OF
from lib.jobs.files import result_file
from lib.jobs.job import Job
from lib.server import Server

logger = logging.getLogger("counterpart.server")

MAP_TAGS = ("counterpart", "residual", "anomaly")
MASK_TAG = "original"


def store_labels(server: Server, job: Job, *, mask: bool = False) -> None:
    """Store the float maps of a job as labels of its image, with the provenance; blocks.

    Args:
        server: The server.
        job: A finished one, of an image of the studies.
        mask: Store the anomaly mask too, under the tag ``original``.

    Raises:
        Problem: The results are gone, or the disk is full.
    """
    image = job.image
    if image is None or not server.studies.is_local:
        return  # an archive takes no float maps; they are had by GET /counterpart/jobs/…
    provenance = json.loads(result_file(server, job, "provenance", None).path.read_text())
    info = {"provenance": provenance, "disclaimer": provenance["disclaimer"], "job": job.id}
    info[MADE_OF] = server.state.keyed("scan", job.content)
    tags = [(tag, tag) for tag in MAP_TAGS] + ([("mask", MASK_TAG)] if mask else [])
    for name, tag in tags:
        known = server.studies.datastore.get_label_info(image, tag) or {}
        if known.get("job") == job.id:
            continue
        file = result_file(server, job, name, "nii.gz")
        work = server.state.temporary()
        try:
            named = work / f"{image}.nii.gz"
            shutil.copyfile(file.path, named)
            server.studies.save_label(image, named, tag, dict(info))
        finally:
            remove(work)
