"""From what the administrator says to what is started: everything checked, nothing started."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from counterpart.errors import ServingError
from counterpart.serving.address import Address, is_loopback, own_host
from counterpart.serving.checks import (
    FreeBytes,
    check_access,
    check_disk,
    check_encryption,
    check_port,
    check_root_path,
    check_studies,
    free_bytes,
)
from counterpart.serving.options import Encryption, ServeOptions
from counterpart.serving.people import Person, known_people
from counterpart.serving.state_folder import APP, DICOM, SESSIONS, default_state, is_address

DEFAULT_MODEL = "healthy-brain"  # that of counterpart.bundle, which loads torch
_MANIFEST = "manifest.json"
_FILE_KINDS = '["*.nii.gz", "*.nii", "*.nrrd", "*.mha"]'
_YES = ("1", "true", "yes")
_AMOUNTS = ("cache_gb", "cache_days", "upload_mb", "upload_days")


@dataclass(frozen=True)
class ServerPlan:
    """A server that can be started.

    Args:
        studies: Absolute folder, or address.
        host: To listen on.
        port: To listen on.
        state: The server's folder.
        model: Name or absolute folder of a bundle.
        device: torch device.
        people: Who has a token; nobody where only this machine may ask, or everybody.
        insecure: Whether other machines are served without tokens.
        environment: Of the server's process.
        root_path: Path below which a reverse proxy shows the server.
        encryption: For TLS.
        verbose: Whether what the server itself says is shown.
    """

    studies: str
    host: str
    port: int
    state: Path
    model: str
    device: str
    people: tuple[Person, ...]
    insecure: bool
    environment: Mapping[str, str]
    root_path: str
    encryption: Encryption
    verbose: bool

    @property
    def address(self) -> Address:
        """Where this machine itself reaches the server."""
        return Address(self.encryption.wanted, own_host(self.host), self.port)

    @property
    def token(self) -> str | None:
        """With which the launcher asks what it shows."""
        return self.people[0].token if self.people else None

    @property
    def open_to_all(self) -> bool:
        """Whether other machines are served without tokens."""
        return self.insecure and not self.people and not is_loopback(self.host)

    @property
    def unencrypted(self) -> bool:
        """Whether tokens and scans of other machines travel in the open."""
        return not (self.encryption.wanted or is_loopback(self.host))

    def command(self) -> list[str]:
        """The command that starts MONAI Label."""
        words = [
            *(sys.executable, "-m", "monailabel.main", "start_server"),
            *("--app", str(self.state / APP), "--studies", self.studies),
            *("--host", self.host, "--port", str(self.port)),
        ]
        if self.root_path:
            words += ["--root_path", self.root_path]
        for name, value in vars(self.encryption).items():
            if value is not None:
                words += [f"--ssl_{name}", str(value)]
        return words

    def check_command(self) -> list[str] | None:
        """The command that says what is wrong with the device; None where nothing can be."""
        if self.device == "cpu":
            return None
        return [sys.executable, "-m", "counterpart.serving.device_check", self.device]


def plan_server(
    options: ServeOptions, environment: Mapping[str, str], *, free: FreeBytes = free_bytes
) -> ServerPlan:
    """Check what was said, and work out what follows from it.

    Args:
        options: From the command line; they come before the environment.
        environment: Of this process.
        free: Tells how many bytes are free where a path lies.

    Raises:
        CounterpartError: A server that is started like this could not work.
    """

    def chosen(option: object, name: str, default: str = "") -> str:
        return str(option) if option is not None else environment.get(name, "") or default

    check_studies(options.studies)
    studies = options.studies if is_address(options.studies) else os.path.realpath(options.studies)
    state = Path(chosen(options.state, "COUNTERPART_STATE") or default_state(studies, environment))
    state = state.absolute()
    token_file = chosen(options.token_file, "COUNTERPART_TOKEN_FILE")
    people = known_people(
        Path(token_file).absolute() if token_file else None,
        environment.get("COUNTERPART_TOKEN", ""),
    )
    insecure = options.insecure or environment.get("COUNTERPART_INSECURE", "").lower() in _YES
    check_access(options.host, tokens=bool(people), insecure=insecure)
    check_encryption(options.encryption)
    check_root_path(options.root_path)
    for folder in (state, *([] if is_address(studies) else [Path(studies)])):
        check_disk(folder, free)
    check_port(options.host, options.port)
    settings = {
        "STATE": str(state),
        "TOKEN_FILE": _absolute_path(token_file),
        "INSECURE": "1" if insecure else "",
        "MODEL": _model_source(chosen(options.model, "COUNTERPART_MODEL", DEFAULT_MODEL)),
        "DEVICE": chosen(options.device, "COUNTERPART_DEVICE", "cpu"),
        "REFERENCES_COHORT": _absolute_path(
            chosen(options.references_cohort, "COUNTERPART_REFERENCES_COHORT")
        ),
        **{
            name.upper(): _amount(
                name, chosen(getattr(options, name), f"COUNTERPART_{name.upper()}")
            )
            for name in _AMOUNTS
        },
    }
    return ServerPlan(
        studies,
        options.host,
        options.port,
        state,
        settings["MODEL"],
        settings["DEVICE"],
        people,
        insecure,
        _server_environment(environment, state, settings),
        options.root_path,
        _absolute(options.encryption),
        options.verbose,
    )


def _server_environment(
    environment: Mapping[str, str], state: Path, settings: Mapping[str, str]
) -> dict[str, str]:
    """The process's own environment, with what the app and MONAI Label are to know."""
    wanted = {
        "MONAI_LABEL_DICOMWEB_SEARCH_FILTER": '{"Modality": "MR"}',
        "MONAI_LABEL_DICOMWEB_CACHE_PATH": str(state / DICOM),
        "MONAI_LABEL_DATASTORE_FILE_EXT": _FILE_KINDS,
        "MONAI_LABEL_SESSION_PATH": str(state / SESSIONS),
    }
    ours = {f"COUNTERPART_{key}": value for key, value in settings.items()}
    result = {**wanted, **environment, **ours, "MONAI_LABEL_TRACKING_ENABLED": "false"}
    if environment.get("COUNTERPART_MODELS"):  # the server works in another folder
        result["COUNTERPART_MODELS"] = str(Path(environment["COUNTERPART_MODELS"]).absolute())
    return {key: value for key, value in result.items() if value or key not in ours}


def _absolute_path(text: str) -> str:
    """For a server that works in another folder; nothing where nothing was given."""
    return str(Path(text).absolute()) if text else ""


def _amount(name: str, text: str) -> str:
    """A positive number as it was given for an option; nothing where nothing was.

    Raises:
        ServingError: It is none.
    """
    try:
        good = not text or 0.0 < float(text) < float("inf")
    except ValueError:
        good = False
    if not good:
        option = name.replace("_", "-")
        raise ServingError(f"--{option}: expected a positive number, got {text!r}.")
    return text


def _model_source(model: str) -> str:
    """A name as it is, a folder as an absolute one, for the server works in another folder."""
    folder = Path(model)
    if folder.name != model:
        return str(folder.absolute())
    if (folder / _MANIFEST).is_file():
        from counterpart.registry.versions import resolve  # loads torch; seldom needed

        if resolve(model).resolve() == folder.resolve():
            return str(folder.absolute())
    return model


def _absolute(chosen: Encryption) -> Encryption:
    def whole(path: Path | None) -> Path | None:
        return None if path is None else path.absolute()

    return Encryption(
        whole(chosen.keyfile),
        whole(chosen.certfile),
        chosen.keyfile_password,
        whole(chosen.ca_certs),
    )
