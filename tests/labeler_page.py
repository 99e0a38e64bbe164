"""A reader's desk: the labeler's page in a headless Chromium, driven by mouse and keys, read by its test handle."""

from __future__ import annotations

import base64
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import livercascade.labeler
from labeler_project import Server

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
WEB = Path(livercascade.labeler.__file__).with_name("_web")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
    "--no-first-run",
]
WITHOUT_CARD = ["--disable-gpu"]
"""The page draws on the processor, and so does the browser: several times faster than an emulated graphics card."""
EMULATED_CARD = ["--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
PATIENCE_MS = 120_000

VoxelIndex = tuple[int, int, int]


@contextmanager
def started_browser(card: Sequence[str] = WITHOUT_CARD) -> Iterator[Any]:
    """A headless Chromium, or a skip that says what is missing."""
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine (Debian: apt-get install chromium)")
    if not (WEB / "index.html").is_file():
        pytest.skip("the labeler's page is not built (pip install -e . builds it)")
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=[*ARGUMENTS, *card])
        yield browser
        browser.close()


class Desk:
    """One tab. Points are ``(z, y, x)`` of the case's display grid, panes are named ``VP-axial``.

    Attributes:
        complaints: Console errors, uncaught exceptions and requests that left the origin; a test ends with none.
        actions: Keys, clicks and drags since the start, as a person would count them.
    """

    def __init__(self, browser: Any, server: Server, case: str = "", *, query: str = "", context: Any = None) -> None:
        self.server = server
        self.context = context or browser.new_context(viewport={"width": 1366, "height": 768}, accept_downloads=True)
        self.page = self.context.new_page()
        self.page.set_default_timeout(PATIENCE_MS)
        self.complaints: list[str] = []
        self.actions = 0
        self.page.on("console", lambda said: self._heard(said.type, said.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self._asked(request.url))
        # The login link redirects to the page and keeps the part after '#', which names the case.
        if context is None:
            self.page.goto(f"{server.link}#{case}")
        if context is not None or query:
            self.page.goto(f"{server.base}/{query}#{case}")
        self.ready(case)

    def ask_for(self, case: str) -> None:
        """Opens a case by the address, as a bookmark does."""
        self.page.evaluate("(id) => { location.hash = id; }", case)
        self.ready(case)

    def open(self, case: str) -> None:
        """Opens a case in the page that is there: first tool in hand, all four phases, the table of lesions."""
        self.ask_for(case)
        if self.state["tab"] != "lesions":
            self.page.get_by_role("tab", name="Lesions").click()
        self.page.keyboard.press("v")
        while self.state["layout"] != "four":
            self.press("l")

    def _heard(self, kind: str, text: str) -> None:
        # A refusal that the page answers in words (409, 422) is noted by the browser itself.
        if kind == "error" and not re.search(r"Failed to load resource.* status of (409|422)", text):
            self.complaints.append(text)

    def _asked(self, url: str) -> None:
        if not url.startswith((self.server.base, "blob:", "data:")):
            self.complaints.append(f"left the origin: {url}")

    def ready(self, case: str = "") -> None:
        """Waits until the case was asked for and all of it that can come is there."""
        self.until(
            f"() => {{ const now = window.ctLabeler?.state().case; return now && (!{case!r} || now === {case!r}); }}"
        )
        self.settled()

    def until(self, function: str) -> None:
        self.page.wait_for_function(function, timeout=PATIENCE_MS)

    def frame(self) -> None:
        """Lets the page draw."""
        self.page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def settled(self) -> None:
        """Waits until what was asked for is done and drawn."""
        self.page.evaluate("() => ctLabeler.settled()")

    @property
    def state(self) -> dict[str, Any]:
        return self.page.evaluate("() => ctLabeler.state()")

    @property
    def hash(self) -> str:
        return self.page.evaluate("() => ctLabeler.maskHash()")

    @property
    def status(self) -> str:
        return self.state["status"]["text"]

    def label_at(self, point: VoxelIndex) -> int:
        return self.page.evaluate("(at) => ctLabeler.labelAt(at)", list(point))

    def slice(self, pane: str) -> int:
        return self.page.evaluate("(pane) => ctLabeler.slice(pane)", pane)

    # ---- acts, each counted ---------------------------------------------------------------------------------------

    def press(self, *keys: str, settle: bool = True) -> None:
        for key in keys:
            self.actions += 1
            self.page.keyboard.press(key)
        if settle:
            self.settled()

    def drawn(self, pane: str, point: tuple[float, float, float]) -> tuple[float, float]:
        """Where a voxel is drawn, in fractions of a screen pixel."""
        x, y = self.page.evaluate("([pane, at]) => ctLabeler.clientOf(pane, at)", [pane, list(point)])
        return x, y

    def client(self, pane: str, point: tuple[float, float, float]) -> tuple[float, float]:
        """Whole screen pixel over a voxel, since that is all a mouse can say."""
        x, y = self.drawn(pane, point)
        return round(x), round(y)

    def under(self, pane: str, point: tuple[float, float, float]) -> tuple[float, float, float]:
        """Where exactly a mouse lies that was moved to a voxel."""
        z, y, x = self.page.evaluate("([pane, at]) => ctLabeler.pointAt(pane, ...at)", [pane, self.client(pane, point)])
        return z, y, x

    def hover(self, point: tuple[float, float, float], pane: str = "VP-axial") -> None:
        self.page.mouse.move(*self.client(pane, point))
        self.frame()

    def click(self, point: tuple[float, float, float], pane: str = "VP-axial", **options: Any) -> None:
        """Clicks a voxel of the slice that is seen."""
        self.actions += 1
        self.page.mouse.click(*self.client(pane, point), **options)
        self.settled()

    def drag(self, points: list[tuple[float, float, float]], pane: str = "VP-axial", button: str = "left") -> None:
        """One stroke through points of the slice that is seen."""
        self.actions += 1
        self.page.mouse.move(*self.client(pane, points[0]))
        self.page.mouse.down(button=button)
        for point in points[1:]:
            self.page.mouse.move(*self.client(pane, point))
        self.page.mouse.up(button=button)
        self.settled()

    def push(self, name: str, *, exact: bool = True) -> None:
        """Presses a button by its name."""
        self.actions += 1
        self.page.get_by_role("button", name=name, exact=exact).first.click()
        self.settled()

    def click_table(self, first: int) -> None:
        """Clicks the row of the lesion whose smallest flat index is ``first``."""
        self.actions += 1
        number = next(one["number"] for one in self.state["lesions"] if one["first"] == first)
        self.page.get_by_role("button", name=f"Go to lesion {number}", exact=True).click()
        self.settled()

    def go_to_slice(self, z: int) -> None:
        """Turns the wheel over the venous pane to a slice; one action."""
        self.actions += 1
        self.hover((self.slice("VP-axial"), 4, 4))
        away = self.slice("VP-axial") - z
        for _ in range(abs(away)):
            self.page.mouse.wheel(0, 100 if away > 0 else -100)
            self.frame()
        assert self.slice("VP-axial") == z

    def overlay_pixels(self, pane: str = "VP-axial") -> np.ndarray:
        """Red, green, blue, alpha of every pixel that lies over the picture, a row each."""
        script = """(pane) => { const c = document.querySelector(`[data-pane="${pane}"] canvas.overlay`);
            const { data } = c.getContext('2d').getImageData(0, 0, c.width, c.height);
            let text = '';
            for (let k = 0; k < data.length; k += 32768) text += String.fromCharCode(...data.subarray(k, k + 32768));
            return btoa(text); }"""
        return np.frombuffer(base64.b64decode(self.page.evaluate(script, pane)), np.uint8).reshape(-1, 4)

    def picture_hash(self, pane: str) -> str:
        script = """async (pane) => { const c = document.querySelector(`[data-pane="${pane}"] canvas:not(.overlay)`);
            const pixels = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;
            const sum = await crypto.subtle.digest('SHA-256', pixels);
            return [...new Uint8Array(sum)].map((b) => b.toString(16).padStart(2, '0')).join(''); }"""
        return self.page.evaluate(script, pane)

    def picture_at(self, pane: str, point: tuple[float, float, float]) -> int:
        """Grey value of the drawn picture at the middle of a voxel."""
        x, y = self.client(pane, point)
        script = """([pane, x, y]) => { const c = document.querySelector(`[data-pane="${pane}"] canvas:not(.overlay)`);
            const box = c.getBoundingClientRect();
            const [column, row] = [Math.floor(x - box.left), Math.floor(y - box.top)];
            return c.getContext('2d').getImageData(column, row, 1, 1).data[0]; }"""
        return self.page.evaluate(script, [pane, x, y])

    def close(self) -> None:
        self.context.close()
