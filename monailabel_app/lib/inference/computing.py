"""Generates counterparts in the process that holds the networks."""

from __future__ import annotations

import logging
import time
from pathlib import Path

from counterpart.brain_extraction import load_brain_model
from counterpart.bundle import Model
from counterpart.errors import CounterpartError
from counterpart.generate import generate_counterpart
from counterpart.output import write_findings, write_images
from counterpart.package_data import package_data
from counterpart.regions import write_atlas
from counterpart.registry.serving_models import ServingModels
from counterpart.scans import read_scan
from lib.inference.messages import Cancelled, Tell, Values

logger = logging.getLogger("counterpart.server")

MAP_FORMAT = "nii"  # unpacked: written and sent at once
_WARM_UP_SCAN = "patients/sample-01_FLAIR.nii.gz"


class Computer:
    """The networks, loaded once, and anew when another version serves.

    Args:
        model: Name or folder of the bundle.
        device: torch device.
    """

    def __init__(self, model: str, device: str) -> None:
        self._models = ServingModels(model, device)
        self._chosen = self._models.serving
        self._brain_model = load_brain_model(device=device)

    def warm_up(self, tell: Tell) -> None:
        """Generate the counterpart of the sample patient, so that the first scan is not slow."""
        try:
            scan = read_scan(package_data("sample_data") / _WARM_UP_SCAN)
            generate_counterpart(scan, self._chosen, brain_model=self._brain_model, stage=tell)
        except Cancelled:
            logger.info("the warm-up was left for the first scan")
        except CounterpartError as error:
            logger.warning("no warm-up: %s", error)

    def generate(self, arguments: Values, tell: Tell) -> Values:
        """Generate a counterpart and write maps, findings and provenance.

        Args:
            arguments: ``scan`` (path), ``out`` (existing folder), ``contrast`` (or None), ``seed``.
            tell: Progress; may raise to cancel.

        Returns:
            ``findings`` (number), ``model`` (name, version, hash), ``seconds``.
        """
        start = time.perf_counter()
        tell("Reading", 0.0)
        self._models.reload_if_changed()  # what served before has done its last job
        self._chosen = self._models.serving
        scan = read_scan(Path(arguments["scan"]))
        result = generate_counterpart(
            scan,
            self._chosen,
            brain_model=self._brain_model,
            contrast=arguments["contrast"],
            seed=arguments["seed"],
            stage=tell,
            choose=self._choose,
        )
        tell("Writing the maps", 0.96)
        out = Path(arguments["out"])
        write_images(result, out, MAP_FORMAT)
        write_findings(result, out)
        if self._chosen.regions is not None:
            write_atlas(out / "regions.nii.gz", self._chosen.regions)
        known = result.provenance
        return {
            "findings": len(result.findings),
            "model": {key: known[key] for key in ("version", "weights_sha256")}
            | {"name": known["model"]},
            "seconds": time.perf_counter() - start,
        }

    def _choose(self, contrast: str) -> Model:
        """The version that serves a contrast."""
        self._chosen = self._models.for_contrast(contrast)
        return self._chosen
