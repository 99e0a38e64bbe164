"""Small cases for the labeler's tests, and a real server process on loopback to try them with."""

from __future__ import annotations

import atexit
import json
import os
import re
import signal
import struct
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import nibabel as nib
import numpy as np

SHAPE = (9, 40, 48)
"""Voxels along z, y, x in display order."""
SPACING = (4.0, 1.0, 0.8)
BOXES = {
    1: (slice(2, 5), slice(8, 14), slice(10, 17)),
    6: (slice(5, 8), slice(22, 30), slice(20, 27)),
    3: (slice(1, 3), slice(26, 31), slice(36, 42)),
}
"""Lesions of the phantom's mask by label, in display order."""


def phantom_hu(rng: np.random.Generator, level: float) -> np.ndarray:
    """Air, fat, a liver at ``level`` HU with darker lesions and one marker on the patient's left, ``[z, y, x]``."""
    z, y, x = np.ogrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]
    radius = ((y - 20) / 18) ** 2 + ((x - 24) / 22) ** 2 + 0 * z
    hu = np.full(SHAPE, -1000.0)
    hu[radius < 1] = -100
    hu[radius < 0.85] = level
    for box in BOXES.values():
        hu[box] = level - 45
    hu[4, 20, 44] = 600
    return np.rint(hu + rng.normal(0, 3, SHAPE) * (radius < 1)).astype(np.int16)


def phantom_labels() -> np.ndarray:
    """Liver with the lesions of `BOXES`."""
    z, y, x = np.ogrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]
    labels = np.where(((y - 20) / 18) ** 2 + ((x - 24) / 22) ** 2 + 0 * z < 0.85, 7, 0).astype(np.uint8)
    for label, box in BOXES.items():
        labels[box] = label
    return labels


def lps_affine(turn: np.ndarray | None = None) -> np.ndarray:
    """RAS matrix from (x, y, z) display indices: x to the left, y to the back, z to the head."""
    affine = np.diag([-SPACING[2], -SPACING[1], SPACING[0], 1.0])
    affine[:3, 3] = [20.0, 30.0, -100.0]
    if turn is not None:
        affine[:3, :3] = turn @ affine[:3, :3]
    return affine


def save(path: Path, display: np.ndarray, *, codes: str = "LPS", turn: np.ndarray | None = None) -> Path:
    """Store an array ``[z, y, x]`` in another order of axes."""
    affine = lps_affine(turn)
    image = nib.Nifti1Image(np.transpose(display), affine)
    order = nib.orientations.axcodes2ornt(codes)
    # The turned grid counts as LPS by its nearest axes.
    moved = image.as_reoriented(nib.orientations.ornt_transform(nib.io_orientation(affine), order))
    out = nib.Nifti1Image(np.asarray(moved.dataobj), moved.affine)
    out.set_qform(moved.affine, 1)
    out.set_sform(moved.affine, 1)
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(out, path)
    return path


def make_case(folder: Path, *, phases: str = "nc ap vp dp", labels: bool = True, codes: str = "LPS") -> Path:
    """A whole case with a report."""
    rng = np.random.default_rng(5)
    for phase, level in zip(("nc", "ap", "vp", "dp"), (55, 75, 110, 90), strict=True):
        if phase in phases.split():
            save(folder / f"{phase}.nii.gz", phantom_hu(rng, level), codes=codes)
    if labels:
        save(folder / "labels.nii.gz", phantom_labels(), codes=codes)
    (folder / "report.txt").write_text("Lesion in seg. VII. <script>alert(1)</script>\n", encoding="utf-8")
    return folder


class _Zygote:
    """The process that forks servers, started when the first is needed."""

    process: subprocess.Popen[str] | None = None

    @classmethod
    def fork(cls, request: dict[str, Any]) -> int:
        if cls.process is None:
            script = Path(__file__).with_name("labeler_zygote.py")
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
            cls.process = subprocess.Popen([sys.executable, str(script)], text=True, **pipes)
            atexit.register(cls.process.kill)
            assert cls.process.stdout.readline().strip() == "ready"
        cls.process.stdin.write(json.dumps(request) + "\n")
        cls.process.stdin.flush()
        return int(cls.process.stdout.readline())


