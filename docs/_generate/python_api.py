"""Pages of the Python interface: one for each sub-package, with all its public modules."""

from __future__ import annotations

import ast
from pathlib import Path

from layers import layers

PUBLIC = """# Public names

What `import livercascade as lc` gives. These names, what they take and what they give stay within a major version
([What is stable](../stability.md)). Everything else is on [All modules](api/index.md).
"""
HEAD = """# All modules

Every public module of the package, by sub-package, in the order of the layers: each uses those further down only
([Architecture](../../project/architecture.md)). What is promised to stay is in
[Public names](../python.md); the rest may change with any version.

| package | what it holds |
|---|---|
"""


def api_pages(package: Path) -> dict[str, str]:
    """Markdown by address inside ``docs``.

    Args:
        package: Folder of the package.
    """
    folders = [package / name for row in layers() for name in row]
    rows, pages = "", {}
    for folder in folders:
        text = ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8"))) or ""
        rows += f"| [`{folder.name}`]({folder.name}.md) | {text.splitlines()[0].replace('|', '/') if text else ''} |\n"
        pages[f"reference/api/{folder.name}.md"] = (
            f"::: livercascade.{folder.name}\n    options:\n      heading_level: 1\n"
        )
    return {"reference/python.md": public_page(package), "reference/api/index.md": HEAD + rows, **pages}


def public_page(package: Path) -> str:
    """Markdown for the names that the package itself exports, in the order of ``__all__``."""
    tree = ast.parse((package / "__init__.py").read_text(encoding="utf-8"))
    homes = {
        alias.asname or alias.name: f"{node.module}.{alias.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module
        for alias in node.names
    }
    (names,) = (
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
    )
    return PUBLIC + "".join(_entry(name, homes[name]) for name in sorted(names) if name in homes)


def _entry(name: str, home: str) -> str:
    options = ("heading_level: 2", "show_root_full_path: false", "skip_local_inventory: true")
    return f'\n<a id="{name}"></a>\n\n::: {home}\n    options:\n' + "".join(f"      {line}\n" for line in options)
