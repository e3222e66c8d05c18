"""Everything that the panel shows: the controller makes it, the widget sets it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Optional

from HealthyCounterpartLib.finding_row import FindingRow
from HealthyCounterpartLib.overlay import FOUR_UP, Overlay

GOOD, WAITING, BAD, PLAIN = "good", "waiting", "bad", "plain"


@dataclass(frozen=True)
class Line:
    """A sentence of the panel.

    Args:
        text: Plain text; empty hides the line.
        mood: ``good``, ``waiting``, ``bad`` or ``plain``; said by a sign as well as by a colour.
    """

    text: str = ""
    mood: str = PLAIN


@dataclass
class Notice:
    """What happened last: whoever has news writes over what was said before.

    Args:
        line: The news.
    """

    line: Line = field(default_factory=Line)


@dataclass(frozen=True)
class Progress:
    """Work that is under way.

    Args:
        text: Stage, place in the queue, time left, in words.
        fraction: 0 to 1; None where nobody knows.
        cancellable: Whether *Cancel* can be pressed.
    """

    text: str
    fraction: Optional[float] = None
    cancellable: bool = True


@dataclass(frozen=True)
class AdministratorState:
    """The administrator's section.

    Args:
        visible: Whether the token allows it.
        study: Study that would be marked; empty where none is chosen.
        cohort: Lines on the cohort.
        training: Line on the training.
        fraction: Of the training; None where none runs.
        can_start: Whether a training can be started.
        can_stop: Whether one runs.
        versions: Names of the model's versions, newest first.
        serving: Index of the one that serves; -1 for none.
    """

    visible: bool = False
    study: str = ""
    cohort: Line = field(default_factory=Line)
    training: Line = field(default_factory=Line)
    fraction: Optional[float] = None
    can_start: bool = False
    can_stop: bool = False
    versions: tuple[str, ...] = ()
    serving: int = -1


@dataclass(frozen=True)
class ReferencesState:
    """The most similar healthy references.

    Args:
        offered: Whether the server offers any; without them nothing is there.
        sentence: What they are worth, in plain words.
        rows: Reference, similarity and rise, as the table shows them.
        selected: Row of the one that is fetched or lies beside the scan; -1 for none.
        line: What the server allows, or what happened last.
        progress: Of the one that is fetched; None for none.
        beside: Whether one lies beside the scan.
    """

    offered: bool = False
    sentence: str = ""
    rows: tuple[tuple[str, str, str], ...] = ()
    selected: int = -1
    line: Line = field(default_factory=Line)
    progress: Optional[Progress] = None
    beside: bool = False


@dataclass(frozen=True)
class ViewState:
    """The whole panel.

    Args:
        address: Of the server, as typed.
        server: Whether it is reachable, which model serves, what is calibrated; or why not.
        from_server: Whether the scan is a study of the server, not a volume of the scene.
        studies: Ids of the server's studies.
        study: The chosen one; empty for none.
        contrast: As chosen; empty leaves it to the server; None leaves the panel's choice alone.
        consent_host: Host that may get the scan only if the reader agrees; empty: no question.
        can_generate: Whether *Generate healthy counterpart* can be pressed.
        hint: Why it cannot, or what it will do.
        known_job: Words on a job of an earlier session that can be fetched; empty for none.
        progress: Of the work under way; None for none.
        message: What happened last.
        runs: Names of the scene's runs, newest first.
        run: Index of the one that is shown; -1 for none.
        evidence: What the findings are worth, in plain words.
        warnings: What is doubtful about this scan.
        references: Most similar healthy references, where the server offers them.
        findings: Rows in the order of the table.
        selected: Row; -1 for none.
        sorted_by: ``volume`` or ``peak``.
        overlay: How the map is shown.
        slider_maximum: Upper end of the slider with two ends.
        unit: Of the slider.
        layout: ``four-up``, ``row``, ``single`` or ``beside``.
        administrator: The folded section.
    """

    address: str = ""
    server: Line = field(default_factory=Line)
    from_server: bool = False
    studies: tuple[str, ...] = ()
    study: str = ""
    contrast: Optional[str] = None
    consent_host: str = ""
    can_generate: bool = False
    hint: str = ""
    known_job: str = ""
    progress: Optional[Progress] = None
    message: Line = field(default_factory=Line)
    runs: tuple[str, ...] = ()
    run: int = -1
    evidence: Line = field(default_factory=Line)
    warnings: tuple[str, ...] = ()
    references: ReferencesState = field(default_factory=ReferencesState)
    findings: tuple[FindingRow, ...] = ()
    selected: int = -1
    sorted_by: str = "volume"
    overlay: Overlay = field(default_factory=Overlay)
    slider_maximum: float = 100.0
    unit: str = ""
    layout: str = FOUR_UP
    administrator: AdministratorState = field(default_factory=AdministratorState)
