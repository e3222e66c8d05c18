"""What is kept when Slicer is closed: jobs and consent."""

from plain_settings import PlainSettings

from HealthyCounterpartLib.consent import Consent
from HealthyCounterpartLib.known_jobs import KnownJobs, RememberedJob

HERE, THERE = "http://127.0.0.1:8000", "https://mri.example"


def a_job(number: int, url: str = HERE) -> RememberedJob:
    return RememberedJob(f"{number:032x}", url, "2026-11-21 14:00:00", contrast="T1")


def test_jobs_are_found_again_newest_first_and_by_server() -> None:
    settings = PlainSettings()
    for job in (a_job(1), a_job(2, THERE), a_job(3)):
        KnownJobs(settings).remember(job)
    assert KnownJobs(settings).at(HERE) == (a_job(3), a_job(1))


def test_a_job_is_remembered_once_and_forgotten_at_its_server_alone() -> None:
    jobs = KnownJobs(PlainSettings())
    for job in (a_job(1), a_job(1), a_job(1, THERE)):
        jobs.remember(job)
    jobs.forget(a_job(1).id, HERE)
    assert jobs.all() == (a_job(1, THERE),)


def test_only_so_many_are_kept() -> None:
    jobs = KnownJobs(PlainSettings())
    for number in range(30):
        jobs.remember(a_job(number))
    assert len(jobs.all()) == 20 and jobs.all()[0] == a_job(29)


def test_damaged_settings_are_no_jobs_and_no_consent() -> None:
    for text in ("{", '[{"id": 1}]', "[3]", '{"a": 1}'):
        settings = PlainSettings()
        settings.kept = {"HealthyCounterpart/Jobs": text, "HealthyCounterpart/Consent": text}
        assert KnownJobs(settings).all() == ()
        assert not Consent(settings).given("mri.example")


def test_consent_is_for_one_host_and_lasts() -> None:
    settings = PlainSettings()
    Consent(settings).give("MRI.example")
    assert Consent(settings).given("mri.example")
    assert not Consent(settings).given("other.example")
