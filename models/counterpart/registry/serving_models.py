"""Holds the models that serve under a name, one for each contrast, loaded when asked for."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from counterpart.bundle import MANIFEST, SERVING, Model, bundle_name, load_model
from counterpart.registry.by_contrast import serving_by_contrast
from counterpart.registry.versions import entries, registry_folder, resolve
from counterpart.registry.withdrawals import WITHDRAWN, withdrawn_references


@dataclass(frozen=True)
class _Served:
    """What serves: the serving version's folder, those by contrast, who is withdrawn, a digest."""

    folder: Path
    by_contrast: dict[str, Path]
    withdrawn: frozenset[str]
    fingerprint: str


class ServingModels:
    """The models that serve under a name.

    What serves is looked up once, and again only by `reload_if_changed`, so that one scan is done
    by one version from beginning to end. Not for several threads at once.

    Args:
        name: Of the model; a bundle's folder, or ``name@version``, serves every contrast alone.
        device: torch device.
        root: The registry; see `counterpart.registry.versions.registry_folder`.
    """

    def __init__(self, name: str, device: str = "cpu", root: Path | None = None) -> None:
        self._name = name
        self._device = device
        self._root = root
        self._models: dict[Path, Model] = {}
        self._stamp = self._stamped()
        self._served = self._look_up()

    @property
    def serving(self) -> Model:
        """The version that serves."""
        return self._loaded(self._served.folder)

    def for_contrast(self, contrast: str) -> Model:
        """The version that serves a contrast; the serving one where none is calibrated on it.

        Raises:
            ModelError: It cannot be loaded.
        """
        return self._loaded(self._served.by_contrast.get(contrast, self._served.folder))

    def fingerprint(self) -> str:
        """Hexadecimal; another one when what is served, now, is another; costs a look at a file."""
        stamp = self._stamped()
        return self._served.fingerprint if stamp == self._stamp else self._look_up().fingerprint

    def reload_if_changed(self) -> bool:
        """Take what serves now; models that serve on are kept.

        Returns:
            Whether something else serves.
        """
        stamp = self._stamped()
        if stamp == self._stamp:
            return False
        served = self._look_up()
        changed = served.fingerprint != self._served.fingerprint
        kept = {served.folder, *served.by_contrast.values()}
        if served.withdrawn != self._served.withdrawn:
            kept = set()  # what was loaded names them
        self._stamp, self._served = stamp, served
        self._models = {folder: one for folder, one in self._models.items() if folder in kept}
        return changed

    def _loaded(self, folder: Path) -> Model:
        if folder not in self._models:
            self._models[folder] = load_model(folder, device=self._device)
        return self._models[folder]

    def _stamped(self) -> tuple[int, ...]:
        """Says whether a file of the registry was replaced: a rename gives it another inode."""
        known: list[int] = []
        for name in (SERVING, WITHDRAWN):
            try:
                found = (registry_folder(self._root) / self._name / name).stat()
            except (OSError, ValueError):
                known.append(0)
                continue
            known += (found.st_ino, found.st_mtime_ns, found.st_size)
        return tuple(known)

    def _look_up(self) -> _Served:
        folder = resolve(self._name, root=self._root)
        by_contrast: dict[str, Path] = {}
        if any(one.name == self._name and one.folder == folder for one in entries(self._root)):
            found = serving_by_contrast(self._name, self._root)
            by_contrast = {contrast: entry.folder for contrast, entry in found.items()}
        digest = hashlib.sha256()
        for contrast, path in (("", folder), *sorted(by_contrast.items())):
            manifest = (path / MANIFEST).read_bytes() if (path / MANIFEST).is_file() else b""
            digest.update(f"{contrast}:{hashlib.sha256(manifest).hexdigest()};".encode())
        withdrawn = withdrawn_references(bundle_name(folder), self._root)
        digest.update(" ".join(sorted(withdrawn)).encode())
        return _Served(folder, by_contrast, withdrawn, digest.hexdigest())
