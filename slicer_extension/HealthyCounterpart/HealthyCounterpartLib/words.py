"""What the panel says of the server and of work under way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Optional

from HealthyCounterpartLib.problems import CounterpartProblem
from HealthyCounterpartLib.server_facts import ServerInfo
from HealthyCounterpartLib.translation import _
from HealthyCounterpartLib.view_state import BAD, GOOD, PLAIN, WAITING, Line, Progress

if TYPE_CHECKING:
    from HealthyCounterpartLib.jobs import JobProgress


def server_line(url: str, info: ServerInfo) -> Line:
    """That a server is reachable, which model serves, and which contrasts are calibrated."""
    model = f"{info.model.name} {info.model.version} ({info.model.weights_sha256[:8]})"
    said = [
        _("Connected to {url} as {user}.").format(url=url, user=info.user),
        _("Model {model} on {device}.").format(model=model, device=info.device),
    ]
    healthy = [one for one in info.calibrations if one.p_floor is not None]
    known = {one.contrast for one in healthy}
    simulated = [one.contrast for one in info.calibrations if one.contrast not in known]
    if healthy:
        calibrated = ", ".join(
            _("{contrast} on {n} healthy scans").format(contrast=one.contrast, n=one.scans)
            for one in healthy
        )
        said.append(_("Calibrated: {contrasts}.").format(contrasts=calibrated))
    if simulated:
        said.append(
            _("Not calibrated, without p-values: {contrasts}.").format(
                contrasts=", ".join(simulated)
            )
        )
    if not info.calibrations:
        said.append(_("No contrast is calibrated: scores are not p-values."))
    return Line(" ".join(said), GOOD)


def problem_line(problem: CounterpartProblem) -> Line:
    """What went wrong, and the cure."""
    return Line(f"{problem.sentence} {problem.cure}".strip(), BAD)


def job_progress(told: JobProgress) -> Progress:
    """How far a job is, in words."""
    if told.phase == "writing":
        return Progress(_("Preparing the scan"), None)
    if told.phase == "uploading":
        percent = round(100 * (told.fraction or 0.0))
        return Progress(_("Sending the scan: {n} %").format(n=percent), told.fraction)
    if told.phase == "lost":
        text = _("{why} Trying again in {n} s; a job goes on at the server.")
        return Progress(text.format(why=told.stage, n=max(1, round(told.retry_s))), None)
    if told.phase == "waiting":
        return Progress(_waiting(told.position), None)
    if told.phase == "fetching":
        return Progress(_("Fetching the maps"), told.fraction)
    text = told.stage or _("The server is at work")
    if told.seconds_left is not None:
        left = _("{stage}, about {left} left")
        text = left.format(stage=text, left=duration(told.seconds_left))
    return Progress(text, told.fraction)


def _waiting(position: Optional[int]) -> str:
    if not position:
        return _("Waiting for the server")
    if position == 1:
        return _("Waiting: 1 job is before this one")
    return _("Waiting: {n} jobs are before this one").format(n=position)


def duration(seconds: float) -> str:
    """A time in words: seconds below two minutes, minutes below two hours, then hours."""
    if seconds < 120:
        return _("{n} s").format(n=max(1, round(seconds)))
    if seconds < 7200:
        return _("{n} min").format(n=round(seconds / 60))
    return _("{n:.1f} h").format(n=seconds / 3600)


def cohort_line(cohort: Mapping[str, Any]) -> Line:
    """How many healthy scans are marked, what is advised, and what is refused and why."""
    said = [
        _("{scans} healthy scans of {subjects} subjects.").format(
            scans=cohort.get("scans", 0), subjects=cohort.get("subjects", 0)
        )
    ]
    contrasts = cohort.get("contrasts") or {}
    if contrasts:
        known = ", ".join(f"{name} {facts.get('scans', 0)}" for name, facts in contrasts.items())
        said.append(f"{known}.")
    said.append(_advice(str(cohort.get("advice"))))
    said += [str(one) for one in cohort.get("warnings") or ()]
    refused = cohort.get("refused") or ()
    said += [
        _("Refused: {scan}: {reason}").format(scan=one.get("scan"), reason=one.get("reason"))
        for one in refused
    ]
    return Line("\n".join(said), BAD if refused else PLAIN)


def _advice(advice: str) -> str:
    if advice == "train":
        return _("Enough to train a model of your own, and to calibrate.")
    if advice == "calibrate":
        return _("Enough to calibrate the thresholds of the model that serves, not to train one.")
    return _("Too few to calibrate or to train.")


def training_line(training: Mapping[str, Any]) -> Line:
    """How far a training is, or how the last one has ended."""
    state = str(training.get("state", "none"))
    if state == "none":
        return Line(_("No training has been started."))
    if training.get("alive"):
        said = str(training.get("message") or training.get("stage") or _("Training"))
        left = training.get("seconds_left")
        if isinstance(left, (int, float)):
            text = _("{stage}, about {left} left").format(stage=said, left=duration(left))
            return Line(text, WAITING)
        return Line(said, WAITING)
    if state == "done":
        return _done_line(training)
    if state == "cancelled":
        return Line(_("The last training was stopped; its last checkpoint is kept."))
    error = str(training.get("error") or _("it ended without saying why."))
    return Line(_("The last training failed: {error}").format(error=error), BAD)


def _done_line(training: Mapping[str, Any]) -> Line:
    version = training.get("version") or ""
    if training.get("published"):
        return Line(_("Version {version} was trained and serves.").format(version=version), GOOD)
    failed = [
        str(one.get("reason", ""))
        for one in training.get("verdicts") or ()
        if not one.get("passed")
    ]
    said = _("Version {version} was trained but does not serve: {why}")
    why = " ".join(failed) or _("see the report.")
    return Line(said.format(version=version, why=why))
