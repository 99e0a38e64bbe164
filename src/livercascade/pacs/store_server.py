"""Listens for images (C-STORE) and brings a study into the queue once no image of it has come for a while."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, field
from io import BytesIO
from ipaddress import ip_address
from typing import Any

import pydicom
from pydicom.uid import (
    CTImageStorage,
    EnhancedCTImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    LegacyConvertedEnhancedCTImageStorage,
    RLELossless,
)
from pynetdicom import AE, AllStoragePresentationContexts, evt
from pynetdicom.sop_class import Verification  # pyright: ignore[reportAttributeAccessIssue, reportUnknownVariableType]

from livercascade.data.errors import CascadeError, PacsError
from livercascade.pacs.dicomweb_archive import instance_file
from livercascade.pacs.dimse_peer import send_at_once
from livercascade.pacs.job_store import JobStore, content_hash
from livercascade.pacs.pacs_settings import IntakeLimits, ListenSettings
from livercascade.pacs.private_files import server_context
from livercascade.pacs.study_job import JobState, Origin, StudyJob
from livercascade.system.files import write_file

_LOG = logging.getLogger(__name__)
_KEPT = (CTImageStorage, EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage)
# No deflated one: a few bytes of it become gigabytes.
_SYNTAXES = [
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    ExplicitVRBigEndian,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEG2000Lossless,
    RLELossless,
]
_TAKEN, _NOT_ALLOWED, _NO_ROOM, _NOT_UNDERSTOOD = 0x0000, 0x0124, 0xA700, 0xC000
_MAY_SETTLE = (JobState.SETTLING, JobState.DONE, JobState.REJECTED, JobState.FAILED)


@dataclass
class StoreServer:
    """A C-STORE SCP: CT images are on the disk before they are acknowledged; other objects are taken and dropped.

    It offers every storage class, since a PACS lets all of a C-MOVE fail when one object of it is not taken.

    Attributes:
        store: The spool.
        settings: Address to listen on, and who may send.
        limits: What is taken in.
    """

    store: JobStore
    settings: ListenSettings
    limits: IntakeLimits
    _sizes: dict[str, tuple[int, int]] = field(default_factory=dict[str, tuple[int, int]])
    _guard: threading.Lock = field(default_factory=threading.Lock)
    _server: Any = None

    @property
    def port(self) -> int:
        """TCP port, once it listens."""
        return int(self._server.socket.getsockname()[1])

    def start(self) -> None:
        """Listen, in threads of its own.

        Raises:
            PacsError: ``CANNOT_LISTEN``: the port is taken or the address is not ours.
            UsageError: The certificates cannot be used.
        """
        ae = AE(ae_title=self.settings.ae)
        ae.require_calling_aet = sorted({caller.ae for caller in self.settings.callers})
        ae.require_called_aet = True
        ae.maximum_associations = self.settings.associations
        for context in AllStoragePresentationContexts:
            ae.add_supported_context(str(context.abstract_syntax), _SYNTAXES)
        ae.add_supported_context(Verification)
        tls = server_context(self.settings.tls, self._knows) if self.settings.tls is not None else None
        handlers: list[Any] = [
            (evt.EVT_CONN_OPEN, self._opened),
            (evt.EVT_C_ECHO, self._echoed),
            (evt.EVT_C_STORE, self._stored),
        ]
        try:
            place = (self.settings.host, self.settings.port)
            self._server = ae.start_server(place, block=False, evt_handlers=handlers, ssl_context=tls)
        except OSError as error:
            message = f"{self.settings.host}, port {self.settings.port}: {error.strerror or error}."
            raise PacsError("CANNOT_LISTEN", message, "Choose another host or port in [listen].") from error
        if tls is None and not ip_address(self._server.server_address[0]).is_loopback:
            _LOG.warning("listening without encryption", extra={"port": self.port})
        else:
            _LOG.info("listening", extra={"port": self.port})

    def stop(self) -> None:
        """Listen no longer; an image that is being written is finished first."""
        if self._server is not None:
            self._server.shutdown()
            self._server = None

    def _opened(self, event: Any) -> None:
        host = event.address[0]
        if not self._knows(host):
            _LOG.warning("caller is not allowed", extra={"address": host})
            connection = event.assoc.dul.socket.socket
            event.assoc.dul.socket.close()
            # It leaves one open that the other side has closed meanwhile.
            connection.close()
            return
        send_at_once(event)

    def _knows(self, host: str) -> bool:
        return any(ip_address(host) in caller.address for caller in self.settings.callers)

    def _echoed(self, event: Any) -> int:
        return _TAKEN if self._allowed(event) else _NOT_ALLOWED

    def _stored(self, event: Any) -> int:
        if not self._allowed(event):
            return _NOT_ALLOWED
        if event.request.AffectedSOPClassUID not in _KEPT:
            return _TAKEN
        try:
            return self._keep(event.encoded_dataset(), str(event.request.AffectedSOPInstanceUID))
        except CascadeError as error:
            _LOG.error("image could not be kept", extra={"code": error.code})
            return _NO_ROOM
        except Exception as error:
            _LOG.warning("image was not understood", extra={"code": type(error).__name__})
            return _NOT_UNDERSTOOD

    def _allowed(self, event: Any) -> bool:
        requestor = event.assoc.requestor
        host, title = ip_address(requestor.address), requestor.ae_title.strip()
        if any(caller.ae.strip() == title and host in caller.address for caller in self.settings.callers):
            return True
        _LOG.warning("caller is not allowed", extra={"address": str(host)})
        return False

    def _keep(self, encoded: bytes, sop_uid: str) -> int:
        header = pydicom.dcmread(BytesIO(encoded), specific_tags=["StudyInstanceUID"], stop_before_pixels=True)
        study_uid = str(header.StudyInstanceUID)
        if not study_uid:
            return _NOT_UNDERSTOOD
        self.store.check_room(self.limits.free_gb)
        key = self.store.key_of(study_uid)
        path = self.store.images(key) / instance_file(sop_uid)
        if not path.exists() and self._is_full(key, len(encoded)):
            _LOG.error("study is too big", extra={"study": key, "code": "STUDY_TOO_BIG"})
            return _NO_ROOM
        self.store.add(study_uid, Origin.LISTEN)
        write_file(path, encoded)
        return _TAKEN

    def _is_full(self, key: str, more: int) -> bool:
        """Count an image that is new; True if the study has room for no more."""
        images = self.store.images(key)
        with self._guard:
            if key not in self._sizes or not images.is_dir():
                there = [path.stat().st_size for path in images.glob("*.dcm")]
                self._sizes[key] = (len(there), sum(there))
            count, size = self._sizes[key]
            if count >= self.limits.images or size + more > self.limits.study_gb * 1e9:
                return True
            self._sizes[key] = (count + 1, size + more)
        return False


@dataclass
class ReceivedStudies:
    """Brings studies that were sent to us into the queue.

    Attributes:
        store: The spool.
        quiet_seconds: A study is complete when no image of it has come for so long.
        made_by: Hash of models, settings and version.
    """

    store: JobStore
    quiet_seconds: float
    made_by: str
    _seen: dict[str, float] = field(default_factory=dict[str, float])

    def step(self) -> bool:
        """Look at every study that may have new images; True if one went into the queue."""
        queued = [self._look(job) for job in self.store.all(*_MAY_SETTLE, origin=Origin.LISTEN)]
        return any(queued)

    def _look(self, job: StudyJob) -> bool:
        images = self.store.images(job.key)
        try:
            changed = images.stat().st_mtime
        except FileNotFoundError:
            if job.state is JobState.SETTLING and self.store.now() - job.since > self.quiet_seconds:
                gone = "The images were removed before the study was analysed."
                self.store.change(job, state=JobState.FAILED, code="IMAGES_GONE", message=gone)
            return False
        if job.state.ended and self._seen.get(job.key) == changed:
            return False
        names = [path.name for path in images.glob("*.dcm")]
        content = content_hash(names)
        self._seen[job.key] = changed
        # After a while images are removed, and the same ones may be sent again.
        if not names or (job.state.ended and content == job.content):
            return False
        values: dict[str, Any] = {"content": content, "images": len(names)}
        if job.state.ended:
            job = self.store.change(job, when=_MAY_SETTLE, state=JobState.SETTLING, **values) or job
        if self.store.now() - changed < self.quiet_seconds:
            return False
        if content == job.analysed and job.made_by == self.made_by:
            self.store.change(job, state=JobState.DONE, **values)
            return False
        _LOG.info("study is complete", extra={"study": job.key, "images": len(names)})
        return self.store.change(job, state=JobState.QUEUED, **values) is not None
