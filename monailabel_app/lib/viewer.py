"""The viewer that comes with MONAI Label (OHIF), and its way to the archive of the studies."""

from __future__ import annotations

from pathlib import Path

import monailabel.endpoints
import requests
from fastapi import APIRouter, Request, Response
from fastapi.responses import FileResponse
from monailabel.config import settings

from lib.problems import Problem, not_found

_TIMEOUT_S = 30.0
_PASSED_ON = ("content-type", "content-encoding", "etag", "last-modified")
_LEAVE = ("accept", "range")


def viewer_routes(studies: str) -> APIRouter:
    """The routes ``/ohif`` and ``/proxy/dicom``; only studies of a DICOMweb server have them.

    Args:
        studies: Folder or address of the studies.
    """
    router = APIRouter(include_in_schema=False)
    if not studies.startswith(("http://", "https://")):
        return router
    folder = Path(monailabel.endpoints.__file__).parent / "static" / "ohif"

    @router.get("/ohif/{path:path}")
    def ohif(path: str) -> FileResponse:
        file = (folder / path).resolve()
        inside = file.is_relative_to(folder.resolve()) and file.is_file()
        return FileResponse(file if inside else folder / "index.html")

    @router.get("/proxy/dicom/{path:path}")
    def proxy(request: Request, path: str) -> Response:
        kind, _, rest = path.partition("/")
        prefixes = {
            "wado": settings.MONAI_LABEL_WADO_PREFIX,
            "qido": settings.MONAI_LABEL_QIDO_PREFIX,
            "stow": settings.MONAI_LABEL_STOW_PREFIX,
        }
        if kind not in prefixes or not rest:
            raise not_found("This part of the archive", "Ask for /proxy/dicom/qido/… or wado/….")
        prefix = prefixes[kind]
        address = f"{studies.rstrip('/')}/{f'{prefix}/' if prefix else ''}{rest}"
        return _passed_on(request, address)

    return router


def _passed_on(request: Request, address: str) -> Response:
    """The archive's answer; the client's token stays here."""
    user, secret = settings.MONAI_LABEL_DICOMWEB_USERNAME, settings.MONAI_LABEL_DICOMWEB_PASSWORD
    try:
        answer = requests.get(
            address,
            params=list(request.query_params.multi_items()),
            headers={key: value for key, value in request.headers.items() if key in _LEAVE},
            auth=(user, secret) if user and secret else None,
            timeout=_TIMEOUT_S,
            allow_redirects=False,
        )
    except requests.RequestException as error:
        raise Problem(502, "The archive does not answer.", "Tell the administrator.") from error
    headers = {key: value for key, value in answer.headers.items() if key.lower() in _PASSED_ON}
    headers.pop("Content-Encoding", None)  # `requests` has unpacked it
    return Response(answer.content, answer.status_code, headers)
