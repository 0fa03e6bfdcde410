"""Exit statuses, and how errors turn into them."""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

import typer

from expressivity.cli.console import messages, report_error
from expressivity.errors import ExpressivityError

DOES_NOT_HOLD, BAD_INPUT, INTERRUPTED = 1, 2, 130

# Torch raises a plain RuntimeError for it on a CPU.
_NO_MEMORY = ("allocate memory", "Storage size calculation overflowed")

Arguments = ParamSpec("Arguments")


def reporting_errors(command: Callable[Arguments, None]) -> Callable[Arguments, None]:
    """Let a command end with one line and a status instead of a traceback.

    Args:
        command: May raise any error of this package, or be interrupted.

    Returns:
        The command with the same arguments; it exits with status 2 or 130 instead.
    """

    @wraps(command)
    def reporting(*args: Arguments.args, **kwargs: Arguments.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except ExpressivityError as error:
            report_error(str(error))
            raise typer.Exit(BAD_INPUT) from error
        except (MemoryError, RuntimeError) as error:
            enough = not any(words in str(error) for words in _NO_MEMORY)
            if isinstance(error, RuntimeError) and enough:
                raise
            report_error(f"this needs more memory than there is: {error}")
            raise typer.Exit(BAD_INPUT) from error
        except KeyboardInterrupt as error:
            messages().print("interrupted")
            raise typer.Exit(INTERRUPTED) from error

    return reporting
