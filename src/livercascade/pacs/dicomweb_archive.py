"""An archive over DICOMweb: studies are found by QIDO-RS, fetched by WADO-RS, results are stored by STOW-RS."""

from __future__ import annotations

import fnmatch
import hashlib
from collections.abc import Collection, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pydicom
import requests
from dicomweb_client.web import DICOMwebClient
from pydicom.errors import InvalidDicomError
from pydicom.tag import Tag

from livercascade.data.errors import OutputError, PacsError
from livercascade.pacs.pacs_settings import ArchiveSettings, IntakeLimits, StudyFilter
from livercascade.pacs.private_files import check_private, client_context, read_credentials
from livercascade.system.files import TRY_AGAIN, output_errors

DUPLICATE = 0x0111
"""Reason of failure, and status of C-STORE: the instance is there already."""
_ONE_PAGE = 500


@dataclass(frozen=True, slots=True)
class ListedStudy:
    """A study as a query lists it.

    Attributes:
        uid: StudyInstanceUID.
        size: Numbers of its series and instances, as text; empty if the archive does not tell.
    """

    uid: str
    size: str


class DicomWebArchive:
    """An archive over DICOMweb.

    Args:
        settings: Address, credentials and certificates.

    Raises:
        UsageError: Credentials or certificates cannot be used.
    """

    def __init__(self, settings: ArchiveSettings) -> None:
        self.settings = settings
        self.session = http_session(settings)
        self._client = DICOMwebClient(
            settings.root, session=self.session, timeout=settings.timeout_seconds, permissive_uid=True
        )
        # Pauses between attempts are the service's, which is not to hang here meanwhile.
        self._client.set_http_retry_params(retry=False)

    def studies(self, wanted: StudyFilter, *, today: date, uid: str | None = None) -> list[ListedStudy]:
        """Studies that the filter lets through, in the archive's order.

        Args:
            wanted: Filter.
            today: Last of the days.
            uid: Asks for this study alone.

        Raises:
            PacsError: The archive cannot be asked.
        """
        filters = _filters(wanted, today) | ({"StudyInstanceUID": uid} if uid else {})
        fields = ["StudyDescription", "NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances"]
        with archive_errors("QIDO-RS"):
            found = self._all_pages(filters, fields)
            return [ListedStudy(value(one, "StudyInstanceUID"), _size(one)) for one in found if _described(one, wanted)]

    def ct_series(self, study_uid: str) -> dict[str, int]:
        """Number of instances of each CT series by its UID; -1 if the archive does not tell.

        Raises:
            PacsError: The archive cannot be asked.
        """
        return {uid: count for uid, (kind, count) in self._series(study_uid).items() if kind == "CT"}

    def other_instances(self, study_uid: str) -> tuple[str, ...]:
        """SOPInstanceUIDs of segmentations and structured reports of a study.

        Raises:
            PacsError: The archive cannot be asked.
        """
        found: list[str] = []
        for series, (kind, _) in self._series(study_uid).items():
            if kind in ("SEG", "SR"):
                with archive_errors("QIDO-RS"):
                    listed = self._client.search_for_instances(study_uid, series)
                    found += [value(one, "SOPInstanceUID") for one in listed]
        return tuple(sorted(found))

    def fetch_series(self, study_uid: str, series_uid: str, folder: Path, limits: IntakeLimits, taken: int = 0) -> int:
        """Write the instances of a series, each as a file named by `instance_file`, and return how many bytes they are.

        Args:
            study_uid: StudyInstanceUID.
            series_uid: SeriesInstanceUID.
            folder: Folder for the files.
            limits: Most bytes of the study.
            taken: Bytes of the study so far.

        Raises:
            PacsError: The archive cannot be asked, or ``STUDY_TOO_BIG``.
            OutputError: They cannot be written.
        """
        size = 0
        with archive_errors("WADO-RS"):
            # As stored: an archive that would have to decompress may not be able to.
            stream = self._client.iter_series(study_uid, series_uid, media_types=(("application/dicom", "*"),))
            for dataset in stream:
                path = folder / instance_file(str(dataset.SOPInstanceUID))
                with output_errors(path):
                    dataset.save_as(path, enforce_file_format=True)
                size += path.stat().st_size
                if taken + size > limits.study_gb * 1e9:
                    message = f"The study has more than {limits.study_gb:g} GB."
                    raise PacsError("STUDY_TOO_BIG", message, "Raise study_gb in [limits].")
        return size

    def send(self, file: Path) -> None:
        """Store a DICOM file by STOW-RS.

        Raises:
            PacsError: As `archive_errors`.
        """
        with archive_errors("STOW-RS"):
            dataset = pydicom.dcmread(file)
            answer = self._client.store_instances([dataset])
            reasons = {int(item.get("FailureReason", 0)) for item in answer.get("FailedSOPSequence", [])}
        if reasons - {DUPLICATE}:
            shown = ", ".join(f"{reason:04X}" for reason in sorted(reasons))
            raise PacsError("PACS_REFUSED", f"STOW-RS: {file.name} was refused ({shown}).", "See the archive's log.")

    def missing(self, study_uid: str, files: Collection[Path]) -> list[Path]:
        """Files whose instances a query does not find.

        Raises:
            PacsError: The archive cannot be asked.
        """
        lost: list[Path] = []
        for file in files:
            uid = str(pydicom.dcmread(file, stop_before_pixels=True, specific_tags=["SOPInstanceUID"]).SOPInstanceUID)
            with archive_errors("QIDO-RS"):
                found = self._client.search_for_instances(study_uid, search_filters={"SOPInstanceUID": uid})
            if not found:
                lost.append(file)
        return lost

    def _series(self, study_uid: str) -> dict[str, tuple[str, int]]:
        with archive_errors("QIDO-RS"):
            fields = ["Modality", "NumberOfSeriesRelatedInstances"]
            found = self._client.search_for_series(study_uid, fields=fields)
            return {
                value(one, "SeriesInstanceUID"): (
                    value(one, "Modality"),
                    int(value(one, "NumberOfSeriesRelatedInstances") or -1),
                )
                for one in found
            }

    def _all_pages(self, filters: dict[str, str], fields: list[str]) -> Iterator[dict[str, Any]]:
        seen: set[str] = set()
        while True:
            page = self._client.search_for_studies(
                limit=_ONE_PAGE, offset=len(seen), search_filters=filters, fields=fields
            )
            new = [one for one in page if value(one, "StudyInstanceUID") not in seen]
            yield from new
            seen |= {value(one, "StudyInstanceUID") for one in new}
            # An archive that knows no offset sends the same page again.
            if len(page) < _ONE_PAGE or not new:
                return


