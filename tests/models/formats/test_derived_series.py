"""A map becomes a DICOM series of the scan's own study, and says what it is."""

from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from counterpart.errors import CounterpartError
from counterpart.formats.derived_series import write_dicom_series
from counterpart.grid import Grid
from counterpart.scans import Scan, read_scan

SHAPE = (9, 10, 11)


def an_affine(flip: float = 1.0) -> NDArray[np.float64]:
    affine = np.eye(4)
    turn = Rotation.from_euler("xyz", (8, -13, 21), degrees=True).as_matrix()
    affine[:3, :3] = turn * (0.9, 1.1 * flip, 3.3)
    affine[:3, 3] = (-40.0, 70.0, -20.0)
    return affine


def a_map() -> NDArray[np.float32]:
    values = np.random.default_rng(0).normal(0.0, 3.0, SHAPE).astype(np.float32)
    values[:2] = 0.0
    return values


def a_scan(flip: float = 1.0) -> Scan:
    return Scan(a_map(), Grid(SHAPE, an_affine(flip)), "head")


def a_source(folder: Path) -> Scan:
    """A scan that was read from DICOM files of a person."""
    for path in write_dicom_series(folder, a_map(), a_scan(), description="source"):
        image = pydicom.dcmread(path)
        image.SpecificCharacterSet = "ISO_IR 100"
        image.PatientName, image.PatientID = "Müller^Anna", "4711"
        image.StudyInstanceUID, image.FrameOfReferenceUID = "1.2.3", "1.2.4"
        image.StudyDate, image.AccessionNumber = "20240102", "A7"
        image.InstitutionName = "Somewhere"
        image.save_as(path)
    return read_scan(folder)


def test_it_reads_back_within_the_quantisation(tmp_path: Path) -> None:
    write_dicom_series(tmp_path / "out", a_map(), a_scan(), description="Residual map")
    back = read_scan(tmp_path / "out")
    np.testing.assert_allclose(back.grid.affine, an_affine(), atol=1e-9)
    step = float(np.abs(a_map()).max()) / 32767
    np.testing.assert_allclose(back.values, a_map(), atol=0.51 * step)
    assert (back.values[:2] == 0.0).all()
    assert back.warnings == ()


def test_a_left_handed_grid_comes_back_at_the_same_places(tmp_path: Path) -> None:
    write_dicom_series(tmp_path / "out", a_map(), a_scan(-1.0), description="map")
    back = read_scan(tmp_path / "out")
    np.testing.assert_allclose(back.values[:, :, ::-1], a_map(), atol=1e-3)
    last = a_scan(-1.0).grid.world(np.array([0.0, 0.0, 10.0]))
    np.testing.assert_allclose(back.grid.affine[:3, 3], last, atol=1e-9)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.bool_])
def test_whole_numbers_are_kept_exactly(tmp_path: Path, dtype: type) -> None:
    values = (np.random.default_rng(0).integers(0, 120, SHAPE) % 100).astype(dtype)
    write_dicom_series(tmp_path / "out", values, a_scan(), description="mask")
    np.testing.assert_array_equal(read_scan(tmp_path / "out").values, values.astype(np.float32))


def test_another_reader_sees_the_same_volume(tmp_path: Path) -> None:
    write_dicom_series(tmp_path / "out", a_map(), a_scan(), description="map")
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(tmp_path / "out")))
    image = reader.Execute()
    np.testing.assert_allclose(sitk.GetArrayFromImage(image).T, a_map(), atol=1e-3)
    lps = np.array(image.TransformIndexToPhysicalPoint((8, 9, 10)))
    ras = a_scan().grid.world(np.array([8.0, 9.0, 10.0]))
    np.testing.assert_allclose(lps * (-1, -1, 1), ras, atol=1e-6)


def test_patient_and_study_are_those_of_the_source(tmp_path: Path) -> None:
    scan = a_source(tmp_path / "source")
    paths = write_dicom_series(tmp_path / "out", a_map(), scan, description="Anomaly map")
    image, source = pydicom.dcmread(paths[3]), pydicom.dcmread(scan.files[3])
    assert (image.PatientName, image.PatientID) == ("Müller^Anna", "4711")
    assert (image.StudyInstanceUID, image.FrameOfReferenceUID) == ("1.2.3", "1.2.4")
    assert (image.StudyDate, image.AccessionNumber) == ("20240102", "A7")
    assert image.SeriesInstanceUID != source.SeriesInstanceUID
    assert image.SOPInstanceUID != source.SOPInstanceUID
    assert image.ImagePositionPatient == source.ImagePositionPatient


def test_every_slice_says_what_it_is(tmp_path: Path) -> None:
    paths = write_dicom_series(tmp_path / "out", a_map(), a_scan(), description="x" * 80)
    images = [pydicom.dcmread(path) for path in paths]
    assert len({image.SOPInstanceUID for image in images}) == len(images) == SHAPE[2]
    assert len({image.SeriesInstanceUID for image in images}) == 1
    for image in images:
        assert list(image.ImageType[:2]) == ["DERIVED", "SECONDARY"]
        assert "AI-generated, research use only" in image.SeriesDescription
        assert len(image.SeriesDescription) <= 64
        assert (image.BurnedInAnnotation, image.Modality) == ("NO", "MR")
        assert image.PatientName == "Anonymous"


def test_a_folder_with_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(CounterpartError, match="expected an empty folder"):
        write_dicom_series(tmp_path, a_map(), a_scan(), description="map")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_sheared_grid_is_refused(tmp_path: Path) -> None:
    sheared = an_affine()
    sheared[:3, 1] += 0.2 * sheared[:3, 0]
    scan = Scan(a_map(), Grid(SHAPE, sheared), "head")
    with pytest.raises(CounterpartError, match="at right angles.* Write NIfTI or NRRD"):
        write_dicom_series(tmp_path / "out", a_map(), scan, description="map")
    assert not (tmp_path / "out").exists()


def test_values_of_another_shape_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"\(9, 10, 11\).*\(3, 3, 3\)"):
        write_dicom_series(tmp_path, np.zeros((3, 3, 3)), a_scan(), description="map")
