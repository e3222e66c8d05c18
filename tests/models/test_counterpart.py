"""The package itself: a light import."""

import subprocess
import sys

import counterpart


def test_import_loads_neither_torch_nor_numpy_nor_monailabel() -> None:
    script = (
        "import sys, counterpart; "
        "heavy = ('torch', 'numpy', 'monai', 'monailabel', 'nibabel', 'SimpleITK'); "
        "print([name for name in heavy if name in sys.modules])"
    )
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert loaded.stdout.strip() == "[]", loaded.stderr


def test_version_has_three_numbers() -> None:
    assert [part.isdigit() for part in counterpart.__version__.split(".")] == [True] * 3
