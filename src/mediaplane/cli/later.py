"""Commands that are loaded when they are called: until then a name, a help line, and where the code stands.

Loading all of them takes a second or two of processor time, which each command would pay for all the others.
"""

from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup


class LateGroup(TyperGroup):
    """A group whose commands may be loaded late; its list of commands loads none."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command that was called, and load it."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, command.load() if isinstance(command, Later) else command, rest


class Later(TyperCommand):
    """Stands for a command in its group's list; its callback returns the function or the app that is the command."""

    def load(self) -> Any:
        """Return the command as if its group had had it from the start."""
        assert self.callback
        found: Any = self.callback()
        app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)
        app.callback()(_do_nothing)  # without one, Typer takes a single command for the whole
        if isinstance(found, typer.Typer):
            app.add_typer(found, name=self.name)
        else:
            app.command(self.name)(found)
        group: Any = typer.main.get_command(app)
        return group.commands[self.name]


def add_later(app: typer.Typer, name: str, place: str, line: str) -> None:
    """Put a command into `app`, a `LateGroup`; `place` is `module.function` or `module.app` in this package."""
    module, _, attribute = place.rpartition(".")

    def load() -> Any:
        return getattr(import_module(f"mediaplane.cli.{module}"), attribute)

    app.command(name, cls=Later, help=line)(load)


def _do_nothing() -> None:
    """Stand where options of a group would be taken."""
