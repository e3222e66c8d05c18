"""What each part of the controller gives to the panel's state."""

from __future__ import annotations

from typing import Any

from HealthyCounterpartLib.connection import Connection
from HealthyCounterpartLib.findings import evidence_line
from HealthyCounterpartLib.generation import Generation
from HealthyCounterpartLib.overlay import RESIDUAL_UNIT, SCORE, SCORE_UNIT
from HealthyCounterpartLib.review import Review
from HealthyCounterpartLib.words import reference_words


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
        "references": tuple(reference_words(one) for one in review.facts.references),
        "findings": review.rows,
        "selected": review.row,
    }
