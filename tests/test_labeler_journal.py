import errno
import json
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from livercascade.data.errors import OutputError
from livercascade.labeler.imaging.mask_delta import Delta, empty_delta, from_bytes
from livercascade.labeler.label_error import LabelError
from livercascade.labeler.project.draft import Draft, Step
from livercascade.labeler.project.journal import Journal, encode_record
from livercascade.labeler.project.notebooks import NoteChange


def change_to(mask, target):
    """The change that makes one mask the other."""
    index = np.flatnonzero(mask != target).astype(np.uint32)
    return Delta(index, mask.reshape(-1)[index], target.reshape(-1)[index])


records = st.lists(
    st.dictionaries(st.text(max_size=8), st.one_of(st.text(max_size=20), st.integers(-9, 9)), max_size=3), max_size=6
)


@settings(max_examples=60)
@given(records=records, cut=st.integers(1, 400), extra=st.text(max_size=5))
def test_a_cut_last_record_is_dropped_and_no_other(tmp_path_factory, records, cut, extra):
    journal = Journal(tmp_path_factory.mktemp("j") / "a.jsonl")
    for record in records:
        journal.append(record)
    assert journal.read() == records
    last = encode_record({"step": extra})
    with journal.path.open("ab") as stream:
        stream.write(last[: min(cut, len(last) - 1)])
    assert journal.read() == records
    journal.append({"after": 1})
    assert journal.read() == [*records, {"after": 1}]


def test_damage_before_the_last_record_is_told(tmp_path):
    journal = Journal(tmp_path / "a.jsonl")
    for number in range(3):
        journal.append({"n": number})
    data = journal.path.read_bytes()
    journal.path.write_bytes(data.replace(b'"n": 1', b'"n": 7'))
    with pytest.raises(LabelError) as caught:
        journal.read()
    assert caught.value.code == "BAD_PROJECT_FILE" and "record 2" in caught.value.message


def test_a_person_can_read_it(tmp_path):
    journal = Journal(tmp_path / "a.jsonl")
    journal.append({"name": "Läsion 3: Cyst -> HCC"})
    assert json.loads(journal.path.read_text("utf-8"))["name"] == "Läsion 3: Cyst -> HCC"


def test_a_full_disk_leaves_the_journal_as_it_was(tmp_path, monkeypatch):
    journal = Journal(tmp_path / "a.jsonl")
    journal.append({"n": 1})
    before = journal.path.read_bytes()
    write = os.write

    def half(handle, data):
        if len(data) > 40:
            return write(handle, data[:20])
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "write", half)
    with pytest.raises(OutputError) as caught:
        journal.append({"n": 2, "text": "x" * 50})
    assert caught.value.code == "NO_SPACE"
    assert journal.path.read_bytes() == before


masks = st.integers(0, 999).map(lambda seed: np.random.default_rng(seed).integers(0, 14, (3, 4, 5), dtype=np.uint8))


@settings(max_examples=40)
@given(one=masks, other=masks)
def test_delta_goes_there_and_back(one, other):
    delta = change_to(one, other)
    assert len(delta) == np.count_nonzero(one != other)
    mask = one.copy()
    delta.apply(mask)
    assert np.array_equal(mask, other)
    delta.inverse.apply(mask)
    assert np.array_equal(mask, one)
    for back in (Delta.from_text(delta.to_text()), from_bytes(delta.to_bytes({"name": "x"}))[1]):
        assert all(np.array_equal(getattr(back, k), getattr(delta, k)) for k in ("index", "old", "new"))


acts = st.lists(
    st.one_of(st.integers(0, 59), st.sampled_from(["undo", "redo", "save", "reopen", "goto", "note"])), max_size=25
)


@settings(max_examples=60)
@given(acts=acts)
def test_undo_and_redo_are_those_of_a_list_of_masks_and_notes(tmp_path_factory, acts):
    """The oracle keeps whole masks and notes; the draft keeps sparse steps, and is reread from its journal at times."""
    journal = Journal(tmp_path_factory.mktemp("d") / "edit.jsonl")
    base = np.zeros((3, 4, 5), np.uint8)
    draft = Draft.begin(journal, base, case="a", user="mia", name="edit", ref="empty")
    states, place, saved, book = [(base.copy(), {})], 0, base.copy(), {}

    def write(changes):
        for one in changes:
            assert book.get(one.id) == one.before
            book.pop(one.id, None)
            if one.after is not None:
                book[one.id] = one.after

    def go(to, op="goto"):
        before = draft.mask.copy()
        delta = draft.go(to, op)
        assert len(delta) == np.count_nonzero(before != states[to][0])
        write(draft.notes_between(place, to))
        return to

    for number, act in enumerate(acts):
        mask, notes = states[place]
        if act == "undo" and place:
            place = go(place - 1, act)
        elif act == "redo" and place + 1 < len(states):
            place = go(place + 1, act)
        elif act == "goto" and len(states) > 2 and place != 1:
            place = go(1)
        elif act == "save":
            draft.saved("v1")
            saved = mask
        elif act == "reopen":
            draft = Draft.resume(journal, journal.read(), base)
        elif act == "note":
            noted = NoteChange("boxes", f"b{number % 3}", notes.get(f"b{number % 3}"), {"number": number})
            write([noted])
            draft.add(Step(empty_delta(), "note", "draw_box", noted=noted))
            states = [*states[: place + 1], (mask, {**notes, noted.id: noted.after})]
            place += 1
        elif isinstance(act, int):
            new = mask.copy()
            new.reshape(-1)[act : act + 7] = (new.reshape(-1)[act] + 1) % 14
            draft.add(Step(change_to(mask, new), f"step {act}", "brush"))
            states = [*states[: place + 1], (new, notes)]
            place += 1
        assert np.array_equal(draft.mask, states[place][0]) and book == states[place][1]
        assert draft.position == place and len(draft.steps) == len(states) - 1
        assert draft.dirty or np.array_equal(saved, states[place][0])


def test_a_draft_whose_base_has_changed_is_not_replayed(tmp_path):
    journal = Journal(tmp_path / "edit.jsonl")
    Draft.begin(journal, np.zeros((2, 2, 2), np.uint8), case="a", user="mia", name="edit", ref="labels")
    with pytest.raises(LabelError) as caught:
        Draft.resume(journal, journal.read(), np.ones((2, 2, 2), np.uint8))
    assert caught.value.code == "DRAFT_BASE_CHANGED"
