"""A reader's work through the interface, with a real server process."""

import gzip
import json
import shutil

import nibabel as nib
import numpy as np
import pytest

from labeler_project import (
    BOXES,
    SHAPE,
    SPACING,
    Editor,
    Server,
    code,
    flat,
    make_case,
    mask_of,
    phantom_hu,
    phantom_labels,
    read_delta,
    save,
)
from livercascade.testing.ct_series import COLUMNS, ROWS, SLICES, CtSeries

IN_HCC, IN_CYST, IN_META = [3, 10, 12], [6, 25, 23], [1, 28, 38]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    root = tmp_path_factory.mktemp("served")
    make_case(root / "cohort" / "p01", codes="RAS")
    make_case(root / "cohort" / "p02", phases="nc vp", labels=False)
    make_case(root / "cohort" / "p03", labels=False)
    found = phantom_labels()
    found[BOXES[1]] = 6
    found[BOXES[3]] = 7
    save(root / "predictions" / "p01" / "segmentation.nii.gz", found)
    with Server(root / "cohort", paths={"predictions": str(root / "predictions")}) as running:
        yield running


@pytest.fixture
def reader(server, request):
    """A reader of their own for every test."""
    name = request.node.name.replace("_", " ")[:40].split("[")[0].strip()
    return server.new_client(name)


def fresh(server, name):
    """A case of its own for tests that save."""
    folder = server.place / name
    if not folder.exists():
        make_case(folder)
    return name


def get(client, path, status=200):
    answer = client.get(path)
    assert answer.status_code == status, answer.text
    return answer.json()


def test_work_list_goes_on_to_what_is_not_done(server):
    client = server.client
    rows = {row["id"]: row for row in get(client, "/api/cases")["cases"]}
    assert rows["p02"]["phases"] == ["NC", "VP"] and rows["p02"]["report"]
    assert get(client, "/api/cases/next?after=p01")["id"] == "p02"
    assert client.put("/api/cases/p02/state", json={"state": "done"}).json()["state"] == "done"
    assert get(client, "/api/cases/next?after=p01")["id"] == "p03"
    client.put("/api/cases/p02/state", json={"state": "in_progress"})
    assert get(client, "/api/cases")["counts"]["in_progress"] >= 1
    # To look at a case is not to begin it.
    editor = Editor(client, fresh(server, "looked"))

    def state():
        return {row["id"]: row["state"] for row in get(client, "/api/cases")["cases"]}["looked"]

    editor.open()
    assert state() == "new"
    editor.paint([5], 2)
    assert state() == "in_progress"


def test_voxels_are_those_of_the_file(server):
    client = server.client
    case = get(client, "/api/cases/p01")
    assert case["grid"]["shape"] == list(SHAPE) and case["grid"]["stored"] == "RAS"
    assert case["grid"]["spacing"] == pytest.approx(SPACING)
    assert case["head"] == "labels" and case["erase_label"] == 7 and case["notices"] == []
    stored = nib.as_closest_canonical(nib.load(server.place / "p01" / "vp.nii.gz"))
    wanted = np.transpose(np.asarray(stored.dataobj))[:, ::-1, ::-1]
    answer = client.get("/api/cases/p01/volumes/VP?z0=2&n=3")
    assert answer.headers["x-shape"] == "3,40,48" and answer.headers["x-z0"] == "2"
    assert np.array_equal(np.frombuffer(answer.content, "<i2").reshape(3, 40, 48), wanted[2:5])
    tag = {"If-None-Match": answer.headers["etag"]}
    assert client.get("/api/cases/p01/volumes/VP?z0=2&n=3", headers=tag).status_code == 304
    assert len(client.get("/api/cases/p01/volumes/VP").content) == wanted.size * 2
    assert client.get("/api/cases/p01/volumes/VP?z0=8&n=5").headers["x-shape"] == "1,40,48"
    assert code(client.get("/api/cases/p01/volumes/VP?z0=9&n=1")) == "BAD_SLAB"
    windows = get(client, "/api/cases/p01/windows")
    assert set(windows) == {"NC", "AP", "VP", "DP"} and all(len(w) == 2 for w in windows.values())
    assert np.array_equal(mask_of(client, "p01", "labels"), phantom_labels())
    status = get(client, "/api/cases/p01/volumes/VP/status")
    assert status == {"decoded": [0, 9], "slices": 9, "error": None}


