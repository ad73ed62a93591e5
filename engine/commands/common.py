"""What all commands share: how each is added to the parser."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Protocol

Commands = argparse._SubParsersAction  # the type that `add_subparsers` returns has no public name


class Add(Protocol):
    """Adds one command to a group of commands: its name, what it does, the function that runs it, examples."""

    def __call__(
        self,
        group: argparse._SubParsersAction[argparse.ArgumentParser],
        name: str,
        text: str,
        run: Callable[[argparse.Namespace], int],
        epilog: str | None = None,
    ) -> argparse.ArgumentParser: ...


def group(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, text: str
) -> argparse._SubParsersAction[argparse.ArgumentParser]:
    """A group of commands, such as `tokens`."""
    return commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.").add_subparsers(
        title="commands", metavar="COMMAND", required=True
    )


def lifetime(text: str) -> float:
    """An option's duration in seconds, such as `90d`. Raises `argparse.ArgumentTypeError`."""
    from engine.quantities import parse_duration

    try:
        seconds = parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{error} or 90d") from error
    if seconds <= 0:
        raise argparse.ArgumentTypeError("must be longer than 0")
    return seconds
