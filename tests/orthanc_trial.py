"""What happens inside the namespace: ``python orthanc_trial.py FOLDER STUDY NAME``, started by test_pacs_orthanc."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from io import BytesIO
from pathlib import Path

import pydicom
from pydicom.uid import CTImageStorage
from pynetdicom import AE

from livercascade.pacs.build_service import listen_service, poll_service
from livercascade.pacs.fetch_study import fetch_study
from livercascade.pacs.job_store import JobStore
from livercascade.pacs.outbox import dicom_files
from livercascade.pacs.pacs_settings import read_pacs_settings
from livercascade.pacs.study_job import JobState
from orthanc_server import DICOM, OURS, PASSWORD, USER, Orthanc
from pacs_parts import runs, stub

SERVICE = """
import sys, threading
from pathlib import Path
from livercascade.pacs.build_service import poll_service
from livercascade.pacs.pacs_settings import read_pacs_settings
from livercascade.pacs.service import stopped_by_signals
from livercascade.pacs import study_job
study_job.FIRST_PAUSE_S = study_job.LONGEST_PAUSE_S = 0.2
stop = threading.Event()
settings = read_pacs_settings(Path(sys.argv[1]))
with stopped_by_signals(stop), poll_service(settings, stop=stop, program=sys.argv[2:]) as service:
    service.run()
"""


def write_settings(folder: Path, *, orthanc=False, analysis="") -> Path:
    secret = folder / "secret.toml"
    secret.write_text(f'user = "{USER}"\npassword = "{PASSWORD}"\n')
    secret.chmod(0o600)
    root = "http://127.0.0.1:18042"
    where = f'orthanc = "{root}"' if orthanc else f'url = "{root}/dicom-web"'
    path = folder / "pacs.toml"
    path.write_text(f"""