def test_missing_phase_mask_and_report_are_told(server):
    make_case(server.place / "bare", phases="vp", labels=False)
    (server.place / "bare" / "report.txt").unlink()
    case = get(server.client, "/api/cases/bare")
    assert case["phases"]["AP"]["error"]["code"] == "PHASE_MISSING" and case["phases"]["AP"]["error"]["remedy"]
    assert [notice["code"] for notice in case["notices"]] == ["MASK_MISSING"] and case["head"] == "empty"
    report = get(server.client, "/api/cases/bare/report")
    assert report["status"] == "missing" and report["error"]["code"] == "REPORT_MISSING"
    assert code(server.client.get("/api/cases/bare/volumes/AP")) == "PHASE_MISSING"
    assert not mask_of(server.client, "bare", "head").any()


def test_files_that_cannot_be_used_are_told_and_the_rest_works(server):
    folder = make_case(server.place / "bad", phases="nc vp", labels=False)
    save(folder / "labels.nii.gz", phantom_labels()[:-1])
    nan = phantom_hu(np.random.default_rng(1), 100).astype(np.float32)
    nan[:5] = np.nan
    save(folder / "nc.nii.gz", nan)
    nib.save(nib.Nifti1Image(np.zeros((8, 8, 8, 3), np.int16), np.eye(4)), folder / "ap.nii.gz")
    (folder / "dp.nii.gz").write_bytes((folder / "vp.nii.gz").read_bytes()[:900])
    client = server.client
    case = get(client, "/api/cases/bad")
    assert case["phases"]["AP"]["error"]["code"] == "WRONG_DIMS"
    assert case["masks"] == [{"ref": "labels", "status": "bad", "error": case["masks"][0]["error"]}]
    assert (
        case["masks"][0]["error"]["code"] == "MASK_OTHER_GRID" and "8 x 40 x 48" in case["masks"][0]["error"]["message"]
    )
    windows = get(client, "/api/cases/bad/windows")
    assert windows["NC"] is None and windows["DP"] is None and windows["VP"] is not None
    assert code(client.get("/api/cases/bad/volumes/NC?z0=0&n=1")) == "BAD_VALUES"
    assert code(client.get("/api/cases/bad/volumes/DP?z0=0&n=1")) == "TRUNCATED_FILE"
    assert client.get("/api/cases/bad/volumes/VP?z0=0&n=1").status_code == 200
    assert get(client, "/api/cases/bad")["phases"]["DP"]["error"]["code"] == "TRUNCATED_FILE"
    assert code(client.get("/api/cases/bad/masks/labels")) == "MASK_OTHER_GRID"


def test_a_phase_on_another_grid_is_shown_by_itself(server):
    folder = make_case(server.place / "grids", phases="vp", labels=True)
    save(folder / "nc.nii.gz", phantom_hu(np.random.default_rng(1), 55)[:-2])
    case = get(server.client, "/api/cases/grids")
    assert case["phases"]["NC"]["grid"]["shape"] == [7, 40, 48] and case["phases"]["VP"]["grid"] is None
    assert [notice["code"] for notice in case["notices"]] == ["PHASE_OTHER_GRID"]
    assert server.client.get("/api/cases/grids/volumes/NC").headers["x-shape"] == "7,40,48"


