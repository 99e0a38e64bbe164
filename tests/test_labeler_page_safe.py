"""The labeler's page where things go wrong, bad files, a dead server, two readers; and for everyone's hands."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from labeler_page import ARGUMENTS, CHROMIUM, EMULATED_CARD, Desk
from labeler_project import Server, lps_affine, make_case, phantom_hu, phantom_labels, save

CODES = ("LPS", "RAS", "LAS", "RPS", "SPL", "PIR", "ASL", "IRP")


def turned() -> np.ndarray:
    """Twelve degrees about the long axis of the body."""
    c, s = np.cos(np.deg2rad(12)), np.sin(np.deg2rad(12))
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])


def bad_case(folder: Path) -> None:
    """AP is missing, DP holds NaN, the mask lies on another grid, and there is no report."""
    make_case(folder, phases="nc vp", labels=False)
    (folder / "report.txt").unlink()
    hu = phantom_hu(np.random.default_rng(1), 90).astype(np.float32)
    hu[3:6] = np.nan
    nib.save(nib.Nifti1Image(hu.transpose(), lps_affine()), folder / "dp.nii.gz")
    nib.save(nib.Nifti1Image(phantom_labels().transpose()[:20], lps_affine()), folder / "labels.nii.gz")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    cohort = tmp_path_factory.mktemp("safe") / "cohort"
    make_case(cohort / "good")
    bad_case(cohort / "poor")
    make_case(cohort / "unreadable")
    for phase in ("nc", "ap", "vp", "dp"):
        (cohort / "unreadable" / f"{phase}.nii.gz").write_bytes(b"no image")
    for codes in CODES:
        make_case(cohort / f"order-{codes}", codes=codes)
    oblique = cohort / "order-oblique"
    make_case(oblique)
    rng = np.random.default_rng(5)
    for phase, level in zip(("nc", "ap", "vp", "dp"), (55, 75, 110, 90), strict=True):
        save(oblique / f"{phase}.nii.gz", phantom_hu(rng, level), turn=turned())
    save(oblique / "labels.nii.gz", phantom_labels(), turn=turned())
    with Server(cohort) as running:
        yield running


@pytest.fixture(scope="module")
def desk(browser: Any, server: Server) -> Iterator[Desk]:
    opened = Desk(browser, server, "good")
    yield opened
    opened.close()


def test_every_order_of_axes_is_drawn_alike(desk: Desk) -> None:
    drawn = set()
    for codes in (*CODES, "oblique"):
        desk.open(f"order-{codes}")
        drawn.add(tuple(desk.picture_hash(f"{phase}-axial") for phase in ("NC", "VP")))
        # The marker lies on the patient's left: right on the screen.
        assert desk.client("VP-axial", (4, 20, 44))[0] > desk.client("VP-axial", (4, 20, 24))[0]
    assert len(drawn) == 1
    desk.open("good")
    desk.ask_for("order-oblique")
    assert "oblique" in desk.status
    assert desk.complaints == []


def test_missing_and_bad_files_are_named_in_their_place(desk: Desk) -> None:
    desk.ask_for("poor")
    assert desk.state["shown"] == ["NC-axial", "VP-axial"]
    assert "NaN" in desk.page.locator('[data-pane="DP-axial"]').inner_text()
    assert "There is no arterial phase" in desk.page.locator('[data-pane="AP-axial"]').inner_text()
    assert desk.state["lesions"] == [] and desk.state["draft"]["base"] == "empty"
    desk.page.get_by_role("tab", name="Report").click()
    assert "No report" in desk.page.get_by_role("tabpanel").inner_text()
    assert desk.complaints == []


def test_a_case_without_any_readable_phase_says_why(desk: Desk) -> None:
    desk.open("good")
    desk.ask_for("unreadable")
    assert desk.state["status"]["bad"]
    for said in (desk.status, desk.page.get_by_role("main", name="Pictures").inner_text()):
        assert "unreadable cannot be shown" in said and "nc.nii.gz" in said
    # The work list leads on from it.
    desk.push("Previous case")
    assert desk.state["case"] == "poor" and desk.state["shown"]
    assert desk.complaints == []


def test_contour_fill_and_hidden_masks(desk: Desk) -> None:
    desk.open("good")
    desk.go_to_slice(4)
    desk.press("Escape")
    desk.hover((4, 2, 2))

    def covered() -> tuple[int, int]:
        alpha = desk.overlay_pixels()[:, 3]
        return int((alpha > 200).sum()), int(((alpha > 20) & (alpha < 200)).sum())

    both = covered()
    desk.press("o")
    contour = covered()
    desk.press("o")
    fill = covered()
    desk.page.keyboard.down("h")
    desk.frame()
    hidden = covered()
    desk.page.keyboard.up("h")
    desk.press("o")
    assert hidden[0] < fill[0] <= contour[0] and hidden[1] < contour[1] < fill[1]
    assert both[0] >= contour[0] and both[1] > contour[1] + 100
    for _ in range(3):
        desk.press("=")
    assert desk.state["overlay"] == ["both", pytest.approx(0.45), False]
    assert desk.complaints == []


def test_contours_keep_their_width_at_every_zoom(desk: Desk) -> None:
    desk.open("good")
    desk.press("o")
    desk.go_to_slice(4)
    x0, y0 = desk.client("VP-axial", (4, 10, 9.5))
    widths = []
    for _ in range(3):
        row = desk.page.evaluate(
            """([x, y]) => { const c = document.querySelector('[data-pane="VP-axial"] canvas.overlay');
            const box = c.getBoundingClientRect();
            const [column, row] = [Math.round(x - box.left) - 6, Math.round(y - box.top)];
            const at = c.getContext('2d').getImageData(column, row, 12, 1).data;
            return [...at].filter((_, k) => k % 4 === 3); }""",
            [x0, y0],
        )
        widths.append(sum(alpha > 100 for alpha in row))
        desk.page.locator('[data-pane="VP-axial"] .picture').focus()
        desk.press("Control+ArrowUp", "Control+ArrowUp")
        x0, y0 = desk.client("VP-axial", (4, 10, 9.5))
    desk.press("z", "o", "o")
    assert all(1 <= width <= 2 for width in widths), widths


def test_keys_rest_while_one_types(desk: Desk) -> None:
    desk.open("good")
    before, tool = desk.hash, desk.state["tool"]
    desk.page.get_by_role("tab", name="Report").click()
    field = desk.page.get_by_label("Search the report")
    field.click()
    field.type("b0e1seg")
    assert (desk.hash, desk.state["tool"]) == (before, tool)
    assert desk.page.locator("mark").count() == 0
    field.fill("seg")
    assert desk.page.locator("mark").inner_text() == "seg"
    desk.page.get_by_role("tab", name="Lesions").click()


def test_everything_is_reached_by_the_keyboard_and_named(desk: Desk) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    desk.open("good")
    desk.page.locator('[data-pane="VP-axial"] .picture').focus()
    desk.press("Tab", "Alt+ArrowLeft", "b", "Alt+Enter")
    assert len(desk.state["draft"]["steps"]) == 1
    desk.press("Control+z", "v")
    regions = set()
    for _ in range(6):
        desk.page.keyboard.press("F6")
        regions.add(desk.page.evaluate("() => document.activeElement.closest('[data-region]')?.className"))
        outline = desk.page.evaluate("() => getComputedStyle(document.activeElement).outlineStyle")
        assert outline == "solid"
    assert len(regions) >= 4
    serious = []

    def look() -> None:
        serious.extend(
            (fault["id"], [node["html"][:160] for node in fault["nodes"][:3]])
            for fault in axe.run(desk.page).response["violations"]
            if fault["impact"] in ("serious", "critical")
        )

    look()
    for tab in ("Differences", "Report", "History"):
        desk.page.get_by_role("tab", name=tab).click()
        look()
    desk.page.keyboard.press("?")
    desk.page.get_by_role("dialog", name="Help").wait_for()
    look()
    for words in ("Automatic windowing", "3D connected regions", "Lesion boundary display", "Intelligent Editing"):
        assert desk.page.get_by_role("dialog").get_by_text(words, exact=True).count() == 1
    desk.page.keyboard.press("Escape")
    desk.page.get_by_role("tab", name="Lesions").click()
    assert serious == []


def test_a_killed_server_loses_nothing_and_two_readers_do_not_overwrite(browser: Any, tmp_path: Path) -> None:
    make_case(tmp_path / "cohort" / "p01")
    server = Server(tmp_path / "cohort")
    server.start()
    try:
        desk = Desk(browser, server, "p01")
        desk.press("Tab", "4")
        kept = desk.hash
        server.kill()
        desk.close()
        server.start()
        desk = Desk(browser, server, "p01")
        desk.page.get_by_role("dialog", name="Unsaved work found").wait_for()
        assert desk.hash == kept
        desk.push("Go on with them")

        other = server.new_client("ben")
        parent = other.get("/api/cases/p01/versions").json()["head"]
        theirs = phantom_labels()
        theirs[7, 20, 20] = 1
        saved = other.post(
            "/api/cases/p01/versions?what=upload",
            content=theirs.tobytes(),
            headers={"If-Match": f'"{parent}"', "Content-Type": "application/octet-stream"},
        )
        assert saved.status_code == 201, saved.text
        desk.press("Control+s", settle=False)
        desk.page.get_by_role("dialog", name="Someone saved in between").wait_for()
        desk.push("Save beside")
        desk.until("() => ctLabeler.state().draft.dirty === false")
        versions = server.client.get("/api/cases/p01/versions").json()
        assert versions["head"] == "v1" and versions["versions"][-1]["beside"]
        assert versions["versions"][-1]["mask_sha256"] == kept
        other.close()
        desk.close()
    finally:
        server.stop()


def test_the_graphics_card_s_picture_is_the_processor_s(browser: Any, server: Server, desk: Desk) -> None:
    desk.open("good")
    desk.go_to_slice(4)
    emulated = browser.browser_type.launch(executable_path=CHROMIUM, args=[*ARGUMENTS, *EMULATED_CARD])
    # The login link can be used once; the next one stands in the server's log.
    server.link = re.findall(r"http://\S+", server.log.read_text())[-1]
    card = Desk(emulated, server, "good", query="?renderer=gpu")
    card.go_to_slice(4)
    assert (desk.state["renderer"], card.state["renderer"]) == ("cpu", "gpu")
    for point in ((4, 10, 13), (4, 25, 20), (4, 20, 3)):
        shades = [tab.picture_at("VP-axial", point) for tab in (desk, card)]
        assert abs(shades[0] - shades[1]) <= 8, (point, shades)
    assert card.page.evaluate("() => ctLabeler.engineAgrees()")
    assert card.complaints == []
    emulated.close()
