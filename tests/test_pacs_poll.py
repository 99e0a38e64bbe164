"""Studies from a DICOMweb archive and results back: every one once, whatever goes wrong on the way."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from livercascade.data.errors import OutputError, PacsError, UsageError
from livercascade.pacs.build_service import poll_service
from livercascade.pacs.dicomweb_archive import DicomWebArchive
from livercascade.pacs.job_store import JobStore
from livercascade.pacs.pacs_settings import AnalysisLimits, PacsSettings
from livercascade.pacs.study_job import JobState
from pacs_parts import FakeArchive, certificate, poll_settings, runs, stub, study_images


@pytest.fixture
def archive() -> FakeArchive:
    return FakeArchive()


@pytest.fixture
def url(archive: FakeArchive) -> Iterator[str]:
    with archive.serving() as address:
        yield address


def once(settings: PacsSettings, log: Path) -> int:
    with poll_service(settings, stop=threading.Event(), program=stub(log)) as service:
        return service.run_once()


def jobs(settings: PacsSettings) -> dict[str, str]:
    return {job.study_uid: job.state.value for job in JobStore(settings.spool / "poll").all()}


def hurry(settings: PacsSettings) -> None:
    """Let every pause be over."""
    store = JobStore(settings.spool / "poll")
    for job in store.all():
        store.change(job, next_try=0.0)


def test_results_are_stored_once_and_a_second_look_does_nothing(archive: FakeArchive, url: str, tmp_path: Path) -> None:
    archive.add(study_images("1.2.3.4") + study_images("1.2.3.5", series=1))
    settings, log = poll_settings(tmp_path / "spool", url), tmp_path / "log"
    assert once(settings, log) == 0
    assert sorted(runs(log)) == [("1.2.3.4", "10"), ("1.2.3.5", "5")]
    assert len(archive.results()) == 4
    before, asked = list(archive.stored), archive.seen["studies/series"]
    assert once(settings, log) == 0
    assert archive.stored == before and len(runs(log)) == 2
    # Our own results made the studies larger: one more look at their series, and none after that.
    assert once(settings, log) == 0
    assert archive.seen["studies/series"] <= asked + 2
    assert jobs(settings) == {"1.2.3.4": "done", "1.2.3.5": "done"}


def test_a_study_that_grows_is_analysed_again(archive: FakeArchive, url: str, tmp_path: Path) -> None:
    archive.add(study_images(series=1))
    settings, log = poll_settings(tmp_path / "spool", url), tmp_path / "log"
    once(settings, log)
    archive.add(study_images(series=2))
    once(settings, log)
    assert runs(log) == [("1.2.3.4", "5"), ("1.2.3.4", "10")]
    assert len(archive.results()) == 4


def test_a_study_is_left_alone_until_it_is_quiet(archive: FakeArchive, url: str, tmp_path: Path) -> None:
    archive.add(study_images())
    settings, log = poll_settings(tmp_path / "spool", url, quiet_seconds=1000), tmp_path / "log"
    with poll_service(settings, stop=threading.Event(), program=stub(log)) as service:
        clock = [0.0]
        service.store.now = lambda: clock[0]
        service.intake.step()
        clock[0] = 990.0
        archive.add(study_images(series=3))
        service.intake.step()
        clock[0] = 1980.0
        service.intake.step()
        assert not service.store.all(JobState.QUEUED)
        clock[0] = 1991.0
        service.intake.step()
        assert [job.images for job in service.store.all(JobState.QUEUED)] == [15]


def test_an_archive_that_is_away_is_asked_again_and_nothing_is_lost(
    archive: FakeArchive, url: str, tmp_path: Path
) -> None:
    archive.add(study_images())
    settings, log = poll_settings(tmp_path / "spool", url), tmp_path / "log"
    with poll_service(settings, stop=threading.Event(), program=stub(log)) as service:
        service.intake.step()
        service.worker.step()
        archive.status = 503
        assert service.outbox is not None and service.outbox.step()
        (job,) = service.store.all()
        assert (job.state, job.attempts, job.code) == (JobState.SENDING, 1, "PACS_REFUSED")
        assert not service.outbox.step(), "it waits before it tries again"
    archive.status = None
    hurry(settings)
    assert once(settings, log) == 0
    assert len(archive.results()) == 2 and len(runs(log)) == 1


def test_what_the_archive_lost_is_sent_again(archive: FakeArchive, url: str, tmp_path: Path) -> None:
    archive.add(study_images())
    archive.lose = 1
    settings, log = poll_settings(tmp_path / "spool", url), tmp_path / "log"
    assert once(settings, log) == 75
    hurry(settings)
    assert once(settings, log) == 0
    assert len(archive.results()) == 2 and len(runs(log)) == 1


def test_a_refusal_ends_it_and_retry_sends_again(archive: FakeArchive, url: str, tmp_path: Path) -> None:
    archive.add(study_images())
    archive.refuse = 0xA900
    settings, log = poll_settings(tmp_path / "spool", url), tmp_path / "log"
    for _ in range(5):
        once(settings, log)
        hurry(settings)
    assert jobs(settings) == {"1.2.3.4": "failed"}
    archive.refuse = 0x0111
    store = JobStore(settings.spool / "poll")
    store.ask_retry(store.key_of("1.2.3.4"))
    # The archive says that it has them (0111) but does not find them: they are not taken for sent.
    assert once(settings, log) == 75
    archive.refuse = None
    hurry(settings)
    assert once(settings, log) == 0
    assert len(archive.results()) == 2 and len(runs(log)) == 1


def test_one_bad_study_does_not_stop_the_others(archive: FakeArchive, url: str, tmp_path: Path) -> None:
    for number, word in enumerate(["DIE", "", "REJECT", "EAT", ""]):
        archive.add(study_images(f"1.2.3.{number}", series=1, word=word))
    limits = {"memory_gb": 0.3, "attempts": 1}
    settings, log = poll_settings(tmp_path / "spool", url, analysis=limits), tmp_path / "log"
    assert once(settings, log) == 1
    store = JobStore(settings.spool / "poll")
    assert {job.study_uid[-1]: (job.state.value, job.code) for job in store.all()} == {
        "0": ("failed", "ANALYSIS_DIED"),
        "1": ("done", ""),
        "2": ("rejected", "NO_LIVER"),
        "3": ("failed", "MEMORY_LIMIT"),
        "4": ("done", ""),
    }
    assert len(archive.results()) == 4


def test_an_analysis_that_takes_too_long_is_ended(archive: FakeArchive, url: str, tmp_path: Path) -> None:
    archive.add(study_images(word="HANG"))
    settings = poll_settings(tmp_path / "spool", url)
    with poll_service(settings, stop=threading.Event(), program=stub(tmp_path / "log")) as service:
        runner = replace(service.worker.runner, limits=AnalysisLimits(minutes=0.01))
        service.worker = replace(service.worker, runner=runner)
        assert service.run_once() == 1
        assert [job.code for job in service.store.all(JobState.FAILED)] == ["TIME_LIMIT"]


def test_a_study_that_kills_its_analysis_is_tried_a_few_times(archive: FakeArchive, url: str, tmp_path: Path) -> None:
    archive.add(study_images(word="DIE"))
    settings, log = poll_settings(tmp_path / "spool", url), tmp_path / "log"
    for _ in range(4):
        once(settings, log)
        hurry(settings)
    assert len(runs(log)) == 3
    assert jobs(settings) == {"1.2.3.4": "failed"}


@pytest.mark.parametrize("limits", [{"images": 9}, {"study_gb": 1e-5}])
def test_a_study_that_is_too_big_is_refused(
    archive: FakeArchive, url: str, tmp_path: Path, limits: dict[str, float]
) -> None:
    archive.add(study_images())
    settings = poll_settings(tmp_path / "spool", url, limits=limits | {"free_gb": 0})
    assert once(settings, tmp_path / "log") == 1
    (job,) = JobStore(settings.spool / "poll").all()
    assert (job.state, job.code) == (JobState.REJECTED, "STUDY_TOO_BIG")
    assert not (settings.spool / "poll" / "studies" / job.key / "images").exists()


def test_images_that_did_not_come_are_noticed(archive: FakeArchive, url: str, tmp_path: Path) -> None:
    archive.add(study_images())
    archive.short = True
    settings, log = poll_settings(tmp_path / "spool", url), tmp_path / "log"
    assert once(settings, log) == 75
    assert [job.code for job in JobStore(settings.spool / "poll").all()] == ["STUDY_INCOMPLETE"]
    archive.short = False
    hurry(settings)
    assert once(settings, log) == 0
    assert runs(log) == [("1.2.3.4", "10")]


def test_credentials_are_sent_and_wrong_ones_told(archive: FakeArchive, url: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret.toml"
    secret.write_text('token = "abc"\n')
    secret.chmod(0o600)
    archive.add(study_images())
    archive.authorization = "Bearer abc"
    values = {"url": url, "credentials": str(secret), "select": {"days": None}}
    assert once(poll_settings(tmp_path / "spool", url, archive=values), tmp_path / "log") == 0
    archive.authorization = "Bearer other"
    with pytest.raises(PacsError, match="PACS_DENIED"):
        once(poll_settings(tmp_path / "spool", url, archive=values), tmp_path / "log")


def test_https_asks_for_the_certificates_of_both_sides(archive: FakeArchive, tmp_path: Path) -> None:
    theirs, ours = certificate(tmp_path, "archive"), certificate(tmp_path, "service")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=f"{ours}.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(f"{theirs}.pem", f"{theirs}.key")
    archive.add(study_images())
    with archive.serving(context) as address:
        tls = {"ca": f"{theirs}.pem", "certificate": f"{ours}.pem", "key": f"{ours}.key"}
        stranger = {"ca": f"{ours}.pem", "certificate": f"{ours}.pem", "key": f"{ours}.key"}
        for files, works in ((tls, True), ({"ca": f"{theirs}.pem"}, False), (stranger, False), ({}, False)):
            values = {"url": address, "tls": files, "timeout_seconds": 20, "select": {"days": None}}
            settings = poll_settings(tmp_path / "spool", address, archive=values)
            if works:
                assert once(settings, tmp_path / "log") == 0
                continue
            with pytest.raises(PacsError, match="PACS_UNREACHABLE") as caught:
                once(settings, tmp_path / "log")
            assert caught.value.exit_code == 75
    assert len(archive.results()) == 2


def test_filters_reach_the_archive_and_descriptions_are_matched_here(
    archive: FakeArchive, url: str, tmp_path: Path
) -> None:
    archive.add(study_images("1.2.3.4", word="Abdomen LIVER") + study_images("1.2.3.5", word="Head"))
    select = {"days": None, "description": "*liver*"}
    settings = poll_settings(tmp_path / "spool", url, archive={"url": url, "select": select})
    assert once(settings, tmp_path / "log") == 0
    assert jobs(settings) == {"1.2.3.4": "done"}


def test_other_models_analyse_again_what_is_still_listed(archive: FakeArchive, url: str, tmp_path: Path) -> None:
    archive.add(study_images())
    settings, log = poll_settings(tmp_path / "spool", url), tmp_path / "log"
    once(settings, log)
    store = JobStore(settings.spool / "poll")
    store.change(store.all()[0], made_by="older")
    assert once(settings, log) == 0
    assert len(runs(log)) == 2 and len(archive.results()) == 2


def test_two_services_do_not_share_a_spool(archive: FakeArchive, url: str, tmp_path: Path) -> None:
    settings = poll_settings(tmp_path / "spool", url)
    with (
        poll_service(settings, stop=threading.Event(), program=stub(tmp_path / "log")),
        pytest.raises(UsageError, match="SPOOL_BUSY"),
        poll_service(settings, stop=threading.Event(), program=stub(tmp_path / "log")),
    ):
        pass


def test_a_full_disk_stops_the_intake_and_loses_nothing(archive: FakeArchive, url: str, tmp_path: Path) -> None:
    archive.add(study_images())
    settings = poll_settings(tmp_path / "spool", url, limits={"free_gb": 1e9})
    with pytest.raises(OutputError, match="NO_SPACE"):
        once(settings, tmp_path / "log")
    assert once(poll_settings(tmp_path / "spool", url), tmp_path / "log") == 0


def test_what_ended_long_ago_is_removed_but_not_done_again(archive: FakeArchive, url: str, tmp_path: Path) -> None:
    archive.add(study_images())
    settings, log = poll_settings(tmp_path / "spool", url, keep_days=0), tmp_path / "log"
    once(settings, log)
    assert not list(settings.spool.rglob("*.dcm"))
    once(settings, log)
    assert len(runs(log)) == 1 and len(archive.results()) == 2


def test_a_result_that_was_damaged_before_it_was_sent_is_made_again(
    archive: FakeArchive, url: str, tmp_path: Path
) -> None:
    archive.add(study_images())
    settings, log = poll_settings(tmp_path / "spool", url), tmp_path / "log"
    with poll_service(settings, stop=threading.Event(), program=stub(log)) as service:
        service.intake.step()
        service.worker.step()
        (job,) = service.store.all(JobState.SENDING)
        next(service.store.result(job).glob("*.dcm")).write_bytes(b"")
        assert service.run_once() == 0
    assert len(runs(log)) == 2 and len(archive.results()) == 2
    assert not list(settings.spool.glob("poll/studies/*/images")), "the archive has them"


def test_a_study_that_the_archive_removed_ends(archive: FakeArchive, url: str, tmp_path: Path) -> None:
    archive.add(study_images())
    settings = poll_settings(tmp_path / "spool", url, quiet_seconds=1000)
    with poll_service(settings, stop=threading.Event(), program=stub(tmp_path / "log")) as service:
        clock = [0.0]
        service.store.now = lambda: clock[0]
        service.intake.step()
        archive.instances.clear()
        for clock[0] in (1001.0, 2002.0):
            service.intake.step()
        assert [job.code for job in service.store.all(JobState.FAILED)] == ["STUDY_GONE"]


def test_a_study_that_cannot_be_listed_does_not_stop_the_others(
    archive: FakeArchive, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive.add(study_images("1.2.3.4") + study_images("1.2.3.5"))
    settings = poll_settings(tmp_path / "spool", url)
    with poll_service(settings, stop=threading.Event(), program=stub(tmp_path / "log")) as service:
        asked = DicomWebArchive.ct_series

        def refuse(self: DicomWebArchive, study_uid: str) -> dict[str, int]:
            if study_uid == "1.2.3.4":
                raise PacsError("PACS_ANSWER", "nonsense", "none")
            return asked(self, study_uid)

        monkeypatch.setattr(DicomWebArchive, "ct_series", refuse)
        assert service.run_once() == 0
        assert [job.study_uid for job in service.store.all(JobState.DONE)] == ["1.2.3.5"]