def test_edits_equal_an_oracle_in_numpy_and_undo_takes_them_back(server, reader):
    editor = Editor(reader, "p01")
    editor.open()
    rng = np.random.default_rng(8)
    states = [editor.mask()]
    assert np.array_equal(states[0], phantom_labels())
    for number in range(12):
        index = rng.choice(states[-1].size, rng.integers(1, 400), replace=False)
        wanted = states[-1].copy()
        wanted.reshape(-1)[index] = number % 14
        assert editor.paint(index, number % 14, f"stroke {number}").status_code == 200
        states.append(wanted)
    assert np.array_equal(editor.mask(), states[-1])
    for place in range(11, 4, -1):
        header, index, old, new = read_delta(editor.act("undo").content)
        assert header["state"]["position"] == place and header["name"] == f"Undo stroke {place}"
        assert np.array_equal(states[place + 1].reshape(-1)[index], old)
        assert np.array_equal(states[place].reshape(-1)[index], new)
        assert len(index) == np.count_nonzero(states[place] != states[place + 1])
    assert np.array_equal(editor.mask(), states[5])
    assert editor.act("redo").status_code == 200 and np.array_equal(editor.mask(), states[6])
    assert editor.act("goto", position=0).status_code == 200 and np.array_equal(editor.mask(), states[0])
    assert editor.act("goto", position=12).status_code == 200 and np.array_equal(editor.mask(), states[12])
    editor.act("goto", position=3)
    editor.paint([7], 2, "another")
    assert code(editor.act("redo")) == "NOTHING_TO_REDO"
    names = [step["name"] for step in reader.get(f"{editor.url}/edit").json()["steps"]]
    assert names == ["stroke 0", "stroke 1", "stroke 2", "another"]


def test_save_keeps_grid_and_source_and_tells_who_when_and_from_what(server, reader):
    case = fresh(server, "saved")
    source = server.place / case / "labels.nii.gz"
    before = source.read_bytes()
    editor = Editor(reader, case)
    editor.open()
    editor.tool("relabel", at=[IN_CYST], label=4)
    editor.paint([flat(0, 0, 0)], 7)
    saved = editor.save(note="Zyste war ein Hämangiom", state="done")
    assert saved.status_code == 201
    record = saved.json()
    assert (record["ref"], record["parent"], record["what"]) == ("v1", "labels", "edit")
    assert record["steps"] == ["Cyst -> Hem", "brush"] and record["voxels_changed"] == 168 + 1
    assert source.read_bytes() == before
    path = server.place / "labelling" / "cases" / case / "versions" / "v0001.nii.gz"
    one, other = nib.load(source), nib.load(path)
    assert np.array_equal(one.affine, other.affine) and one.get_data_dtype() == other.get_data_dtype()
    wanted = phantom_labels()
    wanted[wanted == 6] = 4
    wanted[0, 0, 0] = 7
    assert np.array_equal(mask_of(reader, case, "v1"), wanted)
    stored = json.loads(path.with_name("v0001.json").read_text("utf-8"))
    assert stored["note"] == "Zyste war ein Hämangiom" and stored["user"] == record["user"]
    row = next(r for r in get(reader, "/api/cases")["cases"] if r["id"] == case)
    assert (row["head"], row["versions"], row["state"], row["user"]) == ("v1", 1, "done", record["user"])
    events = [event["event"] for event in get(reader, f"/api/cases/{case}/history")["events"]]
    assert events == ["saved", "state"]
    # Undo reaches behind the save, and the next save has the saved version as its parent.
    assert code(editor.save()) == "NOTHING_CHANGED"
    editor.act("undo")
    assert editor.save().json()["parent"] == "v1"
    restored = reader.post(f"/api/cases/{case}/restore", json={"ref": "v1"}, headers={"If-Match": '"v2"'})
    assert restored.status_code == 201 and restored.json()["ref"] == "v3"
    assert np.array_equal(mask_of(reader, case, "head"), wanted)


def test_two_tabs_and_two_readers_do_not_overwrite_each_other(server):
    case = fresh(server, "shared")
    mia, tab, ben = (Editor(server.new_client(name), case) for name in ("mia", "mia", "ben"))
    for editor in (mia, tab, ben):
        editor.open()
    assert mia.paint([100], 1).status_code == 200
    refused = tab.paint([101], 2)
    assert refused.status_code == 409 and code(refused) == "DRAFT_MOVED"
    assert refused.json()["error"]["state"]["n"] == 1
    ben.paint([200], 3)
    assert mia.save().json()["ref"] == "v1"
    conflict = ben.save()
    assert conflict.status_code == 409 and code(conflict) == "VERSION_CONFLICT"
    assert conflict.json()["error"]["head"] == "v1"
    beside = ben.save(beside=True).json()
    assert (beside["ref"], beside["parent"], beside["beside"]) == ("v2", "labels", True)
    assert get(mia.client, f"/api/cases/{case}/versions")["head"] == "v1"
    masks = [mask_of(mia.client, case, ref).reshape(-1) for ref in ("v1", "v2")]
    assert [int(m[100]) for m in masks] == [1, phantom_labels().reshape(-1)[100]] and masks[1][200] == 3
    found = get(mia.client, f"/api/cases/{case}/differences?old=v1&new=v2")
    assert {item["kind"] for item in found["differences"]} >= {"added", "removed"}


