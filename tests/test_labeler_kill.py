"""The server is killed at 30 random moments of a scripted edit: what was confirmed is there, no file is broken."""

import gzip
import json
import threading
from pathlib import Path

import httpx
import nibabel as nib
import numpy as np

from labeler_project import Editor, Server, make_case, phantom_labels
from livercascade.labeler.project.versions import mask_sha256

KILLS = 30


class Reader:
    """Knows what was confirmed, and what was on its way when the server died."""

    def __init__(self, editor):
        self.editor = editor
        self.masks = [editor.mask()]
        self.place = 0
        self.pending = None
        self.confirmed = 0

    def act(self, rng):
        kind = str(rng.choice(["brush", "brush", "brush", "undo", "redo", "save"]))
        if kind == "undo" and self.place:
            self.attempt(self.masks, self.place - 1, lambda: self.editor.act("undo"))
        elif kind == "redo" and self.place + 1 < len(self.masks):
            self.attempt(self.masks, self.place + 1, lambda: self.editor.act("redo"))
        elif kind == "save":
            self.attempt(self.masks, self.place, lambda: self.editor.save(), (200, 201, 422))
        else:
            old = self.masks[self.place]
            index = np.sort(rng.choice(old.size, int(rng.integers(1, 3000)), replace=False))
            new = old.copy()
            new.reshape(-1)[index] = (new.reshape(-1)[index] + rng.integers(1, 14, len(index))) % 14
            after = new.reshape(-1)[index]
            masks = [*self.masks[: self.place + 1], new]
            send = lambda: self.editor.send(index, old.reshape(-1)[index], after)  # noqa: E731
            self.attempt(masks, self.place + 1, send)

    def attempt(self, masks, place, send, good=(200,)):
        self.pending = (masks, place)
        answer = send()
        assert answer.status_code in good, answer.text
        self.masks, self.place = masks, place
        self.pending = None
        self.confirmed += 1


def check_files(folder: Path):
    """Every version is whole and what its record says; nothing half-written has a name that counts."""
    for record in sorted(folder.rglob("v*.json")):
        told = json.loads(record.read_text("utf-8"))
        data = gzip.decompress(record.with_suffix("").with_suffix(".nii.gz").read_bytes())
        stored = np.transpose(np.asarray(nib.Nifti1Image.from_bytes(data).dataobj))
        assert mask_sha256(np.ascontiguousarray(stored)) == told["mask_sha256"]
    for path in [*folder.rglob("project.json"), *folder.rglob("v*.json")]:
        json.loads(path.read_text("utf-8"))


def test_30_kills_lose_no_confirmed_edit_and_break_no_file(tmp_path):
    rng = np.random.default_rng(30)
    make_case(tmp_path / "cohort" / "p01", phases="vp")
    server = Server(tmp_path / "cohort")
    reader = None
    pending_seen = 0
    for _ in range(KILLS):
        server.start()
        editor = Editor(server.client, "p01")
        state = editor.open(recover="continue")
        if reader is None:
            reader = Reader(editor)
            assert np.array_equal(reader.masks[0], phantom_labels())
        reader.editor = editor
        settle(reader, state)
        reader.act(rng)
        timer = threading.Timer(float(rng.uniform(0.0, 0.3)), server.kill)
        timer.start()
        try:
            while True:
                reader.act(rng)
        except httpx.TransportError:
            pending_seen += reader.pending is not None
        timer.join()
        server.hang_up()
        check_files(tmp_path / "cohort" / "labelling")
    assert reader.confirmed >= KILLS and pending_seen > 0
    server.start()
    reader.editor = Editor(server.client, "p01")
    state = reader.editor.open()
    assert state["dirty"] == (state["recovery"] is not None)
    settle(reader, state)
    server.stop()


def settle(reader, state):
    """After a restart the mask is what was confirmed, or that and the one act that was on its way."""
    found = reader.editor.mask()
    options = [(reader.masks, reader.place)]
    if reader.pending is not None:
        options.append(reader.pending)
    matching = [o for o in options if np.array_equal(o[0][o[1]], found) and o[1] == state["position"]]
    # A draft that was saved to its last step begins anew from the version, without steps.
    if not matching and state["position"] == 0 and state["steps_count"] == 0:
        matching = [([o[0][o[1]]], 0) for o in options if np.array_equal(o[0][o[1]], found)]
    assert matching, (state["position"], reader.place)
    reader.masks, reader.place = matching[-1]
    if state["steps_count"] == 0:
        reader.masks, reader.place = [found], 0
    reader.masks = reader.masks[: state["steps_count"] + 1]
    reader.pending = None
