"""Studies that appear in a folder, and what is common to all services: states, secrets, settings, logs, commands."""

from __future__ import annotations

import gc
import json
import logging
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest
from typer.testing import CliRunner

from livercascade.cli.main import app
from livercascade.data.errors import OutputError, UsageError
from livercascade.pacs.analysis_process import AnalysisRequest, run_request
from livercascade.pacs.folder_watch import watch_service
from livercascade.pacs.job_store import JobStore
from livercascade.pacs.pacs_settings import AnalysisLimits, read_pacs_settings
from livercascade.pacs.private_files import check_private, read_credentials
from livercascade.pacs.service import Service
from livercascade.pacs.service_log import write_log
from livercascade.pacs.study_job import JobState, Origin
from livercascade.system.manifest import verify
from pacs_parts import FakeArchive, runs, stub, study_images

PAGE = Path(__file__).parents[1] / "docs" / "how-to" / "pacs.md"


def put(folder: Path, *, word: str = "", slices: int = 4) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, image in enumerate(study_images(series=1, slices=slices, word=word)):
        image.save_as(folder / f"{number}.dcm", enforce_file_format=True)


def once(folder: Path, log: Path) -> int:
    stop = threading.Event()
    with watch_service(
        folder / "in", folder / "out", quiet_seconds=0.0, analysis=AnalysisLimits(), stop=stop, program=stub(log)
    ) as service:
        return service.run_once()


def test_each_study_of_a_folder_gets_a_result_once(tmp_path: Path) -> None:
    log = tmp_path / "log"
    put(tmp_path / "in" / "a" / "deeper")
    put(tmp_path / "in" / "b", word="REJECT")
    put(tmp_path / "in" / ".hidden")
    assert once(tmp_path, log) == 1
    assert verify(tmp_path / "out" / "a") and not (tmp_path / "out" / "b").exists()
    assert once(tmp_path, log) == 0 and len(runs(log)) == 2
    put(tmp_path / "in" / "a", slices=5)
    put(tmp_path / "in" / "b")
    assert once(tmp_path, log) == 0 and len(runs(log)) == 4
    assert verify(tmp_path / "out" / "b")


def test_a_result_that_was_removed_is_made_again(tmp_path: Path) -> None:
    log = tmp_path / "log"
    put(tmp_path / "in" / "a")
    once(tmp_path, log)
    (tmp_path / "out" / "a" / "manifest.json").unlink()
    (tmp_path / "out" / "a" / "result.json").unlink()
    for path in (tmp_path / "out" / "a").iterdir():
        path.unlink()
    assert once(tmp_path, log) == 0
    assert len(runs(log)) == 2 and verify(tmp_path / "out" / "a")


def test_a_stop_ends_the_analysis_and_the_study_waits(tmp_path: Path) -> None:
    put(tmp_path / "in" / "a", word="HANG")
    stop, log = threading.Event(), tmp_path / "log"
    with watch_service(
        tmp_path / "in", tmp_path / "out", quiet_seconds=0.0, analysis=AnalysisLimits(), stop=stop, program=stub(log)
    ) as service:
        thread = threading.Thread(target=service.run)
        thread.start()
        while not runs(log):
            time.sleep(0.05)
        stop.set()
        thread.join()
        (job,) = service.store.all()
        assert (job.state, job.attempts) == (JobState.QUEUED, 0)
    assert not list((tmp_path / "out").rglob("*partial*"))


