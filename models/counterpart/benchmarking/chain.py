"""Runs the product's own chain on a scan, from the file to the overlay, with a clock on it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from counterpart.benchmarking.timing import StageClock
from counterpart.brain_extraction import BrainModel
from counterpart.bundle import Model
from counterpart.generate import generate_counterpart
from counterpart.output import write_images, write_reports
from counterpart.results import Result
from counterpart.scans import read_scan

STARTING, IMPORTING, LOADING = "Starting Python", "Importing the library", "Loading the models"
READING = "Reading the scan"
HANDING_OVER = "Handing the maps over, uncompressed"
COMPRESSING = "Compressing the maps (.nii.gz)"
DRAWING = "Drawing the report (PNG, HTML)"
AFTERWARDS = (COMPRESSING, DRAWING)
BEFORE = (STARTING, IMPORTING, LOADING)


def run_to_overlay(
    path: Path, model: Model, brain_model: BrainModel, folder: Path, clock: StageClock
) -> Result:
    """From the file to the maps in files again, as a viewer would show them.

    Args:
        path: The scan.
        model: Repaints.
        brain_model: Finds the brain.
        folder: For the maps, uncompressed.
        clock: Is told the stages; it is stopped at the end.
    """
    clock.tell(READING)
    scan = read_scan(path)
    result = generate_counterpart(scan, model, brain_model=brain_model, stage=clock.tell)
    clock.tell(HANDING_OVER)
    write_images(result, folder, "nii")
    clock.finish()
    return result


def run_afterwards(result: Result, folder: Path, clock: StageClock) -> None:
    """What may follow once the overlay is there: compressed files and the report."""
    clock.tell(COMPRESSING)
    write_images(result, folder, "nii.gz")
    clock.tell(DRAWING)
    write_reports(result, folder)
    clock.finish()


def overlay_seconds(stages: Mapping[str, float]) -> float:
    """Seconds of all stages up to the overlay."""
    return sum(taken for stage, taken in stages.items() if stage not in AFTERWARDS)
