"""The stages that judge the new version by the gates, and let it serve if it passes."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from counterpart.bundle import Model, load_model
from counterpart.cohort import Cohort, read_cohort
from counterpart.errors import ModelError
from counterpart.registry.gates import Gate, bundle_gate, gate_name, gates_with
from counterpart.registry.publishing import Terms, publish
from counterpart.registry.serving_models import ServingModels
from counterpart.registry.verdict import Verdict
from counterpart.registry.versions import entries
from counterpart.retraining.job import Job
from counterpart.retraining.marks import Judged, Published
from counterpart.retraining.plan import Plan, PlanError

logger = logging.getLogger(__name__)


def check_terms(plan: Plan) -> None:
    """Refuse to overrule a gate that there is not.

    Raises:
        PlanError: The plan does.
    """
    try:
        Terms(force=plan.force, reason=plan.reason)
    except ModelError as error:
        raise PlanError(f"'force': {error}") from error


def evaluate(job: Job) -> Judged:
    """Put the new version through the gates, beside the one that serves."""
    candidate = load_model(job.bundle_folder, device=job.device)
    serving = serving_model(job)
    cohort = read_cohort(job.cohort_folder)
    gates = (bundle_gate(job.bundle_folder), *_gates(job))
    verdicts: list[Verdict] = []
    for gate in gates:
        words = gate_name(gate).replace("_", " ")
        job.tell.say(f"gate {len(verdicts) + 1} of {len(gates)}: {words}")
        verdicts.append(gate(candidate, serving, cohort))
        job.tell.file.tell(at_once=True, verdicts=tuple(verdicts))
    return Judged(_key(candidate), "" if serving is None else _key(serving), tuple(verdicts))


def let_serve(job: Job) -> Published:
    """Publish the new version, if that is asked for and the gates agree."""
    judged = job.left("evaluation", Judged)
    plan = job.plan
    if not plan.publish:
        words = f"Not published, as asked. The bundle is {job.bundle_folder}."
        return Published(None, judged.verdicts, words)
    by = f" (asked for by {plan.by})" if plan.by else ""
    terms = Terms(
        cohort=read_cohort(job.cohort_folder),
        gates=tuple(_remembering(gate, judged) for gate in _gates(job)),
        force=plan.force,
        reason=f"{plan.reason or 'retrained on local healthy scans'}{by}",
        device=job.device,
    )
    done = publish(job.bundle_folder, name=job.decided.model, root=plan.registry, terms=terms)
    verdicts = done.verdicts or judged.verdicts
    if done.published:
        words = f"Version {done.version} of {done.name} serves."
    else:
        failed = ", ".join(one.gate for one in verdicts if not one.passed)
        words = f"Not published: {failed} not passed. Version {job.decided.begun_with} serves on."
    return Published(done.published, verdicts, words)


def serving_model(job: Job) -> Model | None:
    """The version that serves under the model's name, if it can be loaded."""
    for entry in entries(job.plan.registry):
        if entry.name == job.decided.model and entry.serving:
            try:
                return load_model(entry.folder, device=job.device)
            except ModelError:
                return None
    return None


def _gates(job: Job) -> Sequence[Gate]:
    """All gates; each contrast is compared with the version that serves it."""
    if serving_model(job) is None:
        return gates_with(job.tell.say)
    serving = ServingModels(job.decided.model, job.device, job.plan.registry)

    def incumbent(contrast: str) -> Model | None:
        try:
            return serving.for_contrast(contrast)
        except ModelError as error:
            logger.warning("nothing is compared on %s: %s", contrast, error)
            return None

    return gates_with(job.tell.say, incumbent)


def _remembering(gate: Gate, judged: Judged) -> Gate:
    """The gate, which says again what it said if both models are still the same ones."""
    said = {one.gate: one for one in judged.verdicts}.get(gate_name(gate))

    def again(candidate: Model, serving: Model | None, cohort: Cohort | None) -> Verdict:
        pair = (_key(candidate), "" if serving is None else _key(serving))
        if said is not None and pair == (judged.candidate, judged.serving):
            return said
        return gate(candidate, serving, cohort)

    again.__name__ = gate_name(gate)
    return again


def _key(model: Model) -> str:
    return f"{model.version} {model.weights_sha256}"
