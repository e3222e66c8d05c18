"""Publishes a bundle: copied aside, loaded strictly, put through the gates, served by one rename.

Until that last rename the version that served goes on serving, whatever happens; what a killed
publication leaves is hidden, not seen by anyone, and cleared away by the next one.
"""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from counterpart.bundle import (
    CARD,
    MANIFEST,
    SERVING,
    Model,
    bundle_version,
    checked_digests,
    load_model,
)
from counterpart.cohort import Cohort
from counterpart.errors import ModelError
from counterpart.registry.comparing_gates import Incumbent, Progress, Share
from counterpart.registry.gates import GATES, Gate, bundle_gate, gate_name, gates_with
from counterpart.registry.serving import (
    REGISTRY,
    Event,
    Serving,
    now_utc,
    read_serving,
    sync_folder,
    write_serving,
)
from counterpart.registry.serving_models import ServingModels
from counterpart.registry.verdict import Verdict
from counterpart.registry.versions import (
    account,
    checked_name,
    locked,
    registry_folder,
    released,
)

logger = logging.getLogger(__name__)

STAGING = ".publishing-"
Tell = Callable[[Verdict], None]


@dataclass(frozen=True)
class Publication:
    """How a publication ended.

    Args:
        name: Of the model.
        version: Of the model.
        folder: Where the version lies if it was published.
        published: Whether the version was published, now or, with the same content, earlier.
        serving: Whether it serves.
        verdicts: Of the gates; none if the same content had been published earlier.
    """

    name: str
    version: str
    folder: Path
    published: bool
    serving: bool
    verdicts: tuple[Verdict, ...] = ()


@dataclass(frozen=True)
class Terms:
    """On what terms a candidate is published.

    Args:
        cohort: Held-out heads for the gates that compare.
        gates: Besides the one for the files; without them all, each contrast compared with the
            version that serves it.
        force: Names of gates that need not be passed.
        reason: Why it is published, for the history; needed where a gate is overruled.
        device: Where the networks shall work.
        tell: Called with each verdict as it is found.
        progress: Called with words before each head that a gate looks at; may raise to cancel, and
            then nothing is published. Gates that are given here have their own.
        share: Called before each head with the share of the gate that is done.
    """

    cohort: Cohort | None = None
    gates: Sequence[Gate] | None = None
    force: Collection[str] = ()
    reason: str = ""
    device: str = "cpu"
    tell: Tell | None = None
    progress: Progress | None = None
    share: Share | None = None

    def __post_init__(self) -> None:
        known = [gate_name(gate) for gate in (GATES if self.gates is None else self.gates)]
        for name in self.force:
            if name not in known:
                raise ModelError(
                    f"{name!r} is no gate that can be overruled, but {', '.join(known)}."
                )
        if self.force and not self.reason.strip():
            raise ModelError("a gate is overruled for a reason only; say it.")


def publish(
    bundle: Path,
    *,
    name: str | None = None,
    root: Path | None = None,
    terms: Terms | None = None,
) -> Publication:
    """Publish a bundle and let it serve, if it passes the gates.

    Args:
        bundle: The bundle's folder; it is copied.
        name: Of the model; else that of the folder.
        root: The registry; see `counterpart.registry.versions.registry_folder`.
        terms: Cohort, gates, reason.

    Raises:
        ModelError: The bundle is damaged or incomplete, its version was published with another
            content, or another process is publishing.
    """
    terms = terms or Terms()
    name = checked_name(name or bundle.resolve().name)
    complete_digests(bundle)
    folder = registry_folder(root) / name
    with locked(folder):
        _clear(folder)
        known = read_serving(folder)
        with _staged(bundle, folder) as staged:
            digests = complete_digests(staged)
            version = checked_name(bundle_version(staged), "version")
            place = folder / version
            if known is not None and version in known.published:
                _check_same(place, digests)
                serving = known.now.place == (version, REGISTRY)
                return Publication(name, version, place, True, serving)
            candidate = _loaded(staged, bundle, name, terms.device)
            verdicts = _judged(staged, candidate, _serving(folder, known, terms.device), terms)
            failed = [verdict.gate for verdict in verdicts if not verdict.passed]
            if set(failed) - set(terms.force):
                return Publication(name, version, place, False, False, verdicts)
            _put(staged, place)
        event = _event(candidate, verdicts, failed, terms)
        write_serving(folder, known.then(event) if known else Serving((event,)))
    return Publication(name, version, place, True, True, verdicts)


