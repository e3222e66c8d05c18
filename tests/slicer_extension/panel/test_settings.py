"""Settings outlive the program, and nothing but texts comes back."""

from pathlib import Path

from offscreen_qt import qt

from HealthyCounterpartLib.known_jobs import KnownJobs, RememberedJob
from HealthyCounterpartLib.settings import QtSettings

JOB = RememberedJob("1", "https://host, with comma", "2026-03-01 10:00:00", "@study", "T1")


def settings_of(path: Path) -> QtSettings:
    return QtSettings(qt.QSettings(str(path), qt.QSettings.Format.IniFormat))


def test_jobs_are_found_by_the_next_program(tmp_path: Path) -> None:
    KnownJobs(settings_of(tmp_path / "a.ini")).remember(JOB)
    assert KnownJobs(settings_of(tmp_path / "a.ini")).all() == (JOB,)


def test_texts_are_written_at_once(tmp_path: Path) -> None:
    settings_of(tmp_path / "a.ini").setValue("HealthyCounterpart/Server", "http://h")
    assert "http://h" in (tmp_path / "a.ini").read_text()


def test_what_is_no_text_is_as_good_as_none(tmp_path: Path) -> None:
    (tmp_path / "a.ini").write_text("[HealthyCounterpart]\nServer=a, b\n")
    assert settings_of(tmp_path / "a.ini").value("HealthyCounterpart/Server", "none") == "none"
