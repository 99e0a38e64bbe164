"""Small cases for the labeler's tests, and a real server process on loopback to try them with."""

from __future__ import annotations

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


@dataclass
class Server:
    """A server process; use as a context."""

    place: Path
    options: tuple[str, ...] = ()
    user: str = "mia"
    process: subprocess.Popen[str] = field(init=False)
    link: str = ""
    secret: str = ""
    stderr: Path = field(init=False)

    def __enter__(self) -> Server:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        token = self.place.parent / f".token-{os.getpid()}"
        token.unlink(missing_ok=True)
        self.stderr = self.place.parent / f".server-{os.getpid()}.log"
        # The command alone: the whole command line would import torch.
        program = "import typer; from livercascade.cli.label import label; typer.run(label)"
        command = [sys.executable, "-c", program, str(self.place), "--no-browser"]
        command += ["--user", self.user, "--token-file", str(token), *self.options]
        with self.stderr.open("w") as log:
            self.process = subprocess.Popen(command, stderr=log, stdout=log, text=True)
        deadline = time.monotonic() + 180
        while not (found := re.search(r"http://\S+", self.stderr.read_text())):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(self.stderr.read_text())
            time.sleep(0.02)
        self.link, self.secret = found[0], token.read_text().strip()
        self.client = self.new_client()

    def new_client(self, user: str | None = None) -> httpx.Client:
        headers = {"Authorization": f"Bearer {self.secret}", "X-Livercascade": "1"}
        if user:
            headers["X-Livercascade-User"] = user
        return httpx.Client(base_url=self.base, headers=headers, timeout=60, trust_env=False)

    @property
    def base(self) -> str:
        return self.link.split("/?")[0]

    def kill(self) -> None:
        self.client.close()
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        self.client.close()
        self.process.terminate()
        self.process.wait(20)


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
        content = json.dumps(body) if body else ""
        return self._after(self.client.post(f"{self.url}/{self.draft}/{what}", content=content, headers=self._match()))

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