def test_a_tab_that_was_left_open_cannot_write_into_a_draft_begun_since(server):
    case = fresh(server, "stale")
    old, new, other = (Editor(server.new_client(name), case) for name in ("mia", "mia", "ben"))
    old.open()
    other.open()
    other.paint([300], 2)
    other.save()
    new.open()
    assert new.state["base"] == "v1"
    assert code(old.paint([10], 1)) == "DRAFT_MOVED"
    assert new.paint([10], 1).status_code == 200


def test_review_is_walked_undone_kept_and_saved(server, reader):
    editor = Editor(reader, "p01")
    editor.open(task="review", old="labels", new="prediction")
    assert editor.draft == "review.labels.prediction"
    url = "/api/cases/p01/differences?old=labels&new=prediction"
    found = get(reader, url)
    items = {item["kind"]: item for item in found["differences"]}
    assert [item["kind"] for item in found["differences"]] == ["removed", "relabelled", "same"]
    assert found["open"] == found["of"] == 2 and found["counts"]["same"] == 1
    old, new = phantom_labels(), mask_of(reader, "p01", "prediction")
    editor.tool("verdict", difference=items["relabelled"]["id"], verdict="accept")
    assert np.all(editor.mask()[BOXES[1]] == 6)
    editor.tool("verdict", difference=items["removed"]["id"], verdict="keep")
    assert get(reader, url)["open"] == 0
    editor.act("undo")
    found = get(reader, url)
    assert found["open"] == 1 and editor.state["undo"] == "Relabelled HCC -> Cyst: accept new"
    editor.tool("verdict", difference=items["removed"]["id"], verdict="relabel", label=2)
    editor.tool("verdict", difference=items["relabelled"]["id"], verdict="second_reader")
    wanted = old.copy()
    wanted[BOXES[1]] = 6
    wanted[BOXES[3]] = 2
    assert np.array_equal(editor.mask(), wanted)
    editor.tool("verdict", difference=items["relabelled"]["id"], verdict="clear")
    editor.tool("verdict", difference=items["relabelled"]["id"], verdict="accept")
    again = Editor(reader, "p01").open(task="review", old="labels", new="prediction")
    assert again["recovery"]["steps"] == 5 and again["position"] == 5
    progress = [r for r in get(reader, "/api/cases/p01/reviews")["reviews"] if r["dirty"]]
    assert [(r["done"], r["of"]) for r in progress] == [(2, 2)]
    record = editor.save(beside=True).json()
    assert (
        record["what"] == "review"
        and record["parent"] == "labels"
        and record["verdicts"] == {"relabel": 1, "accept": 1}
    )
    assert np.array_equal(mask_of(reader, "p01", record["ref"]), wanted) and new.shape == wanted.shape


