"""A small DICOMweb archive on loopback, studies to put into it, and settings of a service for it."""

import json
import re
import subprocess
import sys
import threading
from collections import defaultdict
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pydicom
from pydicom.datadict import tag_for_keyword

from livercascade.pacs.pacs_settings import PacsSettings
from livercascade.testing.ct_series import CtSeries

STUB = Path(__file__).with_name("pacs_stub.py")


def study_images(uid="1.2.3.4", *, series=2, slices=5, word="", patient="A"):
    """Data sets of a small CT study; the stub does what ``word`` says."""
    images = []
    for number in range(1, series + 1):
        one = CtSeries(study=uid, uid=f"{uid}.{number}", patient=patient, number=number, slices=slices)
        for index in range(slices):
            ds = one.dataset(index)
            ds.StudyDescription, ds.StudyDate = word, "20260101"
            images.append(ds)
    return images


def stub(log: Path, seconds: float = 0.0):
    """Command of the stub."""
    return (sys.executable, str(STUB), str(log), str(seconds))


def runs(log: Path):
    """Studies that the stub was asked to analyse, in order, with the number of images."""
    return [tuple(line.split()) for line in log.read_text().splitlines()] if log.exists() else []


def poll_settings(spool: Path, url: str, **more):
    """Settings that poll an archive without any wait."""
    values = {
        "spool": spool,
        "quiet_seconds": 0,
        "archive": {"url": url, "every_seconds": 0.2, "timeout_seconds": 10, "select": {"days": None}},
        "limits": {"free_gb": 0},
    }
    return PacsSettings.model_validate(values | more)


def certificate(folder: Path, name: str) -> Path:
    """Own certificate for localhost and its key: the path without ``.pem`` and ``.key``."""
    path = folder / name
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost", "-keyout", f"{path}.key", "-out", f"{path}.pem"],
        check=True, capture_output=True,
    )  # fmt: skip
    (folder / f"{name}.key").chmod(0o600)
    return path


class FakeArchive:
    """Instances by study and series; can be told to be down, to deny, or to refuse what is stored."""

    def __init__(self):
        self.instances = {}
        self.stored = []
        self.status = None
        self.refuse = None
        self.lose = 0
        self.short = False
        self.authorization = None
        self.seen = defaultdict(int)

    def add(self, images):
        for ds in images:
            with BytesIO() as stream:
                ds.save_as(stream, enforce_file_format=True)
                self.instances[str(ds.SOPInstanceUID)] = (ds, stream.getvalue())

    def of(self, study, series=None):
        found = [ds for ds, _ in self.instances.values() if ds.StudyInstanceUID == study]
        return [ds for ds in found if series is None or ds.SeriesInstanceUID == series]

    def results(self):
        """Bytes of what is no CT, by UID."""
        return {uid: raw for uid, (ds, raw) in self.instances.items() if ds.Modality != "CT"}

    @contextmanager
    def serving(self, tls=None):
        archive = self

        class Handler(_Handler):
            pass

        Handler.archive = archive
        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            place = "http://127.0.0.1" if tls is None else "https://localhost"
            yield f"{place}:{server.server_port}/dicom-web"
        finally:
            server.shutdown()
            server.server_close()


def _json(**values):
    out = {}
    for keyword, value in values.items():
        vr = {"NumberOf": "IS"}.get(keyword[:8], "LO")
        out[f"{tag_for_keyword(keyword):08X}"] = {"vr": vr, "Value": [value]}
    return out


class _Handler(BaseHTTPRequestHandler):
    archive: FakeArchive
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        if not self._open():
            return
        parts = urlsplit(self.path)
        words, query = parts.path.strip("/").split("/")[1:], parse_qs(parts.query)
        archive = self.archive
        archive.seen["/".join(w for w in words if not w[0].isdigit())] += 1
        if words == ["studies"]:
            self._answer(self._studies(query))
        elif words[2:] == ["series"]:
            self._answer(self._series(words[1]))
        elif words[-1] == "instances":
            wanted = query.get("SOPInstanceUID", [None])[0]
            series = words[3] if len(words) == 5 else None
            found = [ds for ds in archive.of(words[1], series) if wanted in (None, ds.SOPInstanceUID)]
            self._answer([_json(SOPInstanceUID=ds.SOPInstanceUID) for ds in found])
        else:
            found = archive.of(words[1], words[3])[: -1 if archive.short else None]
            self._multipart([archive.instances[ds.SOPInstanceUID][1] for ds in found])

    def do_POST(self):
        body = self._body()
        if not self._open():
            return
        boundary = re.search(r'boundary="?([^";]+)', self.headers["Content-Type"]).group(1).encode()
        failed = []
        for part in body.split(b"--" + boundary)[1:-1]:
            ds = pydicom.dcmread(BytesIO(part.split(b"\r\n\r\n", 1)[1].removesuffix(b"\r\n")))
            if self.archive.refuse is not None:
                failed.append(
                    {
                        "00081155": {"vr": "UI", "Value": [ds.SOPInstanceUID]},
                        "00081197": {"vr": "US", "Value": [self.archive.refuse]},
                    }
                )
                continue
            self.archive.stored.append(str(ds.SOPInstanceUID))
            if self.archive.lose:
                self.archive.lose -= 1
                continue
            self.archive.add([ds])
        self._answer({"00081198": {"vr": "SQ", "Value": failed}} if failed else {}, 202 if failed else 200)

    def _body(self):
        if self.headers.get("Transfer-Encoding") == "chunked":
            chunks = []
            while size := int(self.rfile.readline(), 16):
                chunks.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(chunks)
        return self.rfile.read(int(self.headers["Content-Length"]))

    def _open(self):
        archive = self.archive
        denied = archive.authorization not in (None, self.headers.get("Authorization"))
        status = archive.status or (401 if denied else None)
        if status:
            self._answer({}, status)
        return not status

    def _studies(self, query):
        uids = sorted({str(ds.StudyInstanceUID) for ds, _ in self.archive.instances.values()})
        start, most = int(query.get("offset", ["0"])[0]), int(query.get("limit", ["100"])[0])
        found = []
        for uid in uids[start : start + most]:
            images = self.archive.of(uid)
            found.append(_json(
                StudyInstanceUID=uid, StudyDescription=str(images[0].get("StudyDescription", "")),
                NumberOfStudyRelatedSeries=len({i.SeriesInstanceUID for i in images}),
                NumberOfStudyRelatedInstances=len(images),
            ))  # fmt: skip
        return found

    def _series(self, study):
        images = self.archive.of(study)
        series = {str(ds.SeriesInstanceUID): ds.Modality for ds in images}
        return [
            _json(SeriesInstanceUID=uid, Modality=kind, NumberOfSeriesRelatedInstances=len(self.archive.of(study, uid)))
            for uid, kind in sorted(series.items())
        ]

    def _multipart(self, parts):
        body = b"".join(b"--xx\r\nContent-Type: application/dicom\r\n\r\n" + part + b"\r\n" for part in parts)
        self._send(200, 'multipart/related; type="application/dicom"; boundary=xx', body + b"--xx--\r\n")

    def _answer(self, value, status=200):
        self._send(status, "application/dicom+json", json.dumps(value).encode())

    def _send(self, status, kind, body):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