@dataclass
class Server:
    """A server process, run by the command's own function; use as a context.

    Attributes:
        place: What is opened.
        paths: Options that are paths, as ``predictions``.
        user: Reader who starts it.
    """

    place: Path
    paths: dict[str, str] = field(default_factory=dict)
    user: str = "mia"
    host: str = "127.0.0.1"
    pid: int = 0
    link: str = ""
    secret: str = ""
    clients: list[httpx.Client] = field(default_factory=list)

    def __enter__(self) -> Server:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def log(self) -> Path:
        return self.place.parent / f".{self.place.name}.log"

    def start(self) -> None:
        token = self.place.parent / f".{self.place.name}.token"
        token.unlink(missing_ok=True)
        self.log.unlink(missing_ok=True)
        paths = {"place": str(self.place), "token_file": str(token), **self.paths}
        plain = {"user": self.user, "host": self.host, "port": 0, "cache_gb": 1.0}
        plain |= {name: None for name in ("predictions", "project") if name not in paths}
        self.pid = _Zygote.fork({"log": str(self.log), "paths": paths, "plain": plain})
        deadline = time.monotonic() + 120
        while not (found := re.search(r"http://\S+", self.log.read_text() if self.log.exists() else "")):
            if not self.alive() or time.monotonic() > deadline:
                raise RuntimeError(self.log.read_text())
            time.sleep(0.01)
        self.link, self.secret = found[0], token.read_text().strip()
        self.client = self.new_client()

    def new_client(self, user: str | None = None) -> httpx.Client:
        headers = {"Authorization": f"Bearer {self.secret}", "X-Livercascade": "1"}
        if user:
            headers["X-Livercascade-User"] = user
        self.clients.append(httpx.Client(base_url=self.base, headers=headers, timeout=60, trust_env=False))
        return self.clients[-1]

    @property
    def base(self) -> str:
        return self.link.split("/?")[0]

    def alive(self) -> bool:
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        return True

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self.hang_up()
        self._end(signal.SIGTERM)

    def hang_up(self) -> None:
        while self.clients:
            self.clients.pop().close()

    def _end(self, how: signal.Signals) -> None:
        if not self.alive():
            return
        os.kill(self.pid, how)
        deadline = time.monotonic() + 60
        while self.alive():
            assert time.monotonic() < deadline, "the server does not end"
            time.sleep(0.002)


@dataclass
class Editor:
    """A client that keeps a draft in step, as the page does."""

    client: httpx.Client
    case: str
    draft: str = "edit"
    state: dict[str, Any] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"/api/cases/{self.case}/drafts"

    def open(self, **body: Any) -> dict[str, Any]:
        answer = self.client.post(self.url, json=body)
        assert answer.status_code == 200, answer.text
        self.state = answer.json()
        self.draft = self.state["draft"]
        return self.state

    def mask(self, ref: str | None = None) -> np.ndarray:
        return mask_of(self.client, self.case, ref or f"draft.{self.draft}")

    def paint(self, index: np.ndarray, label: int, name: str = "brush") -> httpx.Response:
        index = np.unique(np.asarray(index))
        old = self.mask().reshape(-1)[index]
        return self.send(index, old, np.full(len(index), label, np.uint8), name)

    def send(self, index: Any, old: Any, new: Any, name: str = "brush") -> httpx.Response:
        body = delta_bytes(index, old, new, {"name": name, "kind": "brush"})
        return self._after(self.client.post(f"{self.url}/{self.draft}/edits", content=body, headers=self._match()))

    def act(self, what: str, **body: Any) -> httpx.Response:
        sent = {"json": body} if body else {}
        return self._after(self.client.post(f"{self.url}/{self.draft}/{what}", headers=self._match(), **sent))

    def tool(self, name: str, **body: Any) -> httpx.Response:
        return self.act(f"tools/{name}", **{key.rstrip("_"): value for key, value in body.items()})

    def save(self, **body: Any) -> httpx.Response:
        answer = self.client.post(f"{self.url}/{self.draft}/save", json=body, headers=self._match())
        if answer.status_code == 201:
            self.state = answer.json()["draft"]
        return answer

    def _match(self) -> dict[str, str]:
        return {"If-Match": f'"{self.state["n"]}"'}

    def _after(self, answer: httpx.Response) -> httpx.Response:
        if answer.status_code == 200:
            is_json = answer.headers["content-type"].startswith("application/json")
            self.state = answer.json()["state"] if is_json else read_delta(answer.content)[0]["state"]
        return answer


def mask_of(client: httpx.Client, case: str, ref: str) -> np.ndarray:
    answer = client.get(f"/api/cases/{case}/masks/{ref}")
    assert answer.status_code == 200, answer.text
    shape = [int(n) for n in answer.headers["x-shape"].split(",")]
    return np.frombuffer(answer.content, np.uint8).reshape(shape)


def delta_bytes(index: Any, old: Any, new: Any, header: dict[str, Any]) -> bytes:
    """The wire form, written here once more from its description."""
    text = json.dumps({**header, "count": len(index)}).encode()
    text += b" " * (-len(text) % 4)
    arrays = np.asarray(index, "<u4").tobytes() + np.asarray(old, "u1").tobytes() + np.asarray(new, "u1").tobytes()
    return b"LCD1" + struct.pack("<I", len(text)) + text + arrays


def read_delta(data: bytes) -> tuple[dict[str, Any], np.ndarray, np.ndarray, np.ndarray]:
    assert data[:4] == b"LCD1"
    (length,) = struct.unpack_from("<I", data, 4)
    header = json.loads(data[8 : 8 + length])
    n = header["count"]
    index = np.frombuffer(data, "<u4", n, 8 + length)
    old, new = (np.frombuffer(data, "u1", n, 8 + length + k * n) for k in (4, 5))
    assert len(data) == 8 + length + 6 * n
    return header, index, old, new


def code(answer: httpx.Response) -> str:
    return answer.json()["error"]["code"]


def flat(*point: int) -> int:
    return int(np.ravel_multi_index(point, SHAPE))
