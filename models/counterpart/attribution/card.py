"""What a model's card says of its healthy references, and whether it has kept any of them."""

from __future__ import annotations

from counterpart.attribution.memorised import Memorisation
from counterpart.attribution.record import ReferenceRecord

HEADING = "## Healthy references"


def references_section(found: ReferenceRecord, kept: Memorisation | None) -> list[str]:
    """The section as Markdown.

    Args:
        found: The references.
        kept: What the model has kept of its subjects, if that was looked for.
    """
    named = ", ".join(f"{len(rises)} for {name}" for name, rises in found.healthy.items())
    lines = [
        HEADING,
        "",
        f"The bundle holds a code of every slice from {found.levels_mm[0]:g} to "
        f"{found.levels_mm[-1]:g} mm of template space of the {len(found.index.names)} healthy "
        "subjects that were trained on, under pseudonyms whose key stays with the prepared "
        "cohort. A scan is answered with those whose similarity rises from the scan to its "
        "counterpart, within the flagged slices, most similar first; the one p-value compares the "
        "largest similarity "
        f"with that of subjects never trained on, with drawn patterns ({named or 'none'}). Similar "
        "does not mean that they caused anything. "
        f"Features are mapped by {found.method}.",
        "",
    ]
    if kept is not None:
        state = "Passed" if kept.passes else "**Not passed**"
        lines += [f"**Memorisation.** {state}: from step {kept.step}, {kept.nameless_words}", ""]
    return lines