def complete_digests(folder: Path) -> dict[str, str]:
    """The sha256 of every file of a bundle that has its card and no file beyond the manifest.

    Raises:
        ModelError: A file is missing, changed, or not listed; it is named.
    """
    digests = checked_digests(folder)
    files = (path for path in folder.rglob("*") if path.is_file())
    found = {path.relative_to(folder).as_posix() for path in files} - {MANIFEST}
    for name in sorted(found ^ set(digests)):
        fault = "is not in the manifest" if name in found else "is not within the bundle"
        raise ModelError(f"{folder / name}: {fault}; write the bundle again.")
    if CARD not in digests:
        raise ModelError(f"{folder / CARD}: the model card is missing.")
    return digests


@contextmanager
def _staged(bundle: Path, folder: Path) -> Iterator[Path]:
    """A copy on the disk, in a hidden folder that is gone afterwards."""
    staged = Path(tempfile.mkdtemp(prefix=STAGING, dir=folder))
    try:
        staged.chmod(0o755)
        for path in sorted(bundle.rglob("*")):
            target = staged / path.relative_to(bundle)
            if path.is_dir():
                target.mkdir()
                continue
            shutil.copyfile(path, target)
            target.chmod(0o444)
            with target.open("rb") as stream:
                os.fsync(stream.fileno())
        for path in (*(path for path in staged.rglob("*") if path.is_dir()), staged):
            sync_folder(path)
        yield staged
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def _clear(folder: Path) -> None:
    """Remove what publications that were killed have left; the lock is held."""
    for pattern in (f"{STAGING}*", f".{SERVING}-*"):
        for path in folder.glob(pattern):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()


def _check_same(place: Path, digests: dict[str, str]) -> None:
    if complete_digests(place) != digests:
        raise ModelError(
            f"{place}: this version was published with another content and is never changed; "
            "give the bundle a new version number."
        )


def _loaded(staged: Path, bundle: Path, name: str, device: str) -> Model:
    """The candidate, loaded from the copy; errors name the file of the bundle."""
    try:
        return replace(load_model(staged, device=device), name=name)
    except ModelError as error:
        fault = str(error).replace(str(staged), str(bundle))
        raise ModelError(fault if str(bundle) in fault else f"{bundle}: {fault}") from error


def _serving(folder: Path, known: Serving | None, device: str) -> Model | None:
    """The model that serves under this name, if it can be loaded."""
    in_package = released(folder.name)
    if known is not None and known.now.source == REGISTRY:
        place = folder / known.now.version
    elif in_package is not None:
        place = in_package.folder
    else:
        return None
    try:
        return load_model(place, device=device)
    except ModelError as error:
        logger.warning("nothing is compared with the serving model: %s", error)
        return None


def _judged(
    staged: Path, candidate: Model, serving: Model | None, terms: Terms
) -> tuple[Verdict, ...]:
    """All verdicts; if the files are unsound, that one alone."""
    verdicts: list[Verdict] = []
    gates = terms.gates
    if gates is None:
        incumbent = _incumbent(staged, candidate, serving, terms)
        gates = gates_with(terms.progress, incumbent, terms.share)
    for gate in (bundle_gate(staged), *gates):
        verdicts.append(gate(candidate, serving, terms.cohort))
        if terms.tell:
            terms.tell(verdicts[-1])
        if not verdicts[0].passed:
            break
    return tuple(verdicts)


def _incumbent(
    staged: Path, candidate: Model, serving: Model | None, terms: Terms
) -> Incumbent | None:
    """Which model serves a contrast before the publication."""
    if serving is None:
        return None
    now = ServingModels(candidate.name, terms.device, staged.parent.parent)

    def model_of(contrast: str) -> Model | None:
        try:
            return now.for_contrast(contrast)
        except ModelError as error:
            logger.warning("nothing is compared on %s: %s", contrast, error)
            return None

    return model_of


def _put(staged: Path, place: Path) -> None:
    """Rename the copy to the version's folder; no history names it yet, so nobody sees it."""
    if place.exists():
        # Left by a publication that was killed before the history named it.
        shutil.rmtree(place)
    staged.rename(place)
    sync_folder(place.parent)


def _event(
    candidate: Model, verdicts: tuple[Verdict, ...], forced: list[str], terms: Terms
) -> Event:
    return Event(
        "publish",
        candidate.version,
        REGISTRY,
        now_utc(),
        account(),
        terms.reason,
        candidate.weights_sha256,
        terms.cohort.content_hash if terms.cohort else "",
        verdicts,
        tuple(forced),
    )