def test_lesion_table_component_and_evidence(server, reader):
    table = get(reader, "/api/cases/p01/lesions?ref=labels")
    assert [row["label"] for row in table["lesions"]] == [6, 1, 3]
    voxel_ml = np.prod(SPACING) / 1000
    sizes = {label: int(np.prod([s.stop - s.start for s in box])) for label, box in BOXES.items()}
    for row in table["lesions"]:
        box = BOXES[row["label"]]
        assert row["voxels"] == sizes[row["label"]]
        assert row["volume_ml"] == pytest.approx(sizes[row["label"]] * voxel_ml, abs=1e-4)
        assert row["box"] == [[s.start, s.stop] for s in box]
    z, y, x = IN_HCC
    answer = reader.get(f"/api/cases/p01/component?ref=labels&z={z}&y={y}&x={x}&as=indices")
    assert np.array_equal(np.frombuffer(answer.content, "<u4"), np.flatnonzero(phantom_labels() == 1))
    assert code(reader.get("/api/cases/p01/component?ref=labels&z=0&y=0&x=0")) == "NO_COMPONENT"
    body = {"at": IN_HCC, "evidence": "pathology", "note": "biopsy"}
    assert reader.put("/api/cases/p01/evidence", json=body).status_code == 200
    rows = get(reader, "/api/cases/p01/lesions?ref=labels")["lesions"]
    assert [bool(row["evidence"]) for row in rows] == [False, True, False] and rows[1]["evidence"]["note"] == "biopsy"
    lost = get(reader, "/api/cases/p01/evidence?ref=empty")
    assert lost["evidence"] == [] and len(lost["without_lesion"]) == 1
    reader.put("/api/cases/p01/evidence", json={**body, "evidence": "none"})
    assert get(reader, "/api/cases/p01/evidence?ref=empty")["without_lesion"] == []


def test_boxes_become_lesions_or_need_drawing(server, reader):
    folder = server.place / fresh(server, "boxed")
    sides = [[s.start, s.stop] for s in BOXES[1]]
    (folder / "boxes.json").write_text(json.dumps([{"box": sides, "label": 1}, {"box": [[0, 1], [0, 2], [0, 2]]}]))
    url = "/api/cases/boxed/boxes"
    boxes = get(reader, url)["boxes"]
    assert [box["source"] for box in boxes] == ["file", "file"] and boxes[0]["box"] == sides
    editor = Editor(reader, "boxed")
    editor.open(base="empty")
    done = editor.tool("box", box=sides, label=1, from_="labels", id=boxes[0]["id"])
    assert done.status_code == 200 and np.all(editor.mask()[BOXES[1]] == 1)
    failed = editor.tool("box", box=boxes[1]["box"], label=1, from_="labels", id=boxes[1]["id"])
    assert code(failed) == "NEEDS_DRAWING"
    assert [box["status"] for box in get(reader, url)["boxes"]] == ["seeded", "needs_drawing"]
    made = reader.post(url, json={"box": sides, "label": 2, "evidence": "report"})
    assert made.status_code == 201 and made.json()["source"] == "reader"
    for key in (made.json()["id"], boxes[1]["id"]):
        assert reader.delete(f"{url}/{key}").status_code == 200
    assert [box["id"] for box in get(reader, url)["boxes"]] == [boxes[0]["id"]]
    assert reader.delete(f"{url}/nothing").status_code == 404


def test_tools_over_the_interface(server, reader):
    editor = Editor(reader, "p01")
    editor.open()
    assert read_delta(editor.tool("delete", at=[IN_META]).content)[0]["name"] == "Delete Meta"
    assert not np.any(editor.mask() == 3)
    editor.tool("copy", from_="labels", at=IN_META)
    assert np.array_equal(editor.mask(), phantom_labels())
    assert code(editor.tool("copy", from_="labels", at=IN_META)) == "NOTHING_CHANGED"
    editor.tool("delete", at=[IN_HCC])
    grown = editor.tool("grow", at=IN_HCC, label=1, phase="VP", low=40, high=85, radius_mm=12)
    assert grown.status_code == 200 and np.count_nonzero(editor.mask()[BOXES[1]] == 1) > 100
    editor.act("goto", position=0)
    editor.paint(np.flatnonzero((phantom_labels() == 1) & (np.indices(SHAPE)[0] == 3)), 7, "erase")
    editor.tool("interpolate", at=[2, 10, 12], label=1)
    assert np.array_equal(editor.mask(), phantom_labels())
    editor.tool("split", at=IN_CYST, line=[[0, 22.5], [40, 22.5]], label=5)
    assert np.count_nonzero(editor.mask() == 5) == 3 * 8 * 4
    editor.tool("fill_holes", at=IN_CYST)


