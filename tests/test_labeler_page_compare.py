"""Intelligent Editing in the page: every kind of difference, verdicts by key, progress that stays."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from labeler_page import Desk
from labeler_project import Server, make_case, mask_of, phantom_labels, save

OLD_BOXES = {
    "relabelled": (1, np.s_[2:5, 8:12, 10:15]),
    "removed": (3, np.s_[1:3, 26:30, 36:41]),
    "boundary": (6, np.s_[5:8, 24:30, 22:27]),
    "merged": (4, np.s_[4:6, 14:18, 20:24]),
    "merged too": (4, np.s_[4:6, 14:18, 26:29]),
    "split": (5, np.s_[1:3, 12:20, 30:34]),
}


def old_mask() -> np.ndarray:
    mask = np.where(phantom_labels() > 0, 7, 0).astype(np.uint8)
    for label, box in OLD_BOXES.values():
        mask[box] = label
    return mask


def new_mask() -> np.ndarray:
    mask = old_mask()
    mask[OLD_BOXES["relabelled"][1]] = 2
    mask[OLD_BOXES["removed"][1]] = 7
    mask[5:8, 30, 22:27] = 6
    mask[4:6, 14:18, 24:26] = 4
    mask[1:3, 15:17, 30:34] = 7
    mask[6:8, 10:14, 30:36] = 1
    return mask


def sha256(mask: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(mask, np.uint8).tobytes()).hexdigest()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("compare")
    for name in ("p01", "p02"):
        make_case(folder / "cohort" / name)
        save(folder / "cohort" / name / "labels.nii.gz", old_mask())
        save(folder / "other" / f"{name}.nii.gz", new_mask())
    with Server(folder / "cohort", {"predictions": str(folder / "other")}) as running:
        yield running


@pytest.fixture(scope="module")
def tab(browser: Any, server: Server) -> Iterator[Desk]:
    desk = Desk(browser, server, "p01")
    yield desk
    desk.close()


def compare(desk: Desk) -> dict[str, dict[str, Any]]:
    desk.page.get_by_role("tab", name="Differences").click()
    desk.page.get_by_label("Old mask").select_option("labels")
    desk.page.get_by_label("New mask").select_option("prediction")
    desk.page.get_by_role("tabpanel").get_by_role("button", name="Compare", exact=True).click()
    desk.until("() => ctLabeler.state().mode === 'compare' && ctLabeler.state().differences")
    desk.settled()
    desk.page.locator('[data-pane="VP-axial"] .picture').focus()
    return {one["kind"]: one for one in desk.state["differences"]["differences"] if one["kind"] != "same"}


def go_to(desk: Desk, one: dict[str, Any]) -> None:
    for _ in range(8):
        if desk.state["difference"] == one["id"]:
            return
        desk.press("n")
    raise AssertionError(f"N never came to {one['kind']}")


def test_differences_are_listed_walked_and_decided_by_key(tab: Desk, server: Server) -> None:
    tab.open("p01")
    found = compare(tab)
    assert set(found) == {"added", "removed", "relabelled", "boundary", "split", "merged"}
    voxel_ml = 4.0 * 1.0 * 0.8 / 1000
    assert found["added"]["new_ml"] == pytest.approx(2 * 4 * 6 * voxel_ml, abs=1e-3)
    assert found["boundary"]["changed_ml"] == pytest.approx(3 * 5 * voxel_ml, abs=1e-3)
    seen = []
    for _ in range(6):
        seen.append(tab.state["difference"])
        assert tab.slice("VP-axial") == next(one for one in found.values() if one["id"] == seen[-1])["at"][0]
        tab.press("n")
    assert sorted(seen) == sorted(one["id"] for one in found.values())

    expected = old_mask()
    for kind, key in {
        "relabelled": "a",
        "removed": "r",
        "boundary": "a",
        "merged": "m",
        "split": "a",
        "added": "3",
    }.items():
        go_to(tab, found[kind])
        tab.press(key)
    expected[OLD_BOXES["relabelled"][1]] = 2
    expected[5:8, 30, 22:27] = 6
    expected[1:3, 15:17, 30:34] = 7
    expected[6:8, 10:14, 30:36] = 3
    assert tab.hash == sha256(expected)
    assert tab.state["differences"]["open"] == 0

    # Undo takes back mask and verdict; a reload keeps both.
    tab.press("Control+z")
    assert tab.state["differences"]["open"] == 1
    undone = expected.copy()
    undone[6:8, 10:14, 30:36] = 7
    assert tab.hash == sha256(undone)
    tab.press("Control+y")
    tab.page.reload()
    tab.ready("p01")
    compare(tab)
    assert tab.state["differences"]["open"] == 0 and tab.hash == sha256(expected)

    tab.press("Control+s")
    tab.until("() => ctLabeler.state().draft.dirty === false")
    assert np.array_equal(mask_of(server.client, "p01", "v1"), expected)
    version = server.client.get("/api/cases/p01/versions").json()["versions"][-1]
    assert version["what"] == "review" and version["verdicts"] == {
        "accept": 3,
        "keep": 1,
        "second_reader": 1,
        "relabel": 1,
    }
    assert tab.complaints == []


def test_a_difference_is_edited_by_hand_and_old_and_new_blink(tab: Desk) -> None:
    tab.open("p02")
    found = compare(tab)
    tab.hover((2, 2, 2))

    def dashed_and_coloured() -> tuple[int, int]:
        rgba = tab.overlay_pixels()
        white = (rgba[:, :3].min(1) > 235) & (rgba[:, 3] > 200)
        blue = (rgba[:, 2].astype(int) - rgba[:, 0] > 60) & (rgba[:, 3] > 200)
        return int(white.sum()), int(blue.sum())

    go_to(tab, found["merged"])
    both = dashed_and_coloured()
    tab.press("x")
    old = dashed_and_coloured()
    tab.press("x")
    new = dashed_and_coloured()
    tab.press("x")
    assert old[0] > new[0] + 50 and new[1] > old[1] + 50
    assert both[0] > new[0] + 50 and both[1] > old[1] + 50

    go_to(tab, found["removed"])
    before = tab.hash
    tab.press("e")
    tab.click((found["removed"]["at"][0], 28, 38))
    assert tab.hash != before
    painted = tab.hash
    tab.press("k")
    assert tab.hash == painted
    verdicts = {one["kind"]: one["verdict"] for one in tab.state["differences"]["differences"]}
    assert verdicts["removed"]["verdict"] == "edited"
    tab.push("Edit")
    tab.until("() => ctLabeler.state().mode === 'edit'")
    tab.ready("p02")
    assert tab.hash == sha256(old_mask())
    assert tab.complaints == []
