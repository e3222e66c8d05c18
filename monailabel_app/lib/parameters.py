"""What addresses hold, as the page of routes describes it; the routes themselves check it."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path, Query

from lib.inference.infer_task import KEY

_TAG = "[A-Za-z0-9][A-Za-z0-9_-]{0,39}"
JobId = Annotated[str, Path(json_schema_extra={"pattern": "^[0-9a-f]{32}$"})]
SessionId = Annotated[str, Path(json_schema_extra={"pattern": "^[0-9a-f]{32}$"})]
ScanHash = Annotated[str, Path(json_schema_extra={"pattern": "^[0-9a-f]{64}$"})]
Reference = Annotated[str, Path(json_schema_extra={"pattern": "^reference-[0-9a-f]{10}$"})]
ModelKey = Annotated[str, Path(json_schema_extra={"enum": [KEY]})]
ImageId = Annotated[str, Query(max_length=200, description="Id of an image.")]
LabelId = Annotated[str, Query(max_length=200, description="Id of an image with such a label.")]
Tag = Annotated[
    str,
    Query(max_length=40, description="Tag of a label.", json_schema_extra={"pattern": f"^{_TAG}$"}),
]
NewTag = Annotated[
    str,
    Query(
        max_length=40,
        description="Tag of the label; none means final.",
        json_schema_extra={"pattern": f"^({_TAG})?$"},
    ),
]
