"""A PACS over DIMSE: C-ECHO, C-STORE, C-FIND and C-MOVE."""

from __future__ import annotations

import socket
from collections.abc import Collection, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydicom
from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.sop_class import (  # pyright: ignore[reportMissingModuleSource, reportAttributeAccessIssue]
    StudyRootQueryRetrieveInformationModelFind,  # pyright: ignore[reportAttributeAccessIssue, reportUnknownVariableType]
    StudyRootQueryRetrieveInformationModelMove,  # pyright: ignore[reportAttributeAccessIssue, reportUnknownVariableType]
    Verification,  # pyright: ignore[reportAttributeAccessIssue, reportUnknownVariableType]
)

from livercascade.data.errors import PacsError
from livercascade.pacs.dicomweb_archive import DUPLICATE
from livercascade.pacs.pacs_settings import PeerSettings
from livercascade.pacs.private_files import client_context
from livercascade.system.files import TRY_AGAIN

_PENDING = (0xFF00, 0xFF01)
# Out of resources, and the old code of a busy server: both pass.
_BUSY = (*range(0xA700, 0xA800), 0x0213, 0x0122)


@dataclass(frozen=True)
class DimsePeer:
    """A PACS over DIMSE.

    Attributes:
        settings: Its name and address.
        calling_ae: AE title that we give.
    """

    settings: PeerSettings
    calling_ae: str

    def echo(self) -> None:
        """Ask whether it is there (C-ECHO).

        Raises:
            PacsError: As `_associated`, or ``PACS_REFUSED``.
        """
        with self._associated([(Verification, None)]) as link:
            _check("C-ECHO", link.send_c_echo())

    def send(self, file: Path) -> None:
        """Store a DICOM file (C-STORE).

        Raises:
            PacsError: As `_associated`, or ``PACS_REFUSED``.
        """
        dataset = pydicom.dcmread(file)
        context = (dataset.SOPClassUID, dataset.file_meta.TransferSyntaxUID)
        with self._associated([context]) as link:
            status = link.send_c_store(dataset)
            if status.get("Status") != DUPLICATE:
                _check("C-STORE", status)

    def missing(self, study_uid: str, files: Collection[Path]) -> list[Path]:
        """Nothing: what was taken by C-STORE counts as there."""
        del study_uid, files
        return []

    def ct_series(self, study_uid: str) -> dict[str, int]:
        """Number of instances of each CT series by its UID; -1 if the PACS does not tell (C-FIND).

        Raises:
            PacsError: As `_associated`, or ``PACS_REFUSED``.
        """
        query = Dataset()
        query.QueryRetrieveLevel = "SERIES"
        query.StudyInstanceUID = study_uid
        query.SeriesInstanceUID = query.Modality = ""
        query.NumberOfSeriesRelatedInstances = None
        found: dict[str, int] = {}
        model = StudyRootQueryRetrieveInformationModelFind
        with self._associated([(model, None)]) as link:
            for status, one in link.send_c_find(query, model):
                _check("C-FIND", status)
                if one is not None and one.get("Modality") == "CT":
                    count = one.get("NumberOfSeriesRelatedInstances")
                    found[str(one.SeriesInstanceUID)] = -1 if count is None else int(count)
        return found

    def move_series(self, study_uid: str, series_uid: str, destination: str) -> None:
        """Have a series sent to an AE title that the PACS knows (C-MOVE).

        A series, not the study: one object of a class that the receiver does not take makes all of a study fail.

        Raises:
            PacsError: As `_associated`, or ``PACS_REFUSED``.
        """
        query = Dataset()
        query.QueryRetrieveLevel = "SERIES"
        query.StudyInstanceUID, query.SeriesInstanceUID = study_uid, series_uid
        model = StudyRootQueryRetrieveInformationModelMove
        with self._associated([(model, None)]) as link:
            for status, _ in link.send_c_move(query, destination, model):
                _check("C-MOVE", status)

    @contextmanager
    def _associated(self, contexts: Sequence[tuple[Any, Any]]) -> Generator[Association, None, None]:
        """An association with the presentation contexts, each of a SOP class and a transfer syntax.

        Raises:
            PacsError: ``PACS_UNREACHABLE`` (exit code 75), ``PACS_DENIED`` (exit code 75) if it rejects us,
                ``PACS_REFUSED`` if it knows none of the classes.
        """
        ae, peer = self._application(), self.settings
        for sop_class, syntax in contexts:
            if syntax is None:
                ae.add_requested_context(sop_class)
            else:
                ae.add_requested_context(sop_class, [syntax])
        tls = (client_context(peer.tls), peer.host) if peer.tls is not None else None
        link = ae.associate(
            peer.host, peer.port, ae_title=peer.ae, tls_args=tls, evt_handlers=[(evt.EVT_CONN_OPEN, send_at_once)]
        )
        try:
            if not link.is_established:
                raise _not_associated(link)
            yield link
        finally:
            if link.is_established:
                link.release()
            close_connection(link)

    def _application(self) -> AE:
        ae = AE(ae_title=self.calling_ae)
        seconds = self.settings.timeout_seconds
        ae.acse_timeout = ae.connection_timeout = ae.dimse_timeout = ae.network_timeout = seconds
        return ae


def send_at_once(event: Any) -> None:
    """Switch off the wait of TCP for more to send (Nagle), which costs 40 ms an image."""
    connection = getattr(event.assoc.dul.socket, "socket", None)
    if connection is not None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def close_connection(link: Association) -> None:
    """Close the socket of an association that has ended; pynetdicom leaves those open that the other side closed."""
    connection = getattr(link.dul.socket, "socket", None)
    if connection is not None:
        connection.close()


def _not_associated(link: Association) -> PacsError:
    if link.is_rejected:
        denied = PacsError("PACS_DENIED", "The PACS rejects the association.", "Check AE titles on both sides.")
        denied.exit_code = TRY_AGAIN
        return denied
    if link.rejected_contexts:
        message = "The PACS takes no object of this class and transfer syntax."
        return PacsError("PACS_REFUSED", message, "Allow the class there (Orthanc: UnknownSopClassAccepted).")
    away = PacsError("PACS_UNREACHABLE", "The PACS cannot be reached by DIMSE, or aborts.", "It is asked again.")
    away.exit_code = TRY_AGAIN
    return away


def _check(operation: str, answer: Dataset) -> None:
    """Pass success, warnings and what is still under way.

    An answer without a status means that the connection broke, or that the other side does not know us.
    """
    if "Status" not in answer:
        away = PacsError("PACS_UNREACHABLE", f"{operation}: no answer.", "It is asked again.")
        away.exit_code = TRY_AGAIN
        raise away
    status = int(answer.Status)
    if status == 0 or status in _PENDING or 0xB000 <= status < 0xC000 or status == 0x0001:
        if operation == "C-MOVE" and answer.get("NumberOfFailedSuboperations"):
            raise PacsError("PACS_REFUSED", "C-MOVE: not all images could be sent.", "See the log of the PACS.")
        return
    refused = PacsError("PACS_REFUSED", f"{operation}: status {status:04X}.", "See the log of the PACS.")
    if status in _BUSY:
        refused.exit_code = TRY_AGAIN
    raise refused
