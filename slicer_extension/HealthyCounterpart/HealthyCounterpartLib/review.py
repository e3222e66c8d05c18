"""Looking at a run: its maps over the scan, its findings, and what the reader thinks of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Optional

from HealthyCounterpartLib.collaborators import Collaborators, Parameters
from HealthyCounterpartLib.finding_row import ACCEPTED, OPEN, REJECTED, FindingRow
from HealthyCounterpartLib.findings import VOLUME, in_order
from HealthyCounterpartLib.healthy_references import References, read_references
from HealthyCounterpartLib.overlay import BESIDE, LAYOUTS, MAPS, SIGNS, Overlay

if TYPE_CHECKING:
    from HealthyCounterpartLib.scene.provenance import RunFacts
    from HealthyCounterpartLib.scene.runs import Run

_LEAST_WIDTH = 1e-3  # of the slider, as a share of its upper end


class Review:
    """The run that is looked at.

    Args:
        collaborators: The scene.
        parameters: Keep how maps are shown, and which run.
    """

    def __init__(self, collaborators: Collaborators, parameters: Parameters) -> None:
        self._scene = collaborators.scene
        self._parameters = parameters
        self.runs: tuple[Run, ...] = ()
        self.run: Optional[Run] = None
        self.facts: Optional[RunFacts] = None
        self.references: Optional[References] = None
        self.shown_reference = ""  # pseudonym of the one that lies beside the scan
        self.rows: tuple[FindingRow, ...] = ()
        self.sorted_by = VOLUME
        self.selected: Optional[int] = None  # number of a finding
        self.slider_maximum = 100.0
        self._shown: Optional[Overlay] = None

    @property
    def overlay(self) -> Overlay:
        """As the parameters say; what they contradict each other in is mended."""
        kept = self._parameters
        hide = min(max(float(kept.hideBelow), 0.0), self.slider_maximum)
        least = max(hide, self.slider_maximum) * _LEAST_WIDTH
        return Overlay(
            shown_map=kept.shownMap if kept.shownMap in MAPS else MAPS[0],
            sign=kept.sign if kept.sign in SIGNS else SIGNS[0],
            hide_below=hide,
            saturate_above=max(float(kept.saturateAbove), hide + least),
            opacity=min(max(float(kept.opacity), 0.0), 1.0),
        )

    @property
    def layout(self) -> str:
        """As the parameters say; without a reference there is nothing to lie beside the scan."""
        kept = self._parameters.layout
        possible = kept in LAYOUTS and (kept != BESIDE or bool(self.shown_reference))
        return kept if possible else LAYOUTS[0]

    @property
    def row(self) -> int:
        """Index of the selected finding in the table; -1 for none."""
        numbers = [row.number for row in self.rows]
        return numbers.index(self.selected) if self.selected in numbers else -1

    def use(self, parameters: Parameters) -> None:
        """Another parameter node, as after a scene was closed or opened."""
        self._parameters = parameters
        self._shown = None

    def find_runs(self) -> None:
        """Look which runs the scene has: the one that the parameters name, else the newest."""
        self.runs = tuple(self._scene.runs())
        run = next((one for one in self.runs if one.name == self._parameters.run), None)
        if run is None and self.runs:
            self.open(self.runs[0])
        elif run is None or self.run is None or run.id != self.run.id:
            self._take(run, fresh=False)
        else:
            self.run = run
            self.shown_reference = self._scene.reference_of(run)
            self.read_rows()

    def open(self, run: Run) -> None:
        """Show a run from its beginning, with its healthy threshold."""
        self.runs = tuple(self._scene.runs())
        if run.id not in [one.id for one in self.runs]:
            self.find_runs()  # its nodes were removed meanwhile
            return
        self._parameters.run = run.name
        self._take(run, fresh=True)

    def choose(self, index: int) -> None:
        """Show one of the scene's runs."""
        if 0 <= index < len(self.runs) and self.runs[index] != self.run:
            self.open(self.runs[index])

    def read_rows(self) -> None:
        """Read the findings from the scene, where the reader may have changed them."""
        rows = self._scene.rows(self.run) if self.run is not None else ()
        self.rows = in_order(rows, self.sorted_by)

    def set_map(self, name: str) -> None:
        """Show the calibrated score or the residual, from its own default."""
        if name in MAPS and name != self.overlay.shown_map:
            self._parameters.shownMap = name
            self.reset()

    def set_sign(self, name: str) -> None:
        """Show both directions or one."""
        if name in SIGNS:
            self._parameters.sign = name
            self.recolour()

    def set_range(self, hide_below: float, saturate_above: float) -> None:
        """Move the slider with two ends."""
        self._parameters.hideBelow = float(hide_below)
        self._parameters.saturateAbove = float(saturate_above)
        self.recolour()

    def reset(self) -> None:
        """The healthy threshold again, or the residual's default."""
        if self.run is None:
            return
        shown = self.overlay.shown_map
        self.slider_maximum = self._scene.slider_maximum(self.run, shown)
        default = self._scene.default_overlay(self.run, shown)
        self._parameters.hideBelow = default.hide_below
        self._parameters.saturateAbove = default.saturate_above
        self._show()

    def recolour(self) -> None:
        """Let the picture follow the parameters; nothing is done where they are the same."""
        overlay = self.overlay
        if self.run is None or overlay == self._shown:
            return
        if self._shown is None or overlay.shown_map != self._shown.shown_map:
            self._show()
            return
        self._shown = overlay
        self._scene.recolour(self.run, overlay)

    def set_layout(self, name: str) -> None:
        """Arrange the views."""
        if name in LAYOUTS:
            self._parameters.layout = name
            self._show()

    def show_beside(self) -> None:
        """Show the healthy reference of the run beside its scan, at the finding looked at."""
        if self.run is not None:
            self.shown_reference = self._scene.reference_of(self.run)
            if self.selected is None and self.rows:
                self.selected = self.rows[0].number
            self.set_layout(BESIDE)

    def hold_original(self, held: bool) -> None:
        """Show the scan alone while a button is held."""
        if self.run is not None:
            self._scene.hold_original(self.run, held, self.overlay)

    def select(self, row: int) -> None:
        """Jump to a finding and outline it; a row that is not there selects none."""
        self.selected = self.rows[row].number if 0 <= row < len(self.rows) else None
        if self.run is not None:
            self._scene.select(self.run, self.selected)

    def step(self, by: int) -> None:
        """The next or the previous finding, in the order of the table, round the end."""
        if self.rows:
            start = self.row if self.row >= 0 else (-1 if by > 0 else 0)
            self.select((start + by) % len(self.rows))

    def sort(self, by: str) -> None:
        """Order the table; the selected finding stays selected."""
        self.rows = in_order(self.rows, by)
        self.sorted_by = by

    def judge(self, state: str) -> None:
        """Accept or reject the selected finding; the same again takes it back."""
        row = self.row
        if self.run is None or row < 0 or state not in (ACCEPTED, REJECTED):
            return
        wanted = OPEN if self.rows[row].state == state else state
        self._scene.set_state(self.run, self.rows[row].number, wanted)
        self.read_rows()

    def comment(self, text: str) -> None:
        """Say something of the selected finding."""
        if self.run is not None and self.row >= 0 and self.rows[self.row].comment != text:
            self._scene.set_comment(self.run, self.rows[self.row].number, text)
            self.read_rows()

    def export(self, kind: str, path: Path) -> list[Path]:
        """Write the segmentation, the maps or the table.

        Args:
            kind: ``segmentation``, ``maps`` or ``table``.
            path: File, or folder for the maps; what is there is replaced, as the dialog has asked.

        Returns:
            The files.
        """
        if self.run is None:
            return []
        if kind == "maps":
            return list(self._scene.export_maps(self.run, path, overwrite=True))
        write = {
            "segmentation": self._scene.export_segmentation,
            "table": self._scene.export_table,
        }[kind]
        return list(write(self.run, path, overwrite=True) or [path])

    def _take(self, run: Optional[Run], *, fresh: bool) -> None:
        self.run, self.selected, self._shown = run, None, None
        self.facts = self._scene.facts(run) if run is not None else None
        self.references = read_references(self.facts.references) if self.facts else None
        self.shown_reference = self._scene.reference_of(run) if run is not None else ""
        self.read_rows()
        if run is None:
            return
        self.slider_maximum = self._scene.slider_maximum(run, self.overlay.shown_map)
        if fresh:
            self.reset()
        else:
            self._show()

    def _show(self) -> None:
        if self.run is not None:
            self._shown = self.overlay
            self._scene.show(self.run, self._shown, self.layout)
            if self.selected is not None:
                self._scene.select(self.run, self.selected)