def http_session(settings: ArchiveSettings) -> requests.Session:
    """Session with the credentials and certificates of an archive; the environment (proxies, netrc) counts not.

    Raises:
        UsageError: Credentials or certificates cannot be used.
    """
    session = requests.Session()
    session.trust_env = False
    tls = settings.tls
    if tls.ca or tls.certificate:
        # Says what is wrong with them in our words, before the first request does in OpenSSL's.
        client_context(tls)
    if tls.ca is not None:
        session.verify = str(tls.ca)
    if tls.certificate is not None and tls.key is not None:
        check_private(tls.key)
        session.cert = (str(tls.certificate), str(tls.key))
    if settings.credentials is not None:
        secret = read_credentials(settings.credentials)
        if secret.token:
            session.headers["Authorization"] = f"Bearer {secret.token}"
        else:
            session.auth = (secret.user, secret.password)
    return session


@contextmanager
def archive_errors(service: str) -> Generator[None, None, None]:
    """Turn what goes wrong with an archive into errors with a code; none of them quotes an address or an identifier.

    Args:
        service: Name of the service, for the message.

    Raises:
        PacsError: ``PACS_UNREACHABLE`` or ``PACS_DENIED`` (exit code 75), ``PACS_REFUSED`` or ``PACS_ANSWER``.
    """
    try:
        yield
    except (PacsError, OutputError):
        raise
    except requests.HTTPError as error:
        status = 0 if error.response is None else error.response.status_code
        if status in (401, 403):
            denied = PacsError("PACS_DENIED", f"{service}: not allowed ({status}).", "Check the credentials.")
            denied.exit_code = TRY_AGAIN
            raise denied from error
        refused = PacsError("PACS_REFUSED", f"{service}: HTTP status {status}.", "See the archive's log.")
        if status in (408, 429) or status >= 500:
            refused.exit_code = TRY_AGAIN
        raise refused from error
    except (requests.RequestException, OSError) as error:
        message = f"{service}: the archive cannot be reached ({type(error).__name__})."
        away = PacsError("PACS_UNREACHABLE", message, "It is asked again.")
        away.exit_code = TRY_AGAIN
        raise away from error
    except (ValueError, KeyError, TypeError, AttributeError, InvalidDicomError) as error:
        message = f"{service}: the answer cannot be understood ({type(error).__name__})."
        raise PacsError("PACS_ANSWER", message, "Check that the address is that of DICOMweb.") from error


def instance_file(sop_uid: str) -> str:
    """Name of the file of an instance; nothing that a tag holds can lead out of a folder.

    >>> len(instance_file("1.2.3"))
    36
    """
    return f"{hashlib.sha256(sop_uid.encode()).hexdigest()[:32]}.dcm"


def value(found: dict[str, Any], keyword: str) -> str:
    """First value of a tag in DICOM JSON as text; empty if absent.

    >>> value({"0020000D": {"vr": "UI", "Value": ["1.2"]}}, "StudyInstanceUID")
    '1.2'
    """
    tag = Tag(keyword)
    values = (found.get(f"{tag:08X}") or {}).get("Value") or [""]
    return str(values[0])


def _size(found: dict[str, Any]) -> str:
    numbers = [value(found, name) for name in ("NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances")]
    return " ".join(numbers) if all(numbers) else ""


def _described(found: dict[str, Any], wanted: StudyFilter) -> bool:
    """True if the description fits; archives differ in how they match it, so that we do it ourselves."""
    return fnmatch.fnmatchcase(value(found, "StudyDescription").lower(), wanted.description.lower())


def _filters(wanted: StudyFilter, today: date) -> dict[str, str]:
    filters = dict(wanted.match)
    if wanted.modality:
        filters["ModalitiesInStudy"] = wanted.modality
    if wanted.days is not None:
        first = today - timedelta(days=wanted.days - 1)
        filters["StudyDate"] = f"{first:%Y%m%d}-{today:%Y%m%d}"
    if wanted.ae:
        filters["RetrieveAETitle"] = wanted.ae
    return filters
