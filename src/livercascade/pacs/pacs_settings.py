"""Settings of the PACS service: one TOML file, with paths relative to it."""

from __future__ import annotations

import tomllib
from enum import Enum
from ipaddress import IPv4Network, IPv6Network, ip_address
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, PositiveFloat, PositiveInt, model_validator

from livercascade.data.errors import UsageError
from livercascade.data.record import Record


def _beside_file(path: Path, info: Any) -> Path:
    return (info.context or {}).get("folder", Path()) / path.expanduser()


SitePath = Annotated[Path, AfterValidator(_beside_file)]
"""Path that is relative to the file of settings."""
AeTitle = Annotated[str, Field(pattern=r"^[ -\[\]-~]*[!-\[\]-~][ -\[\]-~]*$", max_length=16)]
"""Name of a DICOM application: up to 16 printable characters, no backslash."""
Port = Annotated[int, Field(ge=0, le=65535)]


class TlsFiles(Record):
    """Files for encrypted connections, PEM.

    Attributes:
        ca: Certificates of the authorities that are trusted; those of the system if absent. A listener with it lets
            only those in who show a certificate of theirs.
        certificate: Own certificate, with its chain.
        key: Its private key; readable by its owner alone.
    """

    ca: SitePath | None = None
    certificate: SitePath | None = None
    key: SitePath | None = None


class AnalysisLimits(Record):
    """How a study is analysed, and what it may use.

    Attributes:
        settings: TOML file of the cascade's settings; the defaults if absent.
        whole: Model folder of UNet^whole; bundled if absent.
        patch: Model folder of UNet^patch; bundled if absent.
        types: Model folder of lesion types; bundled if absent.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        minutes: Longest time of one analysis.
        memory_gb: Most resident memory of one analysis.
        attempts: Times that a study whose analysis died is tried.
    """

    settings: SitePath | None = None
    whole: SitePath | None = None
    patch: SitePath | None = None
    types: SitePath | None = None
    device: str = "auto"
    minutes: PositiveFloat = 60.0
    memory_gb: PositiveFloat = 16.0
    attempts: PositiveInt = 3


class IntakeLimits(Record):
    """What is taken in.

    Attributes:
        images: Most CT images of one study.
        study_gb: Most bytes of one study, GB.
        free_gb: Room on the disk below which nothing more is taken in or analysed.
    """

    images: PositiveInt = 6000
    study_gb: PositiveFloat = 12.0
    free_gb: float = Field(default=5.0, ge=0)


class StudyFilter(Record):
    """Studies that are asked for.

    Attributes:
        modality: ModalitiesInStudy.
        days: StudyDate within so many days, today being the first; None asks for every date.
        description: StudyDescription, with ``*`` and ``?``, in any case.
        ae: AE title that the archive retrieves the study from (RetrieveAETitle); empty asks for any.
        match: Further keys of the query by their keyword, for example ``{InstitutionName = "North"}``.
    """

    modality: str = "CT"
    days: PositiveInt | None = 2
    description: str = "*"
    ae: str = ""
    match: dict[str, str] = Field(default_factory=dict[str, str])


class ArchiveSettings(Record):
    """An archive that speaks DICOMweb.

    Attributes:
        url: Root of QIDO-RS, WADO-RS and STOW-RS; ``<orthanc>/dicom-web`` if only ``orthanc`` is given.
        orthanc: Root of Orthanc's own interface; its ``/changes`` then tell of new studies, instead of queries.
        credentials: TOML file with ``user`` and ``password``, or ``token``; readable by its owner alone.
        tls: Files for https.
        every_seconds: Time between two looks.
        timeout_seconds: Longest silence of the archive.
        select: Studies that are asked for.
    """

    url: str = ""
    orthanc: str = ""
    credentials: SitePath | None = None
    tls: TlsFiles = TlsFiles()
    every_seconds: PositiveFloat = 30.0
    timeout_seconds: PositiveFloat = 60.0
    select: StudyFilter = StudyFilter()

    @model_validator(mode="after")
    def _reachable(self) -> ArchiveSettings:
        for url in (self.url, self.orthanc):
            if url and (urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname):
                raise ValueError(f"{url!r} is no http or https address")
            if "@" in urlsplit(url).netloc:
                raise ValueError("credentials stand in a file of their own, not in the address")
        if not self.root:
            raise ValueError("url or orthanc is needed")
        if self.credentials is not None and not all(map(_is_safe, filter(None, (self.url, self.orthanc)))):
            raise ValueError("credentials go over https, or http to this machine, alone")
        return self

    @property
    def root(self) -> str:
        """Root of DICOMweb, without a slash at its end."""
        return (self.url or (f"{self.orthanc.rstrip('/')}/dicom-web" if self.orthanc else "")).rstrip("/")


