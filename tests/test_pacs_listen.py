"""Studies sent to us by C-STORE, results sent back by C-STORE, studies fetched by C-MOVE; all on loopback."""

from __future__ import annotations

import gc
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pynetdicom import AE, AllStoragePresentationContexts, evt
from pynetdicom.sop_class import (
    CTImageStorage,
    SecondaryCaptureImageStorage,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelMove,
    Verification,
)

from livercascade.data.errors import PacsError
from livercascade.pacs.build_service import listen_service
from livercascade.pacs.dimse_peer import DimsePeer, close_connection
from livercascade.pacs.fetch_study import fetch_study
from livercascade.pacs.pacs_settings import PacsSettings, PeerSettings
from livercascade.pacs.study_job import JobState
from pacs_parts import certificate, runs, stub, study_images

# pynetdicom leaves the socket of a connection that was refused to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")


class FakePeer:
    """A PACS that takes results, and answers C-FIND and C-MOVE for the images it is given."""

    def __init__(self) -> None:
        self.taken: list[str] = []
        self.images: list[Any] = []
        self.status = 0x0000
        self.our_port = 0
        ae = AE("PEER")
        ae.supported_contexts = AllStoragePresentationContexts
        for context in (
            Verification,
            StudyRootQueryRetrieveInformationModelFind,
            StudyRootQueryRetrieveInformationModelMove,
        ):
            ae.add_supported_context(context)
        handlers = [
            (evt.EVT_C_STORE, self._store),
            (evt.EVT_C_FIND, self._find),
            (evt.EVT_C_MOVE, self._move),
        ]
        self.server: Any = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)

    def stop(self) -> None:
        server, self.server = self.server, None
        if server is not None:
            server.shutdown()

    @property
    def port(self) -> int:
        return self.server.socket.getsockname()[1]

    def _store(self, event: Any) -> int:
        if self.status == 0:
            self.taken.append(str(event.dataset.SOPInstanceUID))
        return self.status

    def _find(self, event: Any) -> Iterator[tuple[int, Any]]:
        for uid in sorted({i.SeriesInstanceUID for i in self.images}):
            found = pydicom.Dataset()
            found.QueryRetrieveLevel, found.StudyInstanceUID = "SERIES", event.identifier.StudyInstanceUID
            found.SeriesInstanceUID, found.Modality = uid, "CT"
            found.NumberOfSeriesRelatedInstances = sum(i.SeriesInstanceUID == uid for i in self.images)
            yield 0xFF00, found

    def _move(self, event: Any) -> Iterator[Any]:
        images = [i for i in self.images if i.SeriesInstanceUID == event.identifier.SeriesInstanceUID]
        yield "127.0.0.1", self.our_port, {"contexts": AE_CONTEXTS}
        yield len(images)
        for image in images:
            yield 0xFF00, image


AE_CONTEXTS = [c for c in AllStoragePresentationContexts if c.abstract_syntax == CTImageStorage]


@pytest.fixture
def peer() -> Iterator[FakePeer]:
    made = FakePeer()
    yield made
    made.stop()
    gc.collect()


def settings_for(spool: Path, peer: FakePeer, **listen: Any) -> PacsSettings:
    caller = {"ae": "SENDER", "address": "127.0.0.1/32"}
    mover = {"ae": "PEER", "address": "127.0.0.1/32"}
    return PacsSettings.model_validate(
        {
            "spool": spool,
            "quiet_seconds": 0.5,
            "limits": {"free_gb": 0, "images": 40},
            "listen": {"port": 0, "callers": [caller, mover]} | listen,
            "peer": {"ae": "PEER", "host": "127.0.0.1", "port": peer.port},
        }
    )


def send(images: list[Any], port: int, *, ae: str = "SENDER", tls: ssl.SSLContext | None = None) -> list[int | None]:
    """Status of each C-STORE; None without an answer, an empty list without an association."""
    sender = AE(ae)
    sender.connection_timeout = sender.acse_timeout = sender.dimse_timeout = 30
    for sop_class in {image.SOPClassUID for image in images}:
        sender.add_requested_context(sop_class)
    args = None if tls is None else (tls, "localhost")
    link = sender.associate("127.0.0.1", port, ae_title="LIVERCASCADE", tls_args=args)
    if not link.is_established:
        close_connection(link)
        return []
    answers = [link.send_c_store(image).get("Status") for image in images]
    if link.is_established:
        link.release()
    close_connection(link)
    return answers


