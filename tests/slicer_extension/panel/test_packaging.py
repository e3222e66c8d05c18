"""What is packaged: each file is listed, runs in Slicer's Python; the index gets what it asks."""

import ast
import json
import re
import struct
import sys
from pathlib import Path

import pytest

EXTENSION = Path(__file__).resolve().parents[3] / "slicer_extension"
MODULE = EXTENSION / "HealthyCounterpart"
SCRIPTS = sorted(EXTENSION.rglob("*.py"))
OF_SLICER = {"HealthyCounterpartLib", "ctk", "numpy", "qt", "slicer", "vtk", "vtkITK"}
# Of slicer-extension-catalog-entry-schema-v1.0.2: name, kind, and whether it must be there.
FIELDS = {
    "$schema": (str, True),
    "category": (str, True),
    "scm_url": (str, True),
    "scm_revision": (str, False),
    "scm_type": (str, False),
    "build_dependencies": (list, False),
    "build_subdirectory": (str, False),
    "dicom_support_rule": (str, False),
    "enabled": (bool, False),
    "tier": (int, False),
}


def listed(name: str) -> list[str]:
    """Files of a list in the module's CMake file."""
    text = (MODULE / "CMakeLists.txt").read_text(encoding="utf-8")
    body = re.search(rf"set\({name}\n(.*?)\n  \)", text, re.DOTALL)
    return body[1].replace("${MODULE_NAME}", MODULE.name).split()


def metadata(name: str) -> str:
    text = (EXTENSION / "CMakeLists.txt").read_text(encoding="utf-8")
    return re.search(rf'set\({name} "(.*?)"\)', text)[1]


def test_cmake_lists_every_script_and_no_other() -> None:
    scripts = [MODULE / "HealthyCounterpart.py", *(MODULE / "HealthyCounterpartLib").rglob("*.py")]
    there = sorted(path.relative_to(MODULE).as_posix() for path in scripts)
    assert sorted(listed("MODULE_PYTHON_SCRIPTS")) == there


def test_cmake_lists_every_resource_and_no_other() -> None:
    files = [path for path in (MODULE / "Resources").rglob("*") if path.is_file()]
    there = sorted(path.relative_to(MODULE).as_posix() for path in files)
    assert sorted(listed("MODULE_PYTHON_RESOURCES")) == there


def test_cmake_runs_every_test_script() -> None:
    folder = MODULE / "Testing/Python"
    text = (folder / "CMakeLists.txt").read_text(encoding="utf-8")
    assert set(re.findall(r"SCRIPT (\S+)", text)) == {path.name for path in folder.glob("*.py")}


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_scripts_are_python_3_9_and_need_slicer_alone(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 9))
    imported = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported |= {one.name.split(".")[0] for one in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "Slicer puts the module's folder on the path"
            imported.add(node.module.split(".")[0])
    assert imported <= OF_SLICER | set(sys.stdlib_module_names)


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_nothing_is_done_while_a_script_is_loaded(path: Path) -> None:
    allowed = (ast.Import, ast.ImportFrom, ast.ClassDef, ast.FunctionDef, ast.Assign, ast.AnnAssign)
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        guard = isinstance(node, (ast.If, ast.Try))  # for types, and for outside the application
        assert text or guard or isinstance(node, allowed), ast.unparse(node)


def test_the_entry_has_the_fields_of_its_schema() -> None:
    entry = json.loads((EXTENSION / "HealthyCounterpart.json").read_text(encoding="utf-8"))
    assert entry["$schema"].endswith("slicer-extension-catalog-entry-schema-v1.0.2.json#")
    assert set(entry) <= set(FIELDS)
    assert {name for name, (_kind, must) in FIELDS.items() if must} <= set(entry)
    assert all(isinstance(value, FIELDS[name][0]) for name, value in entry.items())
    assert 1 <= entry["tier"] <= 5


def test_entry_and_cmake_agree() -> None:
    entry = json.loads((EXTENSION / "HealthyCounterpart.json").read_text(encoding="utf-8"))
    assert metadata("EXTENSION_CATEGORY") == entry["category"]
    assert metadata("EXTENSION_HOMEPAGE") == entry["scm_url"]
    dependencies = metadata("EXTENSION_DEPENDS")
    assert ([] if dependencies == "NA" else dependencies.split()) == entry["build_dependencies"]


def test_icon_and_pictures_lie_where_the_index_looks() -> None:
    urls = [metadata("EXTENSION_ICONURL"), *metadata("EXTENSION_SCREENSHOTURLS").split()]
    places = [url.split("/main/")[1] for url in urls]
    assert places[0] == "HealthyCounterpart/Resources/Icons/HealthyCounterpart.png"
    readme = (EXTENSION / "README.md").read_text(encoding="utf-8")
    assert all(place in readme for place in places[1:])


def test_the_icon_is_128_pixels_wide_and_high() -> None:
    content = (MODULE / "Resources/Icons/HealthyCounterpart.png").read_bytes()
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", content[16:24]) == (128, 128)


def test_the_licence_is_that_of_the_repository() -> None:
    ours = (EXTENSION / "LICENSE.txt").read_bytes()
    assert ours == (EXTENSION.parent / "LICENSE.txt").read_bytes()


@pytest.mark.parametrize(
    "section",
    [
        "Modules",
        "Install",
        "Tutorial",
        "Keys",
        "Privacy",
        "Sample data",
        "Publications",
        "Review questions of the Extensions Index",
        "What could not be run without Slicer",
        "Licence",
    ],
)
def test_the_readme_has_a_section(section: str) -> None:
    readme = (EXTENSION / "README.md").read_text(encoding="utf-8")
    assert f"\n## {section}\n" in readme


@pytest.mark.parametrize(
    "words",
    [
        "AI-generated, research use only",
        "2406.00772",
        "2601.22663",
        "Apache-2.0",
        "Screenshots/single.png",
        "Screenshots/panel.png",
        "counterpart demo",
        "COUNTERPART_TEST_SERVER",
        "patent",
    ],
)
def test_the_readme_says(words: str) -> None:
    assert words in (EXTENSION / "README.md").read_text(encoding="utf-8")


def test_the_readme_lists_the_panels_keys() -> None:
    readme = (EXTENSION / "README.md").read_text(encoding="utf-8")
    ui = (MODULE / "Resources/UI/HealthyCounterpart.ui").read_text(encoding="utf-8")
    keys = re.findall(r'name="shortcut"><string notr="true">(.*?)</string>', ui)
    assert len(keys) >= 9
    assert [key for key in keys if f"`{key}`" not in readme] == []