class Caller(Record):
    """Who may send: a calling AE title, from an address or a network.

    Attributes:
        ae: Calling AE title.
        address: Address or network, for example ``10.1.2.3`` or ``10.1.2.0/24``.
    """

    ae: AeTitle
    address: IPv4Network | IPv6Network


class ListenSettings(Record):
    """Where this program listens for images (C-STORE).

    Attributes:
        ae: Its AE title.
        host: Address it listens on; other machines reach it only at another than loopback.
        port: TCP port; 0 takes any that is free.
        callers: Who may send; nobody else can.
        tls: Files for TLS; certificate and key are needed. Plain TCP if absent.
        associations: Most senders at a time.
    """

    ae: AeTitle = "LIVERCASCADE"
    host: str = "127.0.0.1"
    port: Port = 11112
    callers: tuple[Caller, ...] = Field(min_length=1)
    tls: TlsFiles | None = None
    associations: PositiveInt = 10


class PeerSettings(Record):
    """A PACS that speaks DIMSE: results go there by C-STORE, studies are fetched from there by C-MOVE.

    Attributes:
        ae: Its AE title.
        host: Name or address.
        port: TCP port.
        calling_ae: AE title that we give; that of ``listen`` if absent.
        tls: Files for TLS; plain TCP if absent.
        timeout_seconds: Longest silence of the PACS.
    """

    ae: AeTitle
    host: str
    port: Port
    calling_ae: AeTitle | None = None
    tls: TlsFiles | None = None
    timeout_seconds: PositiveFloat = 60.0


class SendTo(Enum):
    """Where results go."""

    ARCHIVE = "archive"
    """By STOW-RS."""
    PEER = "peer"
    """By C-STORE."""
    NOWHERE = "nowhere"
    """They stay in the spool."""


class PacsSettings(Record):
    """Everything that the service needs to know.

    Attributes:
        spool: Folder for images, results and states; readable by its owner alone.
        quiet_seconds: A study is complete when nothing of it has changed for so long.
        keep_days: Images and results of a study that has ended are kept so long; its state is kept for good.
        send_to: Place for results; by default the archive for `poll`, the peer for `listen`.
        analysis: Models, settings and limits of an analysis.
        limits: What is taken in.
        archive: DICOMweb.
        listen: DIMSE, incoming.
        peer: DIMSE, outgoing.
    """

    spool: SitePath
    quiet_seconds: float = Field(default=60.0, ge=0)
    keep_days: float = Field(default=7.0, ge=0)
    send_to: SendTo | None = None
    analysis: AnalysisLimits = AnalysisLimits()
    limits: IntakeLimits = IntakeLimits()
    archive: ArchiveSettings | None = None
    listen: ListenSettings | None = None
    peer: PeerSettings | None = None


def read_pacs_settings(path: Path) -> PacsSettings:
    """Settings of a TOML file.

    Raises:
        UsageError: ``BAD_PACS_SETTINGS``: the file is absent, not TOML, or holds an unknown or impossible value.
    """
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
        return PacsSettings.model_validate(raw, context={"folder": path.absolute().parent})
    except (OSError, ValueError) as error:
        remedy = "Correct the file; the documentation has an example."
        raise UsageError("BAD_PACS_SETTINGS", f"{path} cannot be used: {error}.", remedy) from error


def _is_safe(url: str) -> bool:
    """True for https, and for http that does not leave this machine."""
    parts = urlsplit(url)
    if parts.scheme == "https" or parts.hostname == "localhost":
        return True
    try:
        return ip_address(parts.hostname or "").is_loopback
    except ValueError:
        return False
