"""How many steps a retraining takes by default, and how long its stages are expected to last.

Measured: a step of the denoiser (16 slices) takes 0.64 s on two cores that have bfloat16, and 3.5 s
on one core that has not, where one of the encoder (32 pairs of slices) takes 1.9 s. So two cores
with bfloat16 need about 0.35 s for the encoder's, and two without 1.9 s and 1.0 s. The hours:

================ =================== ================== ======================
default steps    encoder, denoiser   with bfloat16      without
================ =================== ================== ======================
released weights 400, 10,000         0.04 + 1.8 = 1.8   0.1 + 5.3 = 5.4
nothing          3,000, 16,000       0.3 + 2.8 = 3.1    0.8 + 8.4 = 9.3
================ =================== ================== ======================

Besides, preparing 40 scans takes minutes, and calibration and gates less than an hour: every case
fits a night. On a GPU the larger one fits an hour if a step takes less than 3600 / 19,000 = 0.19 s.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

from counterpart.retraining.plan import Plan, Steps
from counterpart.training.configurations import configuration_named
from counterpart.training.encoder_stage import EncoderTraining
from counterpart.training.healing import HealingConfig
from counterpart.training.schedule import Schedule

CONFIGURATION = "ours"
DEFAULT_STEPS = {"released": Steps(400, 10_000), "nothing": Steps(3_000, 16_000)}
EPOCHS = 50
# Fine-tuning moves the weights a little: a fifth of the rate that they were trained with.
FINE_TUNING_RATE = 0.2
STEP_SECONDS = {"encoder": 0.35, "denoiser": 0.64}
SUBJECT_SECONDS = {"checks": 3.0, "prepare": 6.0, "calibrate": 10.0, "export": 10.0}
STAGE_SECONDS = {"checks": 5.0, "calibrate": 240.0, "export": 300.0, "evaluation": 600.0}
OTHER_SECONDS = 20.0

AnySchedule = TypeVar("AnySchedule", bound=Schedule)


def chosen_steps(plan: Plan, *, has_encoder: bool) -> Steps:
    """The steps of both stages: those of the plan, else the default ones.

    Args:
        plan: What is asked for.
        has_encoder: Whether the network takes a code; without one its stage has no steps.
    """
    steps = plan.steps or DEFAULT_STEPS[plan.start]
    return steps if has_encoder else replace(steps, encoder=0)


def encoder_schedule(plan: Plan, steps: int) -> EncoderTraining:
    """How the encoder is trained."""
    return _schedule(configuration_named(CONFIGURATION).encoder_training, plan, steps)


def denoiser_schedule(plan: Plan, steps: int) -> HealingConfig:
    """How the denoiser is trained."""
    return _schedule(configuration_named(CONFIGURATION).healing, plan, steps)


def _schedule(default: AnySchedule, plan: Plan, steps: int) -> AnySchedule:
    """A stage's own schedule, fitted to the number of steps.

    A validation falls on a checkpoint, so that one that is interrupted costs no steps. The average
    must not be longer than the run.
    """
    every = max(1, min(default.checkpoint_every, steps // 10))
    tuned = plan.start == "released"
    return replace(
        default,
        steps=steps,
        batch_size=plan.batch_size or default.batch_size,
        learning_rate=default.learning_rate * (FINE_TUNING_RATE if tuned else 1.0),
        warmup_steps=min(default.warmup_steps, max(1, steps // 10)),
        ema_decay=min(default.ema_decay, max(0.0, 1.0 - 10.0 / steps)),
        checkpoint_every=every,
        validate_every=4 * every,
        seed=plan.seed,
    )


def steps_per_epoch(steps: int) -> int:
    """Steps of what is shown as an epoch: a fiftieth of a stage, at least one."""
    return max(1, steps // EPOCHS)


def expected_seconds(stage: str, subjects: int, steps: Steps) -> float:
    """How long a stage is expected to last on two cores.

    Args:
        stage: Its name.
        subjects: How many there are.
        steps: Of both stages of training.
    """
    if stage in STEP_SECONDS:
        return STEP_SECONDS[stage] * float(getattr(steps, stage)) + OTHER_SECONDS
    each = SUBJECT_SECONDS.get(stage, 0.0)
    return STAGE_SECONDS.get(stage, OTHER_SECONDS) + each * subjects
