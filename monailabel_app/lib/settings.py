"""What the administrator has chosen: from the environment, or ``--conf`` of MONAI Label."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from counterpart.bundle import DEFAULT_MODEL
from counterpart.errors import CounterpartError
from counterpart.serving.state_folder import default_state

PREFIX = "COUNTERPART_"
_GB = 1 << 30
_MB = 1 << 20
_DAY_S = 86_400.0


@dataclass(frozen=True)
class ServerSettings:
    """How the server works.

    Args:
        state: Folder of jobs, results, uploads, runs and keys.
        model: Name or folder of the bundle that serves.
        device: torch device of the inference.
        token_file: With the tokens; None without one.
        token: One administrator's token; empty without one.
        insecure: Whether requests without a token are served from any address.
        cache_bytes: Most that results may take.
        cache_s: How long a result is kept after it was last asked for, s.
        upload_bytes: Most that one upload may have.
        upload_s: How long an upload is kept after it was last used, s.
        origins: Web pages from which a browser may ask, besides the server's own.
        references_cohort: Prepared cohort whose scans readers may see as healthy references; None
            lets them have pseudonyms and similarities alone.
    """

    state: Path
    model: str = DEFAULT_MODEL
    device: str = "cpu"
    token_file: Path | None = None
    token: str = ""
    insecure: bool = False
    cache_bytes: int = 10 * _GB
    cache_s: float = 30 * _DAY_S
    upload_bytes: int = 2000 * _MB
    upload_s: float = 30 * _DAY_S
    origins: frozenset[str] = frozenset()
    references_cohort: Path | None = None


def read_settings(
    studies: str, conf: Mapping[str, str], environment: Mapping[str, str] | None = None
) -> ServerSettings:
    """The settings of a server for some studies.

    Args:
        studies: Folder or address of the studies.
        conf: MONAI Label's ``--conf``, which comes before the environment.
        environment: Variables that begin with ``COUNTERPART_``; the process' own without it.

    Raises:
        CounterpartError: A number is none.
    """
    known = os.environ if environment is None else environment

    def chosen(key: str, default: str) -> str:
        return str(conf.get(key) or known.get(PREFIX + key.upper()) or default)

    def amount(key: str, default: float, unit: float) -> float:
        text = chosen(key, str(default))
        try:
            value = float(text)
        except ValueError as error:
            raise CounterpartError(f"{key}: expected a number, got {text!r}.") from error
        if not (math.isfinite(value) and value > 0):
            raise CounterpartError(f"{key}: expected a positive number, got {text!r}.")
        return value * unit

    if conf.get("token"):
        raise CounterpartError(
            "token: the command line is seen by everybody on the machine and written into the "
            "log. Say COUNTERPART_TOKEN, or give a token_file."
        )
    token_file = chosen("token_file", "")
    cohort = chosen("references_cohort", "")
    return ServerSettings(
        state=Path(chosen("state", str(default_state(studies, known)))).absolute(),
        model=chosen("model", DEFAULT_MODEL),
        device=chosen("device", "cpu"),
        token_file=Path(token_file) if token_file else None,
        token=chosen("token", ""),
        insecure=chosen("insecure", "").lower() in ("1", "true", "yes"),
        cache_bytes=int(amount("cache_gb", 10, _GB)),
        cache_s=amount("cache_days", 30, _DAY_S),
        upload_bytes=int(amount("upload_mb", 2000, _MB)),
        upload_s=amount("upload_days", 30, _DAY_S),
        origins=_origins(chosen("cors_origins", "")),
        references_cohort=Path(cohort).absolute() if cohort else None,
    )


def _origins(text: str) -> frozenset[str]:
    """Origins with commas between them; each a scheme and a host, as browsers send them.

    Raises:
        CounterpartError: One is none.
    """
    found = [one.strip().rstrip("/") for one in text.split(",") if one.strip()]
    for one in found:
        scheme, _, host = one.partition("://")
        if scheme not in ("http", "https") or not host or set(host) & set("/*?# "):
            raise CounterpartError(
                f"cors_origins: expected pages such as https://viewer.hospital.example with commas "
                f"between them, got {one!r}."
            )
    return frozenset(found)
