"""What the released model says of the synthetic healthy head."""

import pytest

from counterpart.brain_extraction import load_brain_model
from counterpart.bundle import load_model
from counterpart.generate import generate_counterpart
from counterpart.package_data import package_data
from counterpart.scans import read_scan


@pytest.mark.slow
def test_the_synthetic_healthy_head_has_no_finding() -> None:
    scan = read_scan(package_data("sample_data") / "healthy" / "healthy-01_T1.nii.gz")
    result = generate_counterpart(scan, load_model(), brain_model=load_brain_model())
    assert result.findings == []
    assert result.references is not None and not result.references.ranked
    assert result.references.note == "Nothing is flagged, so there is nothing to compare."
