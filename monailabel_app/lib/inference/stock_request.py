"""Reads what stock clients send with an inference: options of ours, and words that mean nothing."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from lib.inference.infer_task import KEY
from lib.jobs.job import JobOptions
from lib.plain_json import checked_object, read_object
from lib.problems import Problem, bad_request, not_found

FORBIDDEN = ("model", "image", "file", "session", "label")
# What MONAI Label's clients for 3D Slicer, OHIF and scripts add of themselves.
IGNORED = (
    "client_id",
    "cache_transforms",
    "cache_transforms_in_memory",
    "cache_transforms_ttl",
    "description",
    "device",
    "gpus",
    "highlight_label",
    "label_info",
    "label_tag",
    "labels",
    "largest_cc",
    "logging",
    "max_batch_size",
    "max_workers",
    "multi_gpu",
    "restore_label_idx",
    "result_compress",
    "result_dtype",
    "result_extension",
    "result_write_to_file",
    "save_label",
    "user",
)
_LONGEST_NAME = 60


def check_model(model: str) -> None:
    """Refuse another model than ours.

    Raises:
        Problem: It is another.
    """
    if model != KEY:
        raise not_found("A model of this name", f"This server has the model {KEY}.")


def read_params(text: str) -> dict[str, Any]:
    """The object that ``params`` holds as JSON.

    Raises:
        Problem: It is none, or names what only the address may name.
    """
    return check_params(read_object(text, "'params'"))


def check_params(params: dict[str, Any]) -> dict[str, Any]:
    """Params that name no image and no model.

    Raises:
        Problem: They do.
    """
    checked_object(params, "'params'")
    for name in FORBIDDEN:
        if name in params:
            error = f"'params' may not name {name!r}."
            raise bad_request(error, "Say image and model in the address.")
    return params


def options_of(params: dict[str, Any]) -> JobOptions:
    """The options among the params.

    Raises:
        Problem: A name is unknown, or a value is of the wrong kind.
    """
    ours = {key: value for key, value in params.items() if key not in IGNORED}
    try:
        return JobOptions(**ours)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])[:_LONGEST_NAME]
        known = ", ".join(JobOptions.model_fields)
        hint = f"The options are {known}."
        said = " is not known" if first["type"] == "extra_forbidden" else f": {first['msg']}"
        raise Problem(400, f"The option {where!r}{said}.", hint) from error
