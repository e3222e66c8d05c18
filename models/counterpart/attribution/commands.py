"""What ``counterpart references`` does, with progress on the console."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console

from counterpart.attribution.adding import add_references
from counterpart.attribution.building import Progress, Working
from counterpart.attribution.exemplars import ExemplarTraining, exemplar_ranks
from counterpart.attribution.measured_words import measured_section
from counterpart.attribution.measuring import coded_heads, retrieval_rows, row_json
from counterpart.attribution.memorised import measure_memorisation
from counterpart.attribution.patterned import (
    PatternedAnswer,
    patterned_answers,
    patterned_words,
)
from counterpart.attribution.pictures import cohort_secret
from counterpart.attribution.reference_index import pseudonym
from counterpart.bundle import REFERENCES, Model, bundle_folder, load_model, read_references
from counterpart.cohort import Cohort, read_cohort
from counterpart.document_sections import check_section, replace_section
from counterpart.errors import CohortError, CounterpartError, ModelError
from counterpart.registry.versions import entries
from counterpart.registry.withdrawals import withdraw
from counterpart.results import DISCLAIMER

SECTION = "references measure"


@dataclass(frozen=True)
class MeasureOptions:
    """What is measured.

    Args:
        model: Name or folder of a bundle.
        cohort: Prepared cohort that it was trained on.
        out: File for the figures.
        subjects: Most of each kind.
        exemplars: How many copies of the denoiser are trained on one subject each.
        device: torch device.
        document: Markdown file whose section is renewed, if any.
    """

    model: str
    cohort: Path
    out: Path
    subjects: int = 40
    exemplars: int = 20
    device: str = "cpu"
    document: Path | None = None


def list_references(model: str) -> int:
    """Print the pseudonyms that a model knows.

    Raises:
        ModelError: It cannot be loaded, or knows none.
    """
    known = load_model(model).references
    if known is None:
        raise ModelError(f"{model}: knows no healthy references.")
    console = Console()
    for name in known.index.names:
        console.print(name, highlight=False)
    withdrawn = known.index.withdrawn
    words = (
        f"{len(known.index.names)} healthy references; withdrawn since the training: {withdrawn}"
    )
    console.print(words, highlight=False)
    return 0


def add_to_bundle(bundle: Path, cohort: Path, *, subjects: int, device: str) -> int:
    """Index the scans that a bundle was trained on."""
    console = Console()
    with console.status("healthy references") as status:
        found = add_references(
            bundle, cohort, subjects=subjects, device=device, progress=status.update
        )
    if found is None:
        raise CohortError(
            f"{cohort}: to know healthy references a model needs an encoder, and a cohort with "
            "two subjects or more in the part 'train'."
        )
    words = f"{len(found.index.names)} healthy references in {bundle}"
    console.print(words, soft_wrap=True, highlight=False, markup=False)
    return 0


def withdraw_reference(
    model: str,
    reference: str | None,
    *,
    subject: str | None = None,
    cohort: Path | None = None,
    reason: str = "",
    root: Path | None = None,
) -> int:
    """Withdraw a reference from every version of a model.

    Args:
        model: Its name.
        reference: Pseudonym; or else
        subject: the name in the cohort,
        cohort: and the prepared cohort whose key tells the pseudonym.
        reason: Why.
        root: The registry.

    Raises:
        CounterpartError: Neither or both were given, or the model knows no such reference.
    """
    if (reference is None) == (subject is None) or (subject is None) != (cohort is None):
        raise CounterpartError("give the pseudonym, or --subject together with --cohort.")
    if subject is not None and cohort is not None:
        if subject not in {one.name for one in read_cohort(cohort).subjects}:
            raise CohortError(f"{cohort}: has no subject {subject!r}.")
        reference = pseudonym(subject, cohort_secret(cohort))
    known = {
        name
        for entry in entries(root)
        if entry.name == model and (entry.folder / REFERENCES).is_file()
        for name in read_references(entry.folder).index.names
    }
    withdraw(model, str(reference), known, reason=reason, root=root)
    text = (
        f"{reference} is named by no answer of {model} any more. The weights stay trained on this "
        "subject until the model is retrained without its scan."
    )
    Console().print(text, soft_wrap=True, highlight=False, markup=False)
    return 0


def measure_references(options: MeasureOptions) -> int:
    """Measure retrieval, exemplars and memorisation, and write the figures.

    Raises:
        CounterpartError: The model has no encoder, or the document has no such section.
    """
    if options.document is not None:
        check_section(options.document, SECTION)
    model = load_model(bundle_folder(options.model), device=options.device)
    if model.denoiser.config.encoder is None:
        raise ModelError(f"{options.model}: has no encoder to compare slices by.")
    cohort = read_cohort(options.cohort)
    training = ExemplarTraining()
    console = Console()
    with console.status("retrieval") as status:
        heads = coded_heads(model.denoiser, cohort, options.subjects, progress=status.update)
        rows = retrieval_rows(heads)
        kept = measure_memorisation(
            model.denoiser, cohort, subjects=options.subjects, progress=status.update
        )
        ranks, among = exemplar_ranks(
            model.denoiser, cohort, options.exemplars, training, progress=status.update
        )
        answers = _patterned(model, cohort, options.subjects, status.update)
    figures = {
        "disclaimer": DISCLAIMER,
        "model": {"name": model.name, "version": model.version, "weights": model.weights_sha256},
        "subjects_of_each_kind": heads.trained,
        "retrieval": [row_json(row) for row in rows],
        "memorisation": {"step": kept.step, "passes": kept.passes, **kept.figures},
        "exemplars": {
            "training": training.to_json(),
            "among": among,
            "ranks": [{"before": one.before, "after": one.after} for one in ranks],
        },
        "patterned": [asdict(one) for one in answers],
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(figures, indent=1) + "\n")
    text = measured_section(model, heads, rows, kept, ranks, among, training)
    text += f"\n\n{patterned_words(answers)}" if answers else ""
    console.print(text, soft_wrap=True, highlight=False, markup=False)
    if options.document is not None:
        replace_section(options.document, SECTION, text)
    return 0


def _patterned(
    model: Model, cohort: Cohort, subjects: int, progress: Progress
) -> list[PatternedAnswer]:
    """Answers for heads whose subject is known; none where the model has no references."""
    known = model.references
    if known is None or not cohort.has_tissue:
        return []
    working = Working(model.denoiser, model.settings, model.calibrations, model.weights_sha256)
    contrasts = [name for name in known.healthy if name in working.by_contrast()]
    return patterned_answers(working, known, cohort, contrasts, subjects, progress=progress)
