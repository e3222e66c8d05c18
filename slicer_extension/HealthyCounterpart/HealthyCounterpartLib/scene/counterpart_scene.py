"""What the controller asks of the scene; the work is done in the files beside this one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional

from HealthyCounterpartLib.finding_row import STATES, FindingRow
from HealthyCounterpartLib.healthy_references import read_references
from HealthyCounterpartLib.overlay import BESIDE, Overlay
from HealthyCounterpartLib.problems import CounterpartProblem
from HealthyCounterpartLib.scan_source import SceneScan
from HealthyCounterpartLib.scene import (
    arrival,
    exporting,
    findings_table,
    layers,
    layouts,
    marks,
    reach,
    reference_volume,
    review,
    runs,
    scans,
)
from HealthyCounterpartLib.scene.map_display import apply_overlay
from HealthyCounterpartLib.scene.provenance import RunFacts, facts_of
from HealthyCounterpartLib.scene.runs import Run
from HealthyCounterpartLib.scene.voxels import hash_of, voxels
from HealthyCounterpartLib.translation import _

if TYPE_CHECKING:
    from HealthyCounterpartLib.jobs import Delivery
    from HealthyCounterpartLib.reference_files import ReferencePicture


class CounterpartScene:
    """The scene, as the controller sees it. Called on the main thread alone.

    Args:
        scene: MRML scene.
        application_logic: Knows the slice views, so that they can be fitted to a scan; without it
            they stay as they are.
    """

    def __init__(self, scene: Any, application_logic: Any = None) -> None:
        self._scene = scene
        self._application_logic = application_logic
        self._held = False
        self._selected: tuple[str, Optional[int]] = ("", None)  # run and finding

    def sendable(self, volume: Any) -> SceneScan:
        """The scan as it is sent: see `scans.sendable_scan`."""
        return scans.sendable_scan(self._scene, volume)

    def active_volume(self) -> Any:
        """The scan that the reader is at; None for none."""
        return scans.active_volume(self._scene)

    def holds(self, volume: Any) -> bool:
        """Whether a volume is still in the scene.

        Args:
            volume: Node, or None.
        """
        return volume is not None and volume.GetScene() is self._scene

    def add_study(self, path: Path, image: str, url: str) -> Any:
        """A fetched study of the server, as a volume of the scene: see `arrival.add_study`."""
        volume = arrival.add_study(self._scene, path, image)
        known = {marks.STUDY: image, marks.SERVER: url, marks.VOXELS: hash_of(volume)}
        marks.mark(volume, known)
        return volume

    def study_volume(self, image: str, url: str) -> Any:
        """The volume of a study that was fetched before and not changed since; None for none.

        Args:
            image: Id of the study.
            url: Of its server.
        """
        wanted = (marks.plain(image, marks.LONGEST), marks.plain(url, marks.LONGEST))
        for node in runs.every_node(self._scene, "vtkMRMLScalarVolumeNode"):
            known = (node.GetAttribute(marks.STUDY), node.GetAttribute(marks.SERVER))
            if known == wanted and hash_of(node) == node.GetAttribute(marks.VOXELS):
                return node
        return None

    def add_run(self, volume: Any, delivery: Delivery, when: str, url: str = "") -> Run:
        """Put results into the scene, all or nothing: see `arrival.add_run`."""
        added = arrival.add_run(self._scene, volume, delivery, when, url)
        return next(run for run in self.runs() if run.id == added)

    def runs(self) -> list[Run]:
        """The runs of the scene, newest first."""
        return runs.runs_of(self._scene)

    def add_reference(self, run: Run, picture: ReferencePicture) -> None:
        """Put a healthy reference beside a run's scan: see `reference_volume.add_reference`."""
        reference_volume.add_reference(self._scene, self._now(run), picture)

    def reference_of(self, run: Run) -> str:
        """Pseudonym of the healthy reference that lies beside a run's scan; empty for none."""
        volume = self._now(run).reference
        return (volume.GetAttribute(marks.REFERENCE_ID) or "") if volume is not None else ""

    def rows(self, run: Run) -> list[FindingRow]:
        """The findings, with states and comments.

        Where the reader removed the table, they are told as the server told them.
        """
        run = self._now(run)
        if run.table is not None:
            return findings_table.rows_of(run.table)
        try:
            return list(findings_table.rows_from_json({"findings": self.facts(run).findings}))
        except (KeyError, TypeError, ValueError, OverflowError):
            return []

    def set_state(self, run: Run, number: int, state: str) -> None:
        """Accept or reject a finding, or open it again.

        Args:
            run: The run.
            number: Of the finding.
            state: ``open``, ``accepted`` or ``rejected``.
        """
        if state not in STATES:
            raise ValueError(f"expected one of {', '.join(STATES)}, got {state!r}")
        self._write(run, number, findings_table.STATE, state)
        self._draw_outlines(run)

    def set_comment(self, run: Run, number: int, text: str) -> None:
        """Comment on a finding; the text is kept on one line.

        Args:
            run: The run.
            number: Of the finding.
            text: The reader's words.
        """
        self._write(run, number, findings_table.COMMENT, text)

    def show(self, run: Run, overlay: Overlay, layout: str) -> None:
        """Show a run: layout, layers of all its views, colours, legend, outlines.

        Args:
            run: The run.
            overlay: How its map is shown.
            layout: ``four-up``, ``row``, ``single`` or ``beside``.
        """
        run = self._now(run)
        self._held = False
        layouts.arrange(self._scene, layout)
        if run.scan is not None and run.counterpart is not None:
            arrival.match_window(run.scan, run.counterpart)
        self._colour(run, overlay)
        changed = layers.fill_views(self._scene, run, overlay, layout)
        layers.show_marks(self.runs(), run, overlay, self._held)
        self._fit(changed)
        if layout == BESIDE:
            layouts.show_same_place(self._scene, *layouts.BESIDE_VIEWS)

    def recolour(self, run: Run, overlay: Overlay) -> None:
        """Show the map otherwise, in the views that show it; no voxel is touched.

        Args:
            run: The run.
            overlay: How its map is shown.
        """
        run = self._now(run)
        self._colour(run, overlay)
        layers.change_map(self._scene, run, overlay, self._held)
        layers.show_marks(self.runs(), run, overlay, self._held)

    def hold_original(self, run: Run, held: bool, overlay: Overlay) -> None:
        """Show the scan alone while a key is held, and the map again afterwards.

        Args:
            run: The run.
            held: Whether it is held.
            overlay: How its map is shown otherwise.
        """
        self._held = held
        run = self._now(run)
        layers.change_map(self._scene, run, overlay, held)
        layers.show_marks(self.runs(), run, overlay, held)

    def select(self, run: Run, number: Optional[int]) -> None:
        """Move all slice views to a finding and outline it.

        Args:
            run: The run.
            number: Of the finding; None outlines none.
        """
        run = self._now(run)
        self._selected = (run.id, number)
        self._draw_outlines(run)
        row = next((one for one in self.rows(run) if one.number == number), None)
        if row is not None:
            volume = run.anomaly or run.residual or run.counterpart or run.scan
            review.jump_views(self._scene, volume, row.centre_ras_mm)

    def default_overlay(self, run: Run, shown_map: str) -> Overlay:
        """How a map is shown at first: hidden below the healthy threshold.

        Args:
            run: The run.
            shown_map: ``score`` or ``residual``.
        """
        run = self._now(run)
        volume = layers.map_of(run, shown_map)
        values = voxels(volume) if volume is not None else None
        return reach.default_limits(values, shown_map, self.facts(run).threshold)

    def slider_maximum(self, run: Run, shown_map: str) -> float:
        """Upper end of the slider of a map.

        Args:
            run: The run.
            shown_map: ``score`` or ``residual``.
        """
        volume = layers.map_of(self._now(run), shown_map)
        largest = volume.GetAttribute(marks.LARGEST) if volume is not None else None
        return reach.slider_end(float(largest or 0.0), self.default_overlay(run, shown_map))

    def facts(self, run: Run) -> RunFacts:
        """Evidence, threshold, model and where the run comes from."""
        run = self._now(run)
        return facts_of(run.provenance, run.nodes[0]) if run.nodes else RunFacts()

    def export_segmentation(self, run: Run, path: Path, overwrite: bool = False) -> None:
        """Write the segments: see `exporting.write_segmentation`."""
        exporting.write_segmentation(self._now(run).segmentation, path, overwrite)

    def export_maps(self, run: Run, folder: Path, overwrite: bool = False) -> list[Path]:
        """Write the volumes: see `exporting.write_maps`."""
        return exporting.write_maps(self._now(run), folder, overwrite)

    def export_table(self, run: Run, path: Path, overwrite: bool = False) -> list[Path]:
        """Write the table, and that of the references: see `exporting.write_table`."""
        references = read_references(self.facts(run).references)
        return exporting.write_tables(self.rows(run), references, path, overwrite)

    def _now(self, run: Run) -> Run:
        """The run as the scene has it now: the reader may have removed nodes since."""
        found = (one for one in self.runs() if one.id == run.id)
        return next(found, Run(run.id, run.name))

    def _write(self, run: Run, number: int, column: str, text: str) -> None:
        table = self._now(run).table
        if table is None or not findings_table.write_cell(table, number, column, text):
            raise CounterpartProblem(
                _("Finding {number} is no longer in the scene.").format(number=number),
                _("Its table was removed or changed; generate again."),
            )

    def _draw_outlines(self, run: Run) -> None:
        run = self._now(run)
        if run.segmentation is not None:
            owner, number = self._selected
            shown = number if owner == run.id else None
            review.draw_outlines(run.segmentation, run.table, shown)

    def _colour(self, run: Run, overlay: Overlay) -> None:
        volume = layers.map_of(run, overlay.shown_map)
        if volume is not None:
            apply_overlay(volume, overlay)

    def _fit(self, views: list[str]) -> None:
        if self._application_logic is None:
            return
        logics = self._application_logic.GetSliceLogics()
        for index in range(logics.GetNumberOfItems() if logics is not None else 0):
            logic = logics.GetItemAsObject(index)
            if logic.GetSliceNode().GetLayoutName() in views:
                logic.FitSliceToAll()
                logic.SnapSliceOffsetToIJK()