def test_measurements(server, reader):
    url = "/api/cases/p01/measurements"
    ruler = {"kind": "ruler", "phase": "VP", "from": [3, 10, 10], "to": [3, 10, 20]}
    made = reader.post(url, json=ruler)
    assert made.status_code == 201 and made.json()["mm"] == pytest.approx(8.0)
    circle = {"kind": "circle", "phase": "VP", "centre": [4, 20, 20], "radius_mm": 4.1, "keep": False}
    found = reader.post(url, json=circle).json()
    slab = np.frombuffer(reader.get("/api/cases/p01/volumes/VP?z0=4&n=1").content, "<i2").reshape(40, 48)
    y, x = np.ogrid[:40, :48]
    values = slab[(y - 20) ** 2 + ((x - 20) * 0.8) ** 2 <= 4.1**2]
    assert found["mean"] == pytest.approx(values.mean(), abs=0.01) and found["pixels"] == values.size
    assert found["sd"] == pytest.approx(values.std(), abs=0.01)
    assert [one["id"] for one in get(reader, url)["measurements"]] == [made.json()["id"]]
    assert reader.delete(f"{url}/{made.json()['id']}").status_code == 200


def test_notes_are_steps_that_undo_and_redo_take_back_and_bring_again(server, reader):
    folder = server.place / fresh(server, "noted")
    sides = [[s.start, s.stop] for s in BOXES[1]]
    (folder / "boxes.json").write_text(json.dumps([{"box": sides, "label": 1}]))
    editor = Editor(reader, "noted")
    editor.open()

    def notes():
        lesions = get(reader, "/api/cases/noted/lesions?ref=draft.edit")["lesions"]
        return (
            [row["evidence"]["evidence"] for row in lesions if row["evidence"]],
            [(box["id"], box["status"]) for box in get(reader, "/api/cases/noted/boxes")["boxes"]],
            [one["kind"] for one in get(reader, "/api/cases/noted/measurements")["measurements"]],
        )

    def drawn():
        return next(box["id"] for box in get(reader, "/api/cases/noted/boxes")["boxes"] if box["id"] != "f1")

    ruler = {"kind": "ruler", "phase": "VP", "from_": [3, 10, 10], "to": [3, 10, 20]}
    seen = [notes()]
    for tool, body in (
        ("evidence", {"at": IN_HCC, "evidence": "report"}),
        ("evidence", {"at": IN_HCC, "evidence": "pathology", "note": "biopsy"}),
        ("measure", ruler),
        ("draw_box", {"box": sides, "label": 2}),
        ("remove_box", {"id": "f1"}),
        ("remove_box", None),
    ):
        answer = editor.tool(tool, **({"id": drawn()} if body is None else body))
        assert answer.status_code == 200, answer.text
        assert read_delta(answer.content)[0]["notes"] in (["evidence"], ["boxes"], ["measurements"])
        assert notes() not in seen[-1:]
        seen.append(notes())
    assert seen[-1] == (["pathology"], [], ["ruler"])
    assert editor.state["undo"].startswith("Remove box")
    # They are kept without a version.
    assert not editor.state["dirty"] and code(editor.save()) == "NOTHING_CHANGED"
    for expected in seen[-2::-1]:
        assert editor.act("undo").status_code == 200 and notes() == expected
    assert editor.act("goto", position=6).status_code == 200 and notes() == seen[-1]


@pytest.mark.parametrize(("aside", "fits"), [(0.06, True), (0.2, False)])
def test_a_mask_rounded_to_a_tenth_of_a_millimetre_fits(server, aside, fits):
    name = f"aside{int(100 * aside)}"
    folder = make_case(server.place / name, phases="vp", labels=True)
    stored = nib.load(folder / "labels.nii.gz")
    moved = stored.affine.copy()
    moved[0, 3] += aside
    nib.save(nib.Nifti1Image(np.asarray(stored.dataobj), moved), folder / "labels.nii.gz")
    (mask,) = get(server.client, f"/api/cases/{name}")["masks"]
    assert (mask["status"] == "ok") is fits
    assert (server.client.get(f"/api/cases/{name}/masks/labels").status_code == 200) is fits