spool = "spool"
quiet_seconds = 1
[limits]
free_gb = 0
[archive]
{where}
credentials = "secret.toml"
every_seconds = 0.3
[archive.select]
days = 100000
[listen]
port = {OURS}
callers = [{{ae = "ORTHANC", address = "127.0.0.1"}}, {{ae = "CT1", address = "127.0.0.1"}}]
[peer]
ae = "ORTHANC"
host = "127.0.0.1"
port = {DICOM}
[analysis]
device = "cpu"
attempts = 50
{analysis}
""")
    return path


def equal(stored: dict, sent: list[Path]) -> bool:
    """True if what is stored is what was sent, data set by data set."""
    ours = {str(d.SOPInstanceUID): d for d in map(pydicom.dcmread, sent)}
    theirs = {uid: pydicom.dcmread(BytesIO(raw)) for uid, raw in stored.items()}
    return ours == theirs and bool(ours)


def results_of(spool: Path) -> list[Path]:
    store = JobStore(spool)
    return [file for job in store.all() for file in dicom_files(store.result(job))]


def poll(folder: Path, study: Path, program=None, *, orthanc=False, analysis="") -> dict:
    """DICOMweb: study in, poll, analysis, results back; then once more with nothing to do."""
    folder.mkdir(parents=True, exist_ok=True)
    archive = Orthanc(folder / "orthanc").start()
    try:
        archive.put(sorted(study.rglob("*.dcm")))
        settings = read_pacs_settings(write_settings(folder, orthanc=orthanc, analysis=analysis))
        more = {} if program is None else {"program": program}
        codes = []
        for _ in range(2):
            with poll_service(settings, stop=threading.Event(), **more) as service:
                end = time.monotonic() + 60
                while orthanc and not service.store.all() and time.monotonic() < end:
                    service.intake.step()  # until Orthanc calls the study stable
                    time.sleep(0.2)
                codes.append(service.run_once())
        stored, sent = archive.results(), results_of(settings.spool / "poll")
        phases, modalities = _phases(settings.spool / "poll"), {str(pydicom.dcmread(file).Modality) for file in sent}
        same, again = equal(stored, sent), _anew(settings, **more)
        return {
            "codes": codes, "equal": same, "count": len(stored), "uids": sorted(stored), "phases": phases,
            "modalities": sorted(modalities), "anew": again, "unchanged": set(archive.results()) == set(stored),
        }  # fmt: skip
    finally:
        archive.kill()


def _anew(settings, **more) -> list:
    """Poll once more with a spool that knows nothing; whether a result was made, for each study."""
    fresh = settings.model_copy(update={"spool": settings.spool.with_name("fresh")})
    with poll_service(fresh, stop=threading.Event(), **more) as service:
        end = time.monotonic() + 60
        while not service.store.all() and time.monotonic() < end:
            service.intake.step()
            time.sleep(0.2)
        service.run_once()
        return [[job.state.value, service.store.result(job).exists()] for job in service.store.all()]


def _phases(spool: Path) -> list[str]:
    """Phases that the cascade read, by its record; none where the stub stands for it."""
    store = JobStore(spool)
    for job in store.all():
        assert job.state is JobState.DONE, (job.state, job.code, job.message)
        record = json.loads((store.result(job) / "result.json").read_text())
        return [one["phase"] for one in record.get("inputs", [])]
    return []


def dimse(folder: Path, study: Path) -> dict:
    """C-STORE from a scanner to us, and C-MOVE of another study from the archive; results by C-STORE to the archive."""
    archive = Orthanc(folder / "orthanc").start()
    try:
        settings, log = read_pacs_settings(write_settings(folder)), folder / "log"
        images = [pydicom.dcmread(path) for path in sorted(study.rglob("*.dcm"))]
        with listen_service(settings, stop=threading.Event(), program=stub(log)) as (service, server):
            scanner = AE("CT1")
            scanner.add_requested_context(CTImageStorage)
            link = scanner.associate("127.0.0.1", server.port, ae_title="LIVERCASCADE")
            answers = {link.send_c_store(image).get("Status") for image in images}
            link.release()
            code = service.run_once()
        first = equal(archive.results(), results_of(settings.spool / "listen"))
        for image in images:
            for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
                setattr(image, keyword, f"{getattr(image, keyword)}.7")
            image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
            path = folder / "other.dcm"
            image.save_as(path, enforce_file_format=True)
            archive.put([path])
        fetched = fetch_study(settings, str(images[0].StudyInstanceUID), stop=threading.Event(), program=stub(log))
        second = equal(archive.results(), results_of(settings.spool / "listen"))
        return {
            "answers": sorted(answers), "codes": [code, fetched], "equal": [first, second],
            "runs": len(runs(log)), "images": {count for _, count in runs(log)} == {str(len(images))},
        }  # fmt: skip
    finally:
        archive.kill()


def chaos(folder: Path, studies: Path) -> dict:
    """Archive, service and analysis are killed at random moments while studies come in."""
    rng = random.Random(7)
    archive = Orthanc(folder / "orthanc").start()
    config, log = write_settings(folder), folder / "log"
    spool = folder / "spool" / "poll"
    command = [sys.executable, "-c", SERVICE, str(config), *stub(log, 0.3)]
    with (folder / "service.log").open("ab") as out:
        start = lambda: subprocess.Popen(command, stderr=out)  # noqa: E731
        service = start()
        kills = {"archive": 0, "service": 0, "analysis": 0}
        pending = sorted(path for path in studies.iterdir())
        for _ in range(12):
            if pending:
                archive.put(sorted(pending.pop().rglob("*.dcm")))
            time.sleep(rng.uniform(0.2, 2.5))
            victim = rng.choice(sorted(kills))
            if victim == "archive":
                archive.kill()
                time.sleep(rng.uniform(0, 1))
                archive.start()
            elif victim == "service":
                service.kill()
                service.wait()
                service = start()
            elif not _kill_child(service.pid):
                continue
            kills[victim] += 1
        for rest in pending:
            archive.put(sorted(rest.rglob("*.dcm")))
        ended = _wait_until_done(spool, len(list(studies.iterdir())))
        service.send_signal(signal.SIGTERM)
        code = service.wait()
    stored = archive.results()
    archive.kill()
    return {
        "kills": kills, "ended": ended, "code": code, "equal": equal(stored, results_of(spool)),
        "count": len(stored), "runs": len(runs(log)), "uids": sorted(stored),
        "partial": [str(path) for path in spool.rglob("*partial*")],
        "leaks": [word for word in ("Doe", "1.2.3.") if word in (folder / "service.log").read_text()],
    }  # fmt: skip


def _kill_child(pid: int) -> bool:
    children = Path(f"/proc/{pid}/task").glob("*/children")
    for child in " ".join(path.read_text() for path in children).split():
        os.kill(int(child), signal.SIGKILL)
        return True
    return False


def _wait_until_done(spool: Path, count: int) -> bool:
    end = time.monotonic() + 400
    while time.monotonic() < end:
        states = [json.loads(path.read_text())["state"] for path in spool.glob("studies/*/job.json")]
        if len(states) == count and set(states) == {"done"}:
            return True
        time.sleep(0.3)
    return False


if __name__ == "__main__":
    place, source, name = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    trials = {
        "poll": lambda: poll(place, source, stub(place / "log")),
        "changes": lambda: poll(place, source, stub(place / "log"), orthanc=True),
        "cascade": lambda: poll(place, source, analysis=f"settings = '{place / 'cascade.toml'}'"),
        "dimse": lambda: dimse(place, source),
        "chaos": lambda: chaos(place, source),
    }
    print(json.dumps(trials[name]()))