def test_sigterm_ends_the_command_and_what_it_started(tmp_path: Path) -> None:
    put(tmp_path / "in" / "a", word="HANG")
    log = tmp_path / "log"
    script = (
        "import sys, threading\n"
        "from pathlib import Path\n"
        "from livercascade.pacs.folder_watch import watch_service\n"
        "from livercascade.pacs.pacs_settings import AnalysisLimits\n"
        "from livercascade.pacs.service import stopped_by_signals\n"
        "stop, folder = threading.Event(), Path(sys.argv[1])\n"
        "with stopped_by_signals(stop), watch_service(folder / 'in', folder / 'out', quiet_seconds=0.0,\n"
        "    analysis=AnalysisLimits(), stop=stop, program=sys.argv[2:]) as service:\n"
        "    service.run()\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script, str(tmp_path), *stub(log)])
    while not runs(log):
        time.sleep(0.05)
    children = Path(f"/proc/{process.pid}/task")
    started = " ".join(path.read_text() for path in children.glob("*/children")).split()
    process.send_signal(signal.SIGTERM)
    assert process.wait() == 0
    assert started and not any(Path(f"/proc/{pid}").exists() for pid in started)


def test_the_analysis_ends_with_whoever_started_it(tmp_path: Path) -> None:
    real = [sys.executable, "-m", "livercascade.pacs.analysis_process"]
    process = subprocess.Popen(real, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdin is not None and process.stderr is not None
    request = AnalysisRequest(outcome=tmp_path / "outcome", limits=AnalysisLimits(), source=tmp_path)
    process.stdin.write(request.model_dump_json().encode() + b"\n")
    process.stdin.close()
    assert process.wait() in (0, 1)
    process.stderr.close()


def test_the_real_analysis_tells_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "study").mkdir()
    request = AnalysisRequest(
        outcome=tmp_path / "o", limits=AnalysisLimits(device="cpu"), source=tmp_path / "study", out=tmp_path / "out"
    )
    outcome = run_request(request)
    assert (outcome.status, outcome.code) == ("rejected", "EMPTY_FOLDER")
    bad = AnalysisLimits(whole=tmp_path / "none")
    assert run_request(request.model_copy(update={"limits": bad})).status == "failed"
    described = run_request(request.model_copy(update={"source": None}))
    assert described.status == "ok" and len(described.made_by) == 64


def test_states_survive_and_only_the_newest_is_changed(tmp_path: Path) -> None:
    store = JobStore(tmp_path)
    job = store.add("1.2.3", Origin.POLL)
    assert store.change(job, state=JobState.QUEUED) is not None
    assert store.change(job, state=JobState.DONE) is None, "the copy is older than the state"
    again = JobStore(tmp_path)
    assert again.all() == store.all() and again.key_of("1.2.3") == job.key
    assert JobStore(tmp_path / "other").key_of("1.2.3") != job.key
    assert oct(tmp_path.stat().st_mode)[-2:] == "00"
    (store.place(job.key) / "job.json").write_text("{")
    with pytest.raises(OutputError, match="BAD_STATE"):
        JobStore(tmp_path)


def test_a_study_that_cut_the_service_off_too_often_is_given_up(tmp_path: Path) -> None:
    stop = threading.Event()
    for attempt in range(1, 4):
        put(tmp_path / "in" / "a")
        with watch_service(
            tmp_path / "in", tmp_path / "out", quiet_seconds=0.0, analysis=AnalysisLimits(), stop=stop,
            program=stub(tmp_path / "log"),
        ) as service:  # fmt: skip
            store = service.store
            if attempt == 1:
                service.intake.step()
                service.intake.step()
            (job,) = store.all()
            assert job.state is JobState.QUEUED
            store.change(job, state=JobState.RUNNING, attempts=job.attempts)
            service.worker.recover()
    (job,) = store.all()
    assert (job.state, job.code) == (JobState.FAILED, "ANALYSIS_DIED")


def test_secrets_that_others_can_read_are_refused(tmp_path: Path) -> None:
    secret = tmp_path / "secret.toml"
    secret.write_text('user = "me"\npassword = "swordfish"\n')
    secret.chmod(0o640)
    with pytest.raises(UsageError, match="SECRET_EXPOSED"):
        read_credentials(secret)
    secret.chmod(0o600)
    assert read_credentials(secret).password == "swordfish"
    assert "swordfish" not in repr(read_credentials(secret))
    secret.write_text('password = "swordfish"\n')
    with pytest.raises(UsageError, match="BAD_CREDENTIALS") as caught:
        read_credentials(secret)
    assert "swordfish" not in str(caught.value)
    with pytest.raises(UsageError, match="SECRET_MISSING"):
        check_private(tmp_path / "none")


@pytest.mark.parametrize(
    "part",
    [
        '[archive]\nurl = "http://pacs.example/dicom-web"\ncredentials = "secret.toml"',
        '[archive]\nurl = "https://me:pw@pacs.example/dicom-web"',
        '[archive]\nurl = "ftp://pacs.example"',
        "[archive]",
        "[listen]\ncallers = []",
        '[peer]\nae = "NAME THAT IS TOO LONG"\nhost = "a"\nport = 1',
        "unknown = 1",
    ],
)
def test_settings_that_cannot_be_meant_are_refused(tmp_path: Path, part: str) -> None:
    (tmp_path / "pacs.toml").write_text(f'spool = "spool"\n{part}\n' if "[" in part else f'{part}\nspool = "spool"\n')
    with pytest.raises(UsageError, match="BAD_PACS_SETTINGS"):
        read_pacs_settings(tmp_path / "pacs.toml")


def test_the_example_of_the_documentation_is_read(tmp_path: Path) -> None:
    blocks = PAGE.read_text(encoding="utf-8").split("```toml\n")[1:]
    (tmp_path / "pacs.toml").write_text(blocks[0].split("```")[0])
    settings = read_pacs_settings(tmp_path / "pacs.toml")
    assert settings.archive and settings.listen and settings.peer
    assert settings.archive.credentials == tmp_path / "pacs-credentials.toml"
    read = (tmp_path / "secret.toml", blocks[1].split("```")[0])
    read[0].write_text(read[1])
    read[0].chmod(0o600)
    read_credentials(read[0])


@pytest.fixture
def quiet_logging() -> Iterator[None]:
    yield
    for name in ("livercascade.pacs", "pynetdicom", "dicomweb_client", "pydicom", "urllib3", "py.warnings"):
        logging.getLogger(name).handlers[:] = []
        logging.getLogger(name).propagate = True
    logging.captureWarnings(False)


@pytest.mark.usefixtures("quiet_logging")
def test_the_log_names_no_patient_and_no_study(tmp_path: Path) -> None:
    from livercascade.pacs.build_service import poll_service
    from pacs_parts import poll_settings

    stream, archive = StringIO(), FakeArchive()
    write_log(stream)
    archive.add(study_images("1.2.3.4", series=1) + study_images("1.2.3.5", series=1, word="REJECT", patient="P77"))
    with archive.serving() as url:
        settings = poll_settings(tmp_path / "spool", url)
        with poll_service(settings, stop=threading.Event(), program=stub(tmp_path / "log")) as service:
            service.run_once()
            archive.status = 500
            service.stop.wait(0)
            _one_look(service)
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert {"study seen", "study fetched", "analysis ended", "results have arrived"} <= {
        line["event"] for line in lines
    }
    assert any(line.get("code") == "NO_LIVER" for line in lines)
    for secret in ("1.2.3", "Doe", "P77", "REJECT", str(tmp_path)):
        assert secret not in stream.getvalue()


def _one_look(service: Service) -> None:
    """One round of the loop that runs the intake, while the archive is down."""
    threading.Timer(0.5, service.stop.set).start()
    service.run()


# pynetdicom leaves the socket of a connection that was refused to the garbage collector.
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
@pytest.mark.usefixtures("quiet_logging")
def test_commands_check_list_and_retry(tmp_path: Path) -> None:
    archive, run = FakeArchive(), CliRunner().invoke
    archive.add(study_images())
    with archive.serving() as url:
        config = tmp_path / "pacs.toml"
        config.write_text(
            f'spool = "spool"\n[limits]\nfree_gb = 0\n[archive]\nurl = "{url}"\n[archive.select]\ndays = 9\n'
            '[listen]\ncallers = [{ae = "A", address = "10.0.0.0/8"}]\n'
            '[peer]\nae = "P"\nhost = "127.0.0.1"\nport = 9\ntimeout_seconds = 2\n'
        )
        told = run(app, ["pacs", "check", str(config), "--no-models", "--json"])
        assert told.exit_code == 1
        found = {part["name"]: part["code"] for part in json.loads(told.stdout)}
        assert found == {
            "spool": "", "archive (QIDO-RS)": "", "peer (C-ECHO)": "PACS_UNREACHABLE", "listener": "",
        }  # fmt: skip
        archive.status = 401
        assert "PACS_DENIED" in run(app, ["pacs", "check", str(config), "--no-models"]).stdout
    gc.collect()
    store = JobStore(tmp_path / "spool" / "poll")
    job = store.change(store.add("1.2.3", Origin.POLL), state=JobState.FAILED, code="TIME_LIMIT")
    assert job is not None
    listed = json.loads(run(app, ["pacs", "status", str(config), "--json"]).stdout)
    assert [(one["study"], one["state"], one["code"]) for one in listed] == [(job.key, "failed", "TIME_LIMIT")]
    assert job.key in run(app, ["pacs", "status", str(config)]).stdout
    assert run(app, ["pacs", "retry", str(config), job.key]).exit_code == 0
    assert [one.key for one in store.take_retries()] == [job.key]
    assert run(app, ["pacs", "retry", str(config), "none"]).exit_code == 2
