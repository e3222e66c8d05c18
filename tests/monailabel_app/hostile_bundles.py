"""Model bundles as somebody would make them who wants code to run on the server."""

import hashlib
import io
import json
import pickle
import zipfile
from pathlib import Path

from a_server import ROOT
from bad_scans import a_zip

_RELEASED = ROOT / "models" / "pretrained" / "healthy-brain"
_HEADER = json.dumps({"a": {"dtype": "F16", "shape": [1], "data_offsets": [0, 2]}}).encode()
_WEIGHTS = len(_HEADER).to_bytes(8, "little") + _HEADER + b"\x00\x3c"


class Payload:
    """Makes a file when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple:
        return Path.touch, (self.mark,)


def a_pickle(mark: Path) -> bytes:
    return pickle.dumps(Payload(mark))


def torch_weights(mark: Path) -> bytes:
    """What `torch.save` writes: a ZIP file with a pickle."""
    return a_zip({"archive/data.pkl": a_pickle(mark), "archive/version": b"3\n"})


def a_bundle(**changed: bytes | None) -> dict[str, bytes]:
    """The small files of the released bundle with weights of one number, and a fitting manifest."""
    files = {
        str(path.relative_to(_RELEASED)): path.read_bytes()
        for path in (_RELEASED / "configs").glob("*.json")
        if path.name != "calibrations.json"
    }
    files |= {"models/model.safetensors": _WEIGHTS, "docs/README.md": b"# A model\n"}
    files |= {name: content for name, content in changed.items() if content is not None}
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    return {**files, "manifest.json": json.dumps({"sha256": digests}).encode()}


def with_setting(name: str, value: object) -> dict[str, bytes]:
    """A bundle whose settings hold something to be evaluated."""
    settings = json.loads((_RELEASED / "configs" / "inference.json").read_text())
    changed = {"configs/inference.json": json.dumps({**settings, name: value}).encode()}
    return a_bundle(**changed)


def a_link_in_zip(name: str, target: str) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        member = zipfile.ZipInfo(name)
        member.create_system = 3
        member.external_attr = 0o120777 << 16
        archive.writestr(member, target)
    return packed.getvalue()


def hostile_bundles(mark: Path) -> dict[str, bytes]:
    code = f"open({str(mark)!r}, 'w')"
    good = a_bundle()
    return {
        "a pickle": a_pickle(mark),
        "torch weights": torch_weights(mark),
        "a pickle in a bundle": a_zip({**good, "models/model.pt": torch_weights(mark)}),
        "a pickle for weights": a_zip(a_bundle(**{"models/model.safetensors": a_pickle(mark)})),
        "code in a bundle": a_zip({**good, "scripts/__init__.py": code.encode()}),
        "an expression": a_zip(with_setting("network", f"${code}")),
        "an expression within": a_zip(with_setting("anomaly", {"smoothing": [f"${code}"]})),
        "a target": a_zip(
            with_setting("network", {"_target_": "pathlib.Path.touch", "self": str(mark)})
        ),
        "a name that leads elsewhere": a_zip({**good, "../../up.json": b"{}"}),
        "an absolute name": a_zip({**good, "/tmp/counterpart-up.json": b"{}"}),
        "a link": a_link_in_zip("configs/inference.json", "/etc/passwd"),
        "a file for a folder": a_zip({"configs.json/a.json": b"{}", "configs.json": b"{}"}),
        "a manifest that does not fit": a_zip({**good, "docs/README.md": b"changed"}),
        "no manifest": a_zip({name: one for name, one in good.items() if name[0] != "m"}),
        "an empty archive": a_zip({}),
    }
