"""What each part of the controller gives to the panel's state."""

from __future__ import annotations

from typing import Any, Optional

from HealthyCounterpartLib.connection import Connection
from HealthyCounterpartLib.findings import evidence_line
from HealthyCounterpartLib.generation import Generation
from HealthyCounterpartLib.healthy_references import references_sentence
from HealthyCounterpartLib.overlay import RESIDUAL_UNIT, SCORE, SCORE_UNIT
from HealthyCounterpartLib.reference_pictures import ReferencePictures
from HealthyCounterpartLib.review import Review
from HealthyCounterpartLib.translation import _
from HealthyCounterpartLib.view_state import Line, ReferencesState


def state_of_parts(
    connection: Connection, generation: Generation, review: Review, pictures: ReferencePictures
) -> dict[str, Any]:
    """What all of them give."""
    return {
        **connection_state(connection),
        **generation_state(generation),
        **review_state(review),
        **references_state(review, pictures),
    }


def connection_state(connection: Connection) -> dict[str, Any]:
    """The server's fields of `ViewState`."""
    return {
        "address": connection.typed,
        "server": connection.line,
        "studies": connection.studies,
    }


def generation_state(generation: Generation) -> dict[str, Any]:
    """The job's fields of `ViewState`."""
    return {"consent_host": generation.consent_host, "progress": generation.progress}


def review_state(review: Review) -> dict[str, Any]:
    """The run's fields of `ViewState`."""
    overlay = review.overlay
    fields: dict[str, Any] = {
        "runs": tuple(run.name for run in review.runs),
        "overlay": overlay,
        "slider_maximum": review.slider_maximum,
        "unit": SCORE_UNIT if overlay.shown_map == SCORE else RESIDUAL_UNIT,
        "layout": review.layout,
        "sorted_by": review.sorted_by,
    }
    if review.run is None or review.facts is None:
        return fields
    return {
        **fields,
        "run": next(
            (index for index, run in enumerate(review.runs) if run.id == review.run.id), -1
        ),
        "evidence": evidence_line(review.rows, review.facts.evidence),
        "warnings": tuple(review.facts.warnings),
        "findings": review.rows,
        "selected": review.row,
    }


def references_state(review: Review, pictures: ReferencePictures) -> dict[str, Any]:
    """The references' field of `ViewState`."""
    references = review.references
    if review.run is None or references is None:
        return {}
    ids = [one.id for one in references.ranked]
    policy = _("The server's policy gives ids and similarity alone; it shows no reference's scan.")
    told = pictures.line
    if not told.text and ids and not references.viewable:
        told = Line(policy)
    state = ReferencesState(
        offered=True,
        sentence=references_sentence(references),
        rows=tuple(
            (one.id, _digits(one.similarity), _digits(one.rise, sign="+"))
            for one in references.ranked
        ),
        selected=ids.index(pictures.chosen) if pictures.chosen in ids else -1,
        line=told,
        progress=pictures.progress,
        beside=bool(review.shown_reference),
    )
    return {"references": state}


def _digits(value: Optional[float], sign: str = "") -> str:
    return "–" if value is None else f"{value:{sign}.3f}"
