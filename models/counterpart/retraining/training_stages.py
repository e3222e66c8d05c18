"""The stages that train: the encoder, then the denoiser."""

from __future__ import annotations

import logging
from pathlib import Path

from counterpart.bundle import SETTINGS, ModelSettings
from counterpart.bundle_files import read_json
from counterpart.denoiser import DenoiserConfig
from counterpart.errors import CohortError
from counterpart.retraining.following import watch_of
from counterpart.retraining.job import CHECKPOINT, Job
from counterpart.retraining.marks import Ended
from counterpart.retraining.pace import (
    CONFIGURATION,
    chosen_steps,
    denoiser_schedule,
    encoder_schedule,
)
from counterpart.retraining.plan import Steps
from counterpart.training.configurations import configuration_named
from counterpart.training.stages import train_denoiser, train_encoder
from counterpart.training.watching import Watch


def network_of(job: Job) -> DenoiserConfig:
    """The network: of the size and form of the model that the retraining began with."""
    settings = read_json(Path(job.decided.folder) / SETTINGS)
    return ModelSettings.from_json(settings).network


def steps_of(job: Job) -> Steps:
    """Steps of both stages.

    Raises:
        CohortError: A network that takes a code would begin with an encoder that knows nothing.
    """
    has_encoder = network_of(job).encoder is not None
    steps = chosen_steps(job.plan, has_encoder=has_encoder)
    if has_encoder and steps.encoder == 0 and job.plan.start == "nothing":
        raise CohortError(
            "the encoder needs steps where training begins with nothing; give it some, or begin "
            "with the released weights."
        )
    return steps


def learn_codes(job: Job) -> Ended:
    """Train the encoder, or go on with it."""
    encoder = network_of(job).encoder
    steps = steps_of(job).encoder
    if encoder is None or steps == 0:
        return Ended("The network takes no code." if encoder is None else "The encoder was kept.")
    configuration = configuration_named(CONFIGURATION)
    with job.cancellation.waiting():
        train_encoder(
            job.cohort_folder,
            job.stage_run("encoder"),
            network=encoder,
            training=encoder_schedule(job.plan, steps),
            examples=configuration.pairs,
            start_from=_start(job),
            resume=True,
            machines=job.machines,
            watch=_watch(job, "encoder"),
        )
    return Ended(f"{steps} steps")


def learn_to_heal(job: Job) -> Ended:
    """Train the denoiser, or go on with it."""
    steps = steps_of(job)
    configuration = configuration_named(CONFIGURATION)
    with job.cancellation.waiting():
        train_denoiser(
            job.cohort_folder,
            job.stage_run("denoiser"),
            network=network_of(job),
            healing=denoiser_schedule(job.plan, steps.denoiser),
            examples=configuration.examples,
            encoder_run=job.stage_run("encoder") if steps.encoder else None,
            start_from=_start(job),
            configuration=CONFIGURATION,
            resume=True,
            machines=job.machines,
            watch=_watch(job, "denoiser"),
        )
    return Ended(f"{steps.denoiser} steps")


def _start(job: Job) -> str | None:
    return job.decided.folder if job.plan.start == "released" else None


def _watch(job: Job, stage: str) -> Watch:
    # Lightning announces accelerators that are not there, and products.
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    checkpoint = job.stage_run(stage) / CHECKPOINT
    return watch_of(job.run, stage, checkpoint, job.tell, job.cancellation)
