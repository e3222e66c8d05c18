"""The stages that make the new bundle: trained weights with settings, or new calibrations alone."""

from __future__ import annotations

import hashlib
import math
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from counterpart.attribution.adding import add_references
from counterpart.bundle import (
    CARD,
    METADATA,
    Model,
    ModelSettings,
    load_model,
    released_weights,
    write_bundle,
    write_calibrations,
    write_familiarity,
    write_manifest,
)
from counterpart.bundle_files import read_json, write_json
from counterpart.calibration.calibrating import SIMULATED, CalibrationFigures, calibrate
from counterpart.calibration.record import Calibration
from counterpart.cohort import Cohort, read_cohort
from counterpart.denoiser import Denoiser, parameter_count
from counterpart.familiarity.fitting import SeenHeads, cohort_sizes
from counterpart.familiarity.record import Familiarity
from counterpart.held_out.selection import choose_settings, compare_passes, held_out
from counterpart.model_card import (
    CardFacts,
    Chosen,
    calibration_section,
    model_card,
    with_section,
)
from counterpart.retraining.job import CHECKPOINT, Job
from counterpart.retraining.marks import Bundled, CalibrationRow
from counterpart.retraining.training_stages import steps_of
from counterpart.training.run import load_averaged_weights

SELECTION_SUBJECTS = 8
RENDERED_SUBJECTS = 20


def calibrate_alone(job: Job) -> Bundled:
    """The model that serves, its weights as they are, calibrated on the site's own scans."""
    source = Path(job.decided.folder)
    model = load_model(source, device=job.device)
    cohort = read_cohort(job.cohort_folder)
    heads = SeenHeads(model.denoiser)
    found, figures = site_calibrations(
        job, heads, model.settings, model.weights_sha256, cohort, _rendered(model)
    )
    new = {(one.contrast, one.kind) for one in found}
    merged = [*found, *(o for o in model.calibrations if (o.contrast, o.kind) not in new)]
    out = _empty(job.bundle_folder)
    shutil.copytree(source, out)
    for path in (out, *out.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)  # a published version is read-only
    write_calibrations(out, merged)
    familiarity = _familiarity(job, heads, model.weights_sha256, model.familiarity)
    if familiarity is not None:
        write_familiarity(out, familiarity)
    _write_version(out, job.decided.version, "calibrated on a site's own healthy scans")
    section = calibration_section(merged, figures, familiarity)
    (out / CARD).write_text(with_section((out / CARD).read_text(), section))
    write_manifest(out)
    return _bundled("calibrated alone", found, figures)


def export(job: Job) -> Bundled:
    """The trained weights as a bundle.

    Fine-tuned weights keep the settings of the model that they began with; a new network's are
    chosen on held-out subjects.
    """
    begun = load_model(Path(job.decided.folder), device="cpu")
    cohort = read_cohort(job.cohort_folder)
    weights = load_averaged_weights(job.stage_run("denoiser") / CHECKPOINT)
    denoiser = _denoiser(begun, weights, job.device)
    heads = SeenHeads(denoiser)
    chosen = _chosen(job, heads, begun, weights, cohort)
    digest = hashlib.sha256(released_weights(weights)).hexdigest()
    steps = steps_of(job)
    words = (
        f"Retrained on a site's own healthy scans: {steps.encoder} steps of the encoder, "
        f"{steps.denoiser} of the denoiser, begun with "
        + (f"version {begun.version}." if job.plan.start == "released" else "nothing.")
    )
    facts = CardFacts(
        name=job.decided.model,
        parameters=parameter_count(denoiser),
        training=words,
        data=f"{_population(job)}.",
        regions=begun.regions is not None,
    )
    known = _familiarity(job, heads, digest, begun.familiarity)
    out = _empty(job.bundle_folder)
    metadata = read_json(Path(job.decided.folder) / METADATA)
    write_bundle(
        out,
        weights,
        chosen.settings,
        metadata,
        model_card(facts, replace(chosen, familiarity=known), cohort),
        calibrations=chosen.calibrations,
        regions=begun.regions,
        familiarity=known,
    )
    _write_version(out, job.decided.version, words)
    write_manifest(out)
    add_references(
        out,
        job.cohort_folder,
        subjects=RENDERED_SUBJECTS,
        device=job.device,
        progress=job.tell.say,
    )
    return _bundled(words, chosen.calibrations, chosen.figures)