def test_a_study_is_taken_analysed_once_and_its_results_are_sent(peer: FakePeer, tmp_path: Path) -> None:
    images, log = study_images(), tmp_path / "log"
    with listen_service(settings_for(tmp_path, peer), stop=threading.Event(), program=stub(log)) as (service, server):
        assert send(images, server.port) == [0] * 10
        kept = sorted(service.store.images(service.store.key_of("1.2.3.4")).glob("*.dcm"))
        assert service.run_once() == 0
        assert runs(log) == [("1.2.3.4", "10")] and len(peer.taken) == 2
        stored = {d.SOPInstanceUID: d for d in map(pydicom.dcmread, kept)}
        assert all(stored[image.SOPInstanceUID] == image for image in images)
        # The same images again change nothing; one more slice makes another study.
        assert send(images, server.port) == [0] * 10
        assert service.run_once() == 0 and len(runs(log)) == 1
        send(study_images(slices=6), server.port)
        assert service.run_once() == 0
        assert runs(log)[1:] == [("1.2.3.4", "12")] and len(set(peer.taken)) == 4


def test_other_objects_are_taken_and_dropped_and_big_studies_refused(peer: FakePeer, tmp_path: Path) -> None:
    with listen_service(settings_for(tmp_path, peer), stop=threading.Event(), program=stub(tmp_path / "log")) as (
        service,
        server,
    ):
        (capture,) = study_images(series=1, slices=1)
        capture.SOPClassUID = capture.file_meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
        assert send([capture], server.port) == [0]
        assert not service.store.all()
        assert send(study_images(slices=30), server.port)[38:] == [0, 0] + [0xA700] * 20


@pytest.mark.parametrize("ae", ["STRANGER", "SENDER"])
def test_strangers_are_kept_out(peer: FakePeer, tmp_path: Path, ae: str) -> None:
    callers = [{"ae": "SENDER", "address": "127.0.0.0/32"}]
    settings = settings_for(tmp_path, peer, callers=callers)
    with listen_service(settings, stop=threading.Event(), program=stub(tmp_path / "log")) as (service, server):
        assert send(study_images(slices=1), server.port, ae=ae) == []
        assert not service.store.all()


def test_a_study_is_fetched_analysed_and_answered(peer: FakePeer, tmp_path: Path) -> None:
    peer.images = study_images()
    settings = settings_for(tmp_path, peer)
    # The port is known only once it listens.
    with listen_service(settings, stop=threading.Event(), program=stub(tmp_path / "log")) as (_, server):
        peer.our_port = server.port
        assert settings.listen is not None
    fixed = settings.listen.model_copy(update={"port": peer.our_port})
    settings = settings.model_copy(update={"listen": fixed})
    assert fetch_study(settings, "1.2.3.4", stop=threading.Event(), program=stub(tmp_path / "log")) == 0
    assert runs(tmp_path / "log") == [("1.2.3.4", "10")] and len(peer.taken) == 2
    peer.images = []
    with pytest.raises(PacsError, match="NO_SUCH_CT"):
        fetch_study(settings, "1.2.3.9", stop=threading.Event(), program=stub(tmp_path / "log"))


def test_a_peer_that_is_busy_or_away_is_tried_again(peer: FakePeer, tmp_path: Path) -> None:
    (image,) = study_images(series=1, slices=1)
    image.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    place = DimsePeer(PeerSettings(ae="PEER", host="127.0.0.1", port=peer.port, timeout_seconds=5), "ME")
    place.echo()
    for status, again in ((0xA700, True), (0xA900, False), (0xC000, False)):
        peer.status = status
        with pytest.raises(PacsError, match="PACS_REFUSED") as caught:
            place.send(tmp_path / "a.dcm")
        assert (caught.value.exit_code == 75) is again
    peer.status = 0x0111
    place.send(tmp_path / "a.dcm")
    peer.stop()
    with pytest.raises(PacsError, match="PACS_UNREACHABLE"):
        place.echo()


def test_tls_lets_in_who_shows_acertificate(peer: FakePeer, tmp_path: Path) -> None:
    ours, theirs = certificate(tmp_path, "ours"), certificate(tmp_path, "theirs")
    tls = {"certificate": str(ours) + ".pem", "key": str(ours) + ".key", "ca": str(theirs) + ".pem"}
    settings = settings_for(tmp_path / "spool", peer, tls=tls)
    with listen_service(settings, stop=threading.Event(), program=stub(tmp_path / "log")) as (service, server):
        context = ssl.create_default_context(cafile=f"{ours}.pem")
        with_key = ssl.create_default_context(cafile=f"{ours}.pem")
        with_key.load_cert_chain(f"{theirs}.pem", f"{theirs}.key")
        images = study_images(series=1)
        assert send(images, server.port) == []
        assert send(images, server.port, tls=context) == []
        assert not service.store.all()
        assert send(images, server.port, tls=with_key) == [0] * 5
        assert [job.state for job in service.store.all()] == [JobState.SETTLING]


def test_what_is_no_image_is_answered_and_not_kept(peer: FakePeer, tmp_path: Path) -> None:
    with listen_service(settings_for(tmp_path, peer), stop=threading.Event(), program=stub(tmp_path / "log")) as (
        service,
        server,
    ):
        (image,) = study_images(series=1, slices=1)
        image.StudyInstanceUID = ""
        assert send([image], server.port) == [0xC000]
        assert not service.store.all()
