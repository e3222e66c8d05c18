"""The studies: MONAI Label's datastore, asked by names that are checked first."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Any

from monailabel.datastore.local import LocalDatastore
from monailabel.interfaces.datastore import Datastore

from lib.datastore.names import checked_name, checked_tag
from lib.datastore.receiving import content_hash
from lib.problems import conflict, not_found

MADE_OF = "made_of"  # in a label's info: the keyed hash of the scan that it was computed from
_TRIES, _PAUSE_S = 5, 0.05
_SEE = "GET /datastore/?output=all lists what there is."


class Studies:
    """The images of the studies and their labels.

    Args:
        datastore: MONAI Label's.
        place: Folder or address of the studies.
    """

    def __init__(self, datastore: Datastore, place: str) -> None:
        self.datastore = datastore
        self._folder = Path(place)
        self._lock = threading.Lock()
        self._hashes: dict[tuple[str, int, int], str] = {}

    @property
    def is_local(self) -> bool:
        """Whether the studies are a folder of this machine."""
        return isinstance(self.datastore, LocalDatastore)

    def images(self) -> list[str]:
        """All ids, sorted."""
        return sorted(self.datastore.list_images())

    def path(self, image: str) -> Path:
        """The file of an image; a series of a DICOMweb server is fetched first.

        Raises:
            Problem: There is no such image, or its file is gone.
        """
        if image not in self.datastore.list_images():
            raise not_found("An image of this id", _SEE)
        path = Path(self.datastore.get_image_uri(image))
        if not path.exists():
            raise not_found("The image's file", "It was removed; reload the studies.")
        return path

    def label_path(self, label: str, tag: str) -> Path:
        """The file of a label.

        Raises:
            Problem: There is none.
        """
        checked_tag(tag)
        if label not in self.datastore.list_images():
            raise not_found("An image of this id", _SEE)
        if tag not in self.datastore.get_labels_by_image_id(label):
            raise not_found("A label with this tag", _SEE)
        path = Path(self.datastore.get_label_uri(label, tag))
        if not path.is_file():
            raise not_found("The label's file", "It was removed; reload the studies.")
        return path

    def content(self, path: Path) -> str:
        """The content hash of a scan's file; read once as long as the file stays the same."""
        stat = path.stat()
        known = (str(path), stat.st_mtime_ns, stat.st_size)
        with self._lock:
            found = self._hashes.get(known)
        if found is None:
            found = content_hash(path)
            with self._lock:
                self._hashes[known] = found
        return found

    def add(self, image: str, received: Path, suffix: str, info: dict[str, Any]) -> str:
        """Add an image.

        Args:
            image: Its new id.
            received: Its file, within a temporary folder.
            suffix: Of its format.
            info: What is known of it.

        Raises:
            Problem: The name is taken or may not be used, or the studies are not of this machine.
        """
        checked_name(image)
        if not self.is_local:
            error = "Images cannot be added to the studies of a DICOMweb server."
            raise conflict(error, "Send them to the archive, or use PUT /counterpart/scans.")
        with self._lock:
            if image in self.datastore.list_images():
                raise conflict("There is an image of this name.", "Choose another name.")
            named = received.with_name(f"{image}{suffix}")
            if os.path.lexists(self._folder / named.name):
                raise conflict("There is a file of this name.", "Choose another name.")
            received.rename(named)
            self.refresh()
            return str(self.datastore.add_image(image, str(named), info))

    def save_label(self, image: str, received: Path, tag: str, info: dict[str, Any]) -> str:
        """Save a label of an image; one of the same tag is replaced.

        Raises:
            Problem: There is no such image, or the tag may not be used.
        """
        checked_tag(tag)
        if image not in self.datastore.list_images():
            raise not_found("An image of this id", _SEE)
        with self._lock:
            self.refresh()
            return str(self.datastore.save_label(image, str(received), tag, info))

    def say_of_image(self, image: str, info: dict[str, Any]) -> None:
        """Add to what is known of an image; what `counterpart cohort add` has written stays.

        Raises:
            Problem: There is no such image.
        """
        self.path(image)
        with self._lock:
            self.refresh()
            self.datastore.update_image_info(image, info)

    def say_of_label(self, label: str, tag: str, info: dict[str, Any]) -> None:
        """Add to what is known of a label.

        Raises:
            Problem: There is none.
        """
        self.label_path(label, tag)
        with self._lock:
            self.refresh()
            self.datastore.update_label_info(label, tag, info)

    def remove_image(self, image: str) -> None:
        """Remove an image with its labels; of a link the link alone.

        Raises:
            Problem: There is none, or the studies are not of this machine.
        """
        path = self.path(image)
        self._own()
        with self._lock:
            for tag in self.datastore.get_labels_by_image_id(image):
                self.datastore.remove_label(image, tag)
            links = [p for p in self._folder.iterdir() if p.is_symlink() and p.resolve() == path]
            for link in links:
                link.unlink()
            if not links:
                path.unlink()
            self.refresh()

    def remove_label(self, label: str, tag: str) -> None:
        """Remove a label.

        Raises:
            Problem: There is none, or the studies are not of this machine.
        """
        self.label_path(label, tag)
        self._own()
        with self._lock:
            self.datastore.remove_label(label, tag)
            self.refresh()

    def remove_made_labels(self, scan: str) -> int:
        """Remove the labels that this server made of a scan, by its keyed hash; how many."""
        if not self.is_local:
            return 0
        store = self.datastore
        with self._lock:
            found = [
                (image, tag)
                for image in store.list_images()
                for tag in store.get_labels_by_image_id(image)
                if (store.get_label_info(image, tag) or {}).get(MADE_OF) == scan
            ]
            for image, tag in found:
                store.remove_label(image, tag)
            if found:
                self.refresh()
        return len(found)

    def refresh(self) -> None:
        """Take notice of files that came or went, and of what others have written of them."""
        if not isinstance(self.datastore, LocalDatastore):
            return
        for left in reversed(range(_TRIES)):
            try:
                self.datastore.refresh()
                return
            except (RuntimeError, KeyError):  # MONAI Label's own watcher is at its list
                if not left:
                    raise
                time.sleep(_PAUSE_S)

    def _own(self) -> None:
        if not self.is_local:
            error = "What lies on a DICOMweb server is not removed from here."
            raise conflict(error, "Remove it in the archive.")
