"""What the administrator says on the command line of ``counterpart serve``."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Encryption:
    """The files for TLS, handed on to MONAI Label.

    Args:
        keyfile: Private key, PEM.
        certfile: Certificate chain, PEM.
        keyfile_password: Of the key.
        ca_certs: Certificates of who may sign those of clients, PEM.
    """

    keyfile: Path | None = None
    certfile: Path | None = None
    keyfile_password: str | None = None
    ca_certs: Path | None = None

    @property
    def wanted(self) -> bool:
        """Whether the server shall speak TLS."""
        return self.keyfile is not None or self.certfile is not None


@dataclass(frozen=True)
class ServeOptions:
    """How the server shall be started; what is None is left to the environment.

    Args:
        studies: Folder with scans, or the address of a DICOMweb server.
        host: To listen on.
        port: To listen on.
        token_file: With the tokens of those who may ask.
        model: Name or folder of a bundle.
        device: torch device.
        state: Folder for jobs, results, uploads and logs.
        insecure: Serve other machines without tokens.
        cache_gb: Most that results may take.
        cache_days: How long a result is kept after it was last asked for.
        upload_mb: Most that an upload may have.
        upload_days: How long an upload is kept after it was last used.
        references_cohort: Prepared cohort whose scans readers may see as healthy references.
        encryption: For TLS.
        root_path: Path below which a reverse proxy shows the server.
        verbose: Show what the server itself says.
    """

    studies: str
    host: str = "127.0.0.1"
    port: int = 8000
    token_file: Path | None = None
    model: str | None = None
    device: str | None = None
    state: Path | None = None
    insecure: bool = False
    cache_gb: float | None = None
    cache_days: float | None = None
    upload_mb: float | None = None
    upload_days: float | None = None
    references_cohort: Path | None = None
    encryption: Encryption = field(default_factory=Encryption)
    root_path: str = ""
    verbose: bool = False