def test_import_and_export_of_nifti(server, reader):
    case = fresh(server, "exchange")
    path = save(server.place.parent / "other.nii.gz", np.where(phantom_labels() == 6, 3, phantom_labels()), codes="PIR")
    made = reader.post(f"/api/cases/{case}/imports?format=nifti", content=path.read_bytes())
    assert made.status_code == 201 and made.json()["beside"] and made.json()["what"] == "import"
    assert get(reader, f"/api/cases/{case}/versions")["head"] == "labels"
    assert not np.any(mask_of(reader, case, "v1") == 6)
    answer = reader.get(f"/api/cases/{case}/export/v1.nii.gz")
    assert answer.headers["content-disposition"] == 'attachment; filename="exchange_v1.nii.gz"'
    out = nib.Nifti1Image.from_bytes(gzip.decompress(answer.content))
    source = nib.load(server.place / case / "labels.nii.gz")
    assert np.array_equal(out.affine, source.affine) and out.shape == source.shape
    save(path, phantom_labels()[1:])
    for data, wanted in ((path.read_bytes(), "MASK_OTHER_GRID"), (b"no", "TRUNCATED_FILE"), (bytes(400), "NOT_NIFTI")):
        assert code(reader.post(f"/api/cases/{case}/imports?format=nifti", content=data)) == wanted
    assert code(reader.get(f"/api/cases/{case}/export/v1.dcm")) == "NO_DICOM"
    assert reader.post("/api/cases/p01/imports/prediction").json()["note"] == "from prediction"


def test_a_case_that_is_a_dicom_study(server, reader):
    CtSeries().write(server.place / "scanned" / "dicom")
    case = get(reader, "/api/cases/scanned")
    assert case["dicom"] and case["reference"] and case["grid"]["shape"] == [SLICES, ROWS, COLUMNS]
    assert code(reader.get("/api/cases/scanned/export/head.dcm")) == "EMPTY_MASK"
    editor = Editor(reader, "scanned")
    editor.open()
    wanted = np.zeros((SLICES, ROWS, COLUMNS), np.uint8)
    wanted[5:9, 20:30, 30:44] = 1
    wanted[7, 40:44, 30:34] = 6
    index = np.flatnonzero(wanted)
    editor.send(index, np.zeros(len(index)), wanted.reshape(-1)[index])
    assert editor.save().status_code == 201
    exported = reader.get("/api/cases/scanned/export/head.dcm")
    assert exported.headers["content-type"] == "application/dicom"
    made = reader.post("/api/cases/scanned/imports?format=dicom-seg&map=2:3", content=exported.content)
    assert made.status_code == 201
    back = mask_of(reader, "scanned", made.json()["ref"])
    assert np.array_equal(back, np.where(wanted == 6, 3, wanted))


def test_a_copied_project_opens_elsewhere_and_alone(server, reader, tmp_path):
    editor = Editor(reader, fresh(server, "moved"))
    editor.open()
    editor.paint([5], 2)
    shutil.copytree(server.place, tmp_path / "copy")
    with Server(tmp_path / "copy" / "labelling") as other:
        client = other.new_client(editor.state["user"])
        again = Editor(client, "moved")
        assert again.open()["recovery"]["steps"] == 1
        assert again.mask().reshape(-1)[5] == 2
        assert again.open(recover="discard")["dirty"] is False
        assert again.mask().reshape(-1)[5] == phantom_labels().reshape(-1)[5]
        with pytest.raises(RuntimeError, match="PROJECT_BUSY"):
            Server(tmp_path / "copy").start()
    with Server(tmp_path / "copy" / "p01") as single:
        assert [row["id"] for row in get(single.client, "/api/cases")["cases"]] == ["p01"]


def test_wrong_folders_are_told(tmp_path):
    (tmp_path / "empty").mkdir()
    for place, wanted in (("empty", "NO_CASES"), ("nowhere", "FILE_MISSING")):
        with pytest.raises(RuntimeError, match=wanted):
            Server(tmp_path / place).start()
    make_case(tmp_path / "one", phases="vp")
    with pytest.raises(RuntimeError, match="WRONG_USE"):
        Server(tmp_path / "one", host="0.0.0.0").start()
    assert not list((tmp_path / "empty").iterdir())