def site_calibrations(
    job: Job,
    heads: SeenHeads,
    settings: ModelSettings,
    weights_sha256: str,
    cohort: Cohort,
    contrasts: Sequence[str],
) -> tuple[list[Calibration], list[CalibrationFigures]]:
    """The calibrations on the cohort's held-out scans, and on rendered ones of contrasts."""
    return calibrate(
        heads.denoiser,
        cohort,
        settings.reconstruction,
        settings.anomaly,
        weights_sha256,
        population=_population(job),
        contrasts=contrasts,
        simulated_subjects=RENDERED_SUBJECTS,
        progress=job.tell.say,
        seen=heads.add,
    )


def _familiarity(
    job: Job, heads: SeenHeads, weights_sha256: str, known: Familiarity | None
) -> Familiarity | None:
    """What the site's healthy heads have, beside what the model that was begun with knows."""
    sizes = cohort_sizes(job.cohort_folder, known)
    return heads.familiarity(_population(job), weights_sha256, sizes=sizes, known=known)


def _chosen(
    job: Job,
    heads: SeenHeads,
    begun: Model,
    weights: dict[str, torch.Tensor],
    cohort: Cohort,
) -> Chosen:
    denoiser = heads.denoiser
    digest = hashlib.sha256(released_weights(weights)).hexdigest()
    if job.plan.start == "released":
        found, figures = site_calibrations(
            job, heads, begun.settings, digest, cohort, _rendered(begun)
        )
        return Chosen(begun.settings, [], found, figures, [])
    groups = held_out(cohort, SELECTION_SUBJECTS, device=torch.device("cpu"))
    config, anomaly, table = choose_settings(denoiser, groups, progress=job.tell.say)
    settings = ModelSettings(denoiser.config, config, anomaly)
    found, figures = site_calibrations(job, heads, settings, digest, cohort, SIMULATED)
    job.tell.say("second pass over flagged slices")
    passes = compare_passes(denoiser, groups, config, anomaly, found)
    second = math.isfinite(passes[0].error) and passes[1].error < passes[0].error
    settings = replace(settings, reconstruction=replace(config, second_pass=second))
    return Chosen(settings, [*table, *passes], found, figures, [])


def _denoiser(begun: Model, weights: dict[str, torch.Tensor], device: str) -> Denoiser:
    """The network with the weights as they are released: rounded to float16."""
    denoiser = Denoiser(begun.settings.network)
    denoiser.load_state_dict({key: value.half().float() for key, value in weights.items()})
    denoiser.requires_grad_(False).eval()
    return denoiser.to(torch.device(device)).to(memory_format=torch.channels_last)


def _rendered(model: Model) -> tuple[str, ...]:
    """The contrasts that are rendered: those that the model serves."""
    return tuple(name for name in SIMULATED if name in model.contrasts)


def _empty(folder: Path) -> Path:
    """The folder's path, without what an export that did not end has left there."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    return folder


def _write_version(folder: Path, version: str, change: str) -> None:
    metadata = read_json(folder / METADATA)
    changes = {**metadata.get("changelog", {}), version: change}
    write_json(folder / METADATA, {**metadata, "version": version, "changelog": changes})


def _population(job: Job) -> str:
    return (job.plan.population or "a local healthy cohort").rstrip(".")


def _bundled(
    words: str, found: Sequence[Calibration], figures: Sequence[CalibrationFigures]
) -> Bundled:
    rows = tuple(
        CalibrationRow(
            one.contrast, one.kind, row.scans, one.threshold, row.findings, row.flagged_ml
        )
        for one, row in zip(found, figures, strict=True)
    )
    return Bundled(words, rows)
