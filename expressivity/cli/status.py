"""Exit statuses, and the status and message of every error."""

import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, NoReturn

import typer
from typer.core import TyperGroup

from expressivity.cli.console import messages, printable, report_error
from expressivity.cli.process import Stopped
from expressivity.errors import ExpressivityError
from expressivity.machine.exhaustion import is_out_of_memory

DOES_NOT_HOLD, BAD_INPUT, CRASHED, INTERRUPTED = 1, 2, 70, 130
_BY_SIGNAL = 128  # a shell adds the number of the signal

# The base of all usage errors, whether typer uses click or its own copy of it.
_UsageError: type[Exception] = typer.BadParameter.__mro__[2]


class ModelExit(BaseException):
    """The code of a model has ended the process while a command ran."""


class CommandLine(TyperGroup):
    """A group of commands that exits with a status, and one line for an error."""

    def main(self, *args: Any, **kwargs: Any) -> NoReturn:  # noqa: ANN401
        """Run the command that the arguments name, and exit.

        Args:
            *args: As :meth:`typer.core.TyperGroup.main` takes them.
            **kwargs: Likewise.
        """
        kwargs["standalone_mode"] = False
        sys.exit(status_of(partial(super().main, *args, **kwargs)))


def status_of(run: Callable[[], object]) -> int:
    """Run something and return the exit status, whatever happens.

    Args:
        run: Returns a status, or another value for success.

    Returns:
        The status. All but 0 and 1 print a line on standard error; a defect of the
        program prints a traceback.
    """
    try:
        result = run()
        if sys.stdout is not None:
            sys.stdout.flush()
    except BaseException as error:
        status, report = _judge(error)
    else:
        status = result if isinstance(result, int) else 0
        report = _interrupted if status == INTERRUPTED else _silent
    with suppress(OSError):  # standard error may be gone as well
        report()
    return status


def _judge(error: BaseException) -> tuple[int, Callable[[], None]]:
    """Return the status of an error, and the function that prints it."""
    if isinstance(error, (KeyboardInterrupt, typer.Abort)):
        return INTERRUPTED, _interrupted
    if isinstance(error, Stopped):
        return _BY_SIGNAL + error.number, partial(report_error, f"stopped by {error}")
    # The reader has stopped. Rich turns that into SystemExit.
    cause = error.__context__ if isinstance(error, SystemExit) else error
    if isinstance(cause, BrokenPipeError):
        return 0, _silent
    if isinstance(error, SystemExit):  # a completion has been printed or installed
        return error.code if isinstance(error.code, int) else 0, _silent
    line = _line(error)
    if line is None:
        return CRASHED, partial(_print_traceback, error)
    if not line:
        return BAD_INPUT, _silent
    return BAD_INPUT, partial(report_error, line)


def _line(error: BaseException) -> str | None:
    """Return one line for an error of the user; ``None`` for a defect.

    The line is empty if help was printed instead.
    """
    if isinstance(error, ExpressivityError):
        return str(error)
    if isinstance(error, _UsageError):
        return _usage(error)
    if is_out_of_memory(error):
        return f"this needs more memory than there is: {error}"
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return f"the system refuses: {where}{error.strerror or error}"
    if isinstance(error, ModelExit):
        return f"the model's code ends the process: sys.exit({error.args[0]!r})"
    return None


def _usage(error: Any) -> str:  # noqa: ANN401 - one of two classes of the same name
    where = "expressivity" if error.ctx is None else error.ctx.command_path
    message = error.format_message().rstrip(".")
    return f"{message}: see {where} --help" if message else ""


def _interrupted() -> None:
    messages().print("interrupted")


def _silent() -> None:
    pass


def _print_traceback(error: BaseException) -> None:
    sys.stderr.write(printable("".join(traceback.format_exception(error))))
