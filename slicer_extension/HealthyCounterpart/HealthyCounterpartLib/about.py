"""What Slicer shows of the module: title, category, help, acknowledgement."""

from __future__ import annotations

from typing import Any

from HealthyCounterpartLib.translation import _

PAPERS = ("https://arxiv.org/abs/2406.00772", "https://arxiv.org/abs/2601.22663")


def describe(module: Any) -> None:
    """Fill in what Slicer shows of a module.

    Args:
        module: Slicer's module.
    """
    module.title = _("Healthy Counterpart")
    module.categories = [_("Neuroimaging")]
    module.dependencies = []
    module.contributors = ["The Counterpart developers"]
    module.helpText = _(
        "Asks a Counterpart server how a brain MRI would look in health, and shows where the scan "
        "differs: an anomaly map over the scan, and a table of findings. "
        "AI-generated, research use only. Not for clinical use."
    )
    papers = ", ".join(f'<a href="{paper}">{paper}</a>' for paper in PAPERS)
    module.acknowledgementText = _("The method follows {papers}.").format(papers=papers)
