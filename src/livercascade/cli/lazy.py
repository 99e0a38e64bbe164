"""Commands that are imported when they are run: help, and a wrong word, must not wait for torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, final

import typer
from typer.core import TyperGroup

from livercascade.cli.error_exit import exit_on_error
from livercascade.system.extras import require


@dataclass(frozen=True, slots=True)
class Command:
    """Where a command, or a group of commands, is.

    Attributes:
        module: Module inside `livercascade.cli`.
        attribute: Function or ``typer.Typer`` in it.
        summary: First line of its help.
        extras: Extras of the distribution without which it cannot be imported.
    """

    module: str
    attribute: str
    summary: str
    extras: tuple[str, ...] = ()

    def load(self, name: str) -> Any:
        """Import it, and make it a command of that name; a missing extra ends the program with a line about it."""
        with exit_on_error():
            require(*self.extras)
        target = getattr(import_module(f"livercascade.cli.{self.module}"), self.attribute)
        if isinstance(target, typer.Typer):
            command = typer.main.get_command(target)
            command.name = name
            return command
        alone = typer.Typer(add_completion=False, rich_markup_mode=None)
        alone.command(name)(target)
        return typer.main.get_command(alone)


@final
class _Loaded(Mapping[str, Any]):
    """Commands by name, each imported when it is asked for."""

    def __init__(self, places: Mapping[str, Command]) -> None:
        self._places = places
        self._loaded: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._loaded:
            self._loaded[name] = self._places[name].load(name)
        return self._loaded[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


def lazy_group(places: Mapping[str, Command]) -> type[TyperGroup]:
    """Class of a group with these commands, for ``typer.Typer(cls=...)``."""

    class LazyGroup(TyperGroup):
        def __init__(self, **given: Any) -> None:
            own: dict[str, Any] = given | {"commands": _Loaded(places)}
            super().__init__(**own)

        def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002
            return list(places)

        def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002
            with formatter.section("Commands"):
                formatter.write_dl([(name, place.summary) for name, place in places.items()])

    return LazyGroup
