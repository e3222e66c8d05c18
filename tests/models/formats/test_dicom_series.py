"""A DICOM series becomes a volume by where its slices lie; what cannot be one is refused."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    EnhancedMRImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    MRImageStorage,
    RLELossless,
    generate_uid,
)
from scipy.spatial.transform import Rotation

from counterpart.errors import ScanError
from counterpart.scans import read_scan

SHAPE = (9, 10, 11)  # columns, rows, slices
SPACING = (0.9, 1.1, 3.3)
TURN = Rotation.from_euler("xyz", (8, -13, 21), degrees=True).as_matrix()
ORIGIN = np.array([-40.0, 70.0, -20.0])
Change = Callable[[Dataset], None]


def some_values() -> NDArray[np.int16]:
    return np.random.default_rng(0).integers(-50, 3000, SHAPE).astype(np.int16)


def lps_affine() -> NDArray[np.float64]:
    affine = np.eye(4)
    affine[:3, :3] = TURN * SPACING
    affine[:3, 3] = ORIGIN
    return affine


def a_slice(values: NDArray[np.int16], index: int, series: str = "1.2.3") -> Dataset:
    image = Dataset()
    image.SOPClassUID = MRImageStorage
    image.SOPInstanceUID = generate_uid()
    image.SeriesInstanceUID = series
    image.Modality = "MR"
    image.PatientName = "Secret^Person"
    image.PatientID = "4711"
    image.PatientBirthDate = "19500101"
    image.SeriesDescription = "t2_tirm_tra_dark-fluid"
    image.EchoTime, image.RepetitionTime, image.InversionTime = "85", "9000", "2500"
    image.InstanceNumber = len(values.T) - index
    image.ImageOrientationPatient = [f"{x:.12f}" for x in TURN.T[:2].ravel()]
    image.ImagePositionPatient = [f"{x:.9f}" for x in ORIGIN + index * TURN[:, 2] * SPACING[2]]
    image.PixelSpacing = [SPACING[1], SPACING[0]]
    image.SliceThickness = "3.3"
    image.Rows, image.Columns = SHAPE[1], SHAPE[0]
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    image.BitsAllocated = image.BitsStored = 16
    image.HighBit, image.PixelRepresentation = 15, 1
    image.PixelData = values[:, :, index].T.astype("<i2").tobytes()
    return image


def save(image: Dataset, path: Path, syntax: str = ExplicitVRLittleEndian) -> Path:
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = syntax
    image.is_little_endian = syntax != ExplicitVRBigEndian
    image.is_implicit_VR = syntax == ImplicitVRLittleEndian
    if not image.is_little_endian:
        image["PixelData"].VR = "OW"
    path.parent.mkdir(exist_ok=True)
    image.save_as(path, write_like_original=False)
    return path


def a_series(folder: Path, change: Change | None = None, only: int | None = None) -> Path:
    """Files whose names are in no order; ``change`` is made to all slices or to one."""
    for index in range(SHAPE[2]):
        image = a_slice(some_values(), index)
        if change is not None and only in (None, index):
            change(image)
        save(image, folder / f"IM{(index * 7) % SHAPE[2]:03d}.dcm")
    return folder


def test_slices_are_sorted_by_their_place(tmp_path: Path) -> None:
    scan = read_scan(a_series(tmp_path / "study.1"))
    np.testing.assert_array_equal(scan.values, some_values())
    expected = np.diag([-1.0, -1.0, 1.0, 1.0]) @ lps_affine()
    np.testing.assert_allclose(scan.grid.affine, expected, atol=1e-8)
    assert (scan.name, scan.warnings, len(scan.files)) == ("study.1", (), SHAPE[2])


def test_the_volume_is_the_one_that_simpleitk_reads(tmp_path: Path) -> None:
    scan = read_scan(a_series(tmp_path / "series"))
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(tmp_path / "series")))
    image = reader.Execute()
    np.testing.assert_array_equal(scan.values.T, sitk.GetArrayFromImage(image))
    for index in ((0, 0, 0), (8, 2, 5), (1, 9, 10)):
        lps = np.array(image.TransformIndexToPhysicalPoint(index))
        ras = lps * (-1.0, -1.0, 1.0)
        np.testing.assert_allclose(scan.grid.world(np.array(index, float)), ras, atol=1e-5)


def test_tags_speak_of_the_sequence_and_not_of_the_person(tmp_path: Path) -> None:
    scan = read_scan(a_series(tmp_path / "series"))
    assert scan.tags == {
        "Modality": "MR",
        "SeriesDescription": "t2_tirm_tra_dark-fluid",
        "EchoTime": "85",
        "RepetitionTime": "9000",
        "InversionTime": "2500",
    }


def test_scale_and_offset_of_each_slice_are_applied(tmp_path: Path) -> None:
    def scaled(image: Dataset) -> None:
        image.RescaleSlope, image.RescaleIntercept = "0.5", "-7"

    scan = read_scan(a_series(tmp_path / "series", scaled, only=4))
    expected = some_values().astype(np.float32)
    expected[:, :, 4] = expected[:, :, 4] * 0.5 - 7.0
    np.testing.assert_array_equal(scan.values, expected)


def test_a_file_stands_for_its_series(tmp_path: Path) -> None:
    folder = a_series(tmp_path / "series")
    other = save(a_slice(some_values(), 0, series="9.9"), folder / "scout.dcm")
    scan = read_scan(folder / "IM003.dcm")
    np.testing.assert_array_equal(scan.values, some_values())
    assert scan.name == "IM003"
    with pytest.raises(ScanError, match="at least 8 slices"):
        read_scan(other)


def test_other_files_in_the_folder_are_passed_over(tmp_path: Path) -> None:
    folder = a_series(tmp_path / "series")
    (folder / "README.txt").write_text("no image")
    (folder / ".DS_Store").write_bytes(b"junk")
    report = a_slice(some_values(), 0, series="8.8")
    for name in ("Rows", "Columns", "PixelData"):
        delattr(report, name)
    save(report, folder / "report.dcm")
    np.testing.assert_array_equal(read_scan(folder).values, some_values())


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_plain_voxels_are_read_in_each_byte_order(tmp_path: Path, syntax: str) -> None:
    for index in range(SHAPE[2]):
        image = a_slice(some_values(), index)
        if syntax == ExplicitVRBigEndian:
            image.PixelData = some_values()[:, :, index].T.astype(">i2").tobytes()
        save(image, tmp_path / "series" / f"{index}.dcm", syntax)
    np.testing.assert_array_equal(read_scan(tmp_path / "series").values, some_values())


@pytest.mark.parametrize("compressor", ["RLE", "JPEG", "JPEG2000"])
def test_lossless_compression_changes_no_value(tmp_path: Path, compressor: str) -> None:
    folder = a_series(tmp_path / "series")
    for path in folder.iterdir():
        dataset = pydicom.dcmread(path)
        if compressor == "RLE":
            dataset.compress(RLELossless)
        else:
            sitk.WriteImage(
                sitk.GetImageFromArray(dataset.pixel_array),
                str(tmp_path / "packed.dcm"),
                imageIO="GDCMImageIO",
                useCompression=True,
                compressor=compressor,
            )
            packed = pydicom.dcmread(tmp_path / "packed.dcm")
            dataset.PixelData = packed.PixelData
            dataset["PixelData"].is_undefined_length = True
            dataset.file_meta.TransferSyntaxUID = packed.file_meta.TransferSyntaxUID
        dataset.save_as(path)
    np.testing.assert_array_equal(read_scan(folder).values, some_values())


def test_bits_that_are_not_used_do_not_count(tmp_path: Path) -> None:
    values = np.random.default_rng(1).integers(-2048, 2048, SHAPE).astype(np.int16)
    noise = np.random.default_rng(2).integers(0, 16, SHAPE).astype(np.int16) << 12
    stored = (values & 0x0FFF) | noise
    for index in range(SHAPE[2]):
        image = a_slice(stored, index)
        image.BitsStored, image.HighBit = 12, 11
        save(image, tmp_path / "series" / f"{index}.dcm")
    np.testing.assert_array_equal(read_scan(tmp_path / "series").values, values)


def an_enhanced_image(count: int = SHAPE[2]) -> Dataset:
    slices = [a_slice(some_values(), index) for index in range(SHAPE[2])]
    image = a_slice(some_values(), 0)
    image.SOPClassUID = EnhancedMRImageStorage
    image.NumberOfFrames = SHAPE[2]
    order = [(index * 7) % SHAPE[2] for index in range(SHAPE[2])]
    frames = []
    for index in order[:count]:
        frame, place, scale = Dataset(), Dataset(), Dataset()
        place.ImagePositionPatient = slices[index].ImagePositionPatient
        scale.RescaleSlope, scale.RescaleIntercept = "2", "1"
        frame.PlanePositionSequence = Sequence([place])
        frame.PixelValueTransformationSequence = Sequence([scale])
        frames.append(frame)
    shared, plane, measures = Dataset(), Dataset(), Dataset()
    plane.ImageOrientationPatient = image.ImageOrientationPatient
    measures.PixelSpacing = image.PixelSpacing
    shared.PlaneOrientationSequence = Sequence([plane])
    shared.PixelMeasuresSequence = Sequence([measures])
    image.SharedFunctionalGroupsSequence = Sequence([shared])
    image.PerFrameFunctionalGroupsSequence = Sequence(frames)
    image.PixelData = b"".join(slices[index].PixelData for index in order)
    for name in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"):
        delattr(image, name)
    return image


def test_frames_of_one_file_are_placed_one_by_one(tmp_path: Path) -> None:
    save(an_enhanced_image(), tmp_path / "series" / "one.dcm")
    scan = read_scan(tmp_path / "series")
    np.testing.assert_array_equal(scan.values, 2.0 * some_values() + 1.0)
    np.testing.assert_allclose(scan.grid.affine[:2], -lps_affine()[:2], atol=1e-8)


def test_frames_without_a_place_are_refused(tmp_path: Path) -> None:
    save(an_enhanced_image(count=3), tmp_path / "series" / "one.dcm")
    with pytest.raises(ScanError, match="a position for each of its 11 frames, got 3. Export"):
        read_scan(tmp_path / "series")


def remove(name: str) -> Change:
    return lambda image: delattr(image, name)


def put(name: str, value: object) -> Change:
    return lambda image: setattr(image, name, value)


@pytest.mark.parametrize(
    ("change", "only", "message"),
    [
        (put("Modality", "CT"), None, "expected an MR scan, got the modality CT. Give an MR"),
        (put("SamplesPerPixel", 3), None, "one grey value per voxel, got 3 .* Give the series"),
        (put("PhotometricInterpretation", "RGB"), None, r"got 1 \(RGB\). Give the series"),
        (put("ImageType", ["O", "P", "M", "MOSAIC"]), None, "got a mosaic .* Convert the series"),
        (put("ImageType", ["O", "P", "P", "ND"]), None, "got complex ones .* magnitude series"),
        (remove("ImagePositionPatient"), 3, "ImagePositionPatient in every .*affine is missing"),
        (remove("PixelSpacing"), None, "expected PixelSpacing in every image"),
        (put("ImageOrientationPatient", ["1", "0", "0"] * 2), None, "at right angles.*singular"),
        (put("ImageOrientationPatient", ["1", "0", "0", "0", "1", "0"]), 5, "parallel slices"),
        (put("ImagePositionPatient", ["0", "1"]), 3, r"ImagePositionPatient should be 3 finite"),
        (put("PixelSpacing", ["2", "2"]), 3, "the same pixel spacing in every slice"),
        (put("PixelSpacing", ["20", "20"]), None, "voxels of 0.2 to 10.0 mm"),
        (put("RescaleSlope", "0"), 2, "RescaleSlope should be not zero"),
        (put("Rows", 9), 2, "the same Rows and Columns in every image"),
        (put("BitsAllocated", 12), None, "whole numbers of 8, 16 or 32 bits, got 12"),
        (put("PixelData", bytes(20)), 4, "ends early .* expected 180 bytes of voxels, got 20"),
        (remove("PixelData"), 4, "expected voxels .* holds none"),
    ],
)
def test_what_is_no_mr_volume_is_refused(
    tmp_path: Path, change: Change, only: int | None, message: str
) -> None:
    folder = a_series(tmp_path / "series", change, only)
    with pytest.raises(ScanError, match=message) as refusal:
        read_scan(folder)
    assert str(refusal.value).startswith(str(folder))
    assert "Secret" not in str(refusal.value)


def test_several_series_are_listed_without_names_of_people(tmp_path: Path) -> None:
    folder = a_series(tmp_path / "series")
    for index in range(2):
        image = a_slice(some_values(), index, series="9.9")
        image.SeriesDescription = "localizer"
        save(image, folder / f"x{index}.dcm")
    with pytest.raises(ScanError) as refusal:
        read_scan(folder)
    message = str(refusal.value)
    assert "expected one DICOM series, found 2" in message
    assert "'t2_tirm_tra_dark-fluid' (11 files); 'localizer' (2 files)" in message
    assert "Put the wanted one into a folder of its own" in message
    assert "Secret" not in message


def test_a_folder_without_images_is_refused(tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("nothing")
    with pytest.raises(ScanError, match="images of one DICOM series, found none. Give the folder"):
        read_scan(tmp_path)


def test_a_missing_slice_is_an_error(tmp_path: Path) -> None:
    folder = a_series(tmp_path / "series")
    (folder / f"IM{(4 * 7) % 11:03d}.dcm").unlink()
    with pytest.raises(ScanError, match=r"every 3\.30 mm, .* slices 4 and 5 lie 6\.60 mm"):
        read_scan(folder)


def test_two_slices_at_one_place_are_an_error(tmp_path: Path) -> None:
    folder = a_series(tmp_path / "series")
    save(a_slice(some_values(), 4), folder / "again.dcm")
    with pytest.raises(ScanError, match="1 of 12 lie where another one lies: several volumes"):
        read_scan(folder)


def moved(distance_mm: float) -> Change:
    def change(image: Dataset) -> None:
        place = np.array([float(x) for x in image.ImagePositionPatient])
        image.ImagePositionPatient = [f"{x:.9f}" for x in place + distance_mm * TURN[:, 2]]

    return change


def test_slices_at_unequal_distances_are_an_error(tmp_path: Path) -> None:
    folder = a_series(tmp_path / "series", moved(1.2), only=4)
    with pytest.raises(ScanError, match=r"equal distances .* from 2\.10 to 4\.50 mm. Resample"):
        read_scan(folder)


def test_slightly_unequal_distances_are_a_warning(tmp_path: Path) -> None:
    scan = read_scan(a_series(tmp_path / "series", moved(0.3), only=4))
    assert len(scan.warnings) == 1
    assert "vary from 3.00 to 3.60 mm; equal ones are assumed" in scan.warnings[0]


def test_gaps_between_slices_are_a_warning(tmp_path: Path) -> None:
    scan = read_scan(a_series(tmp_path / "series", put("SliceThickness", "2.5")))
    assert scan.warnings[0].startswith("Slices of 2.50 mm lie 3.30 mm apart")


def test_fewer_images_than_the_header_speaks_of_are_a_warning(tmp_path: Path) -> None:
    scan = read_scan(a_series(tmp_path / "series", put("ImagesInAcquisition", "20")))
    assert "20 images in the acquisition, the folder holds 11" in scan.warnings[0]


def test_too_few_slices_are_refused(tmp_path: Path) -> None:
    folder = a_series(tmp_path / "series")
    for path in sorted(folder.iterdir())[7:]:
        path.unlink()
    with pytest.raises(ScanError, match="at least 8 slices in each direction"):
        read_scan(folder)


@pytest.mark.parametrize(
    ("syntax", "name"),
    [
        ("1.2.840.10008.1.2.4.102", "MPEG-4 AVC/H.264 High Profile"),
        (DeflatedExplicitVRLittleEndian, "Deflated Explicit VR"),
    ],
)
def test_compression_that_cannot_be_read_is_named(tmp_path: Path, syntax: str, name: str) -> None:
    folder = a_series(tmp_path / "series")
    for path in folder.iterdir():
        dataset = pydicom.dcmread(path)
        dataset.file_meta.TransferSyntaxUID = syntax
        if "Deflated" not in name:
            dataset.PixelData = pydicom.encaps.encapsulate([b"film"])
            dataset["PixelData"].is_undefined_length = True
        dataset.save_as(path)
    with pytest.raises(ScanError, match=f"{name}.* Export the series uncompressed"):
        read_scan(folder)


def test_damaged_compressed_voxels_are_refused(tmp_path: Path) -> None:
    folder = a_series(tmp_path / "series")
    for path in folder.iterdir():
        dataset = pydicom.dcmread(path)
        dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.90"
        dataset.PixelData = pydicom.encaps.encapsulate([b"\xff\x4f\xff\x51no picture"])
        dataset["PixelData"].is_undefined_length = True
        dataset.save_as(path)
    with pytest.raises(ScanError, match=r"'JPEG 2000 Image Compression \(Lossless Only\)'"):
        read_scan(folder)


@pytest.mark.parametrize("kept", [0, 100, 140, 300, 600, 900])
def test_a_truncated_file_is_refused(tmp_path: Path, kept: int) -> None:
    folder = a_series(tmp_path / "series")
    path = folder / "IM005.dcm"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ScanError, match="series"):
        read_scan(folder)
