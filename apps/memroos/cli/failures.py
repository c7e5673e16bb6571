"""How a command fails: one line that says what, one that says what to do, and an exit code."""

from typing import IO, Any, ClassVar

import click


class Failure(click.ClickException):
    """A command could not do what it was asked.

    Args:
        message: what is wrong, one sentence.
        hint: what to do about it; empty when the sentence says it.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint

    def show(self, file: IO[Any] | None = None) -> None:
        """Print it to standard error."""
        click.echo(f"{click.style('Error:', fg='red')} {self.message}", file=file, err=True)
        if self.hint:
            click.echo(f"{click.style('Hint:', fg='yellow')}  {self.hint}", file=file, err=True)


class WrongUsage(Failure):
    """An option or a setting does not fit."""

    exit_code: ClassVar[int] = 2


class NotReachable(Failure):
    """No kernel answers."""

    exit_code: ClassVar[int] = 3
