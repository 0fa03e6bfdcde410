"""The process of a command: its streams, the signals that end it, and its memory."""

import io
import os
import signal
import sys
from pathlib import Path
from types import FrameType

import psutil

from expressivity.machine.exhaustion import is_out_of_memory
from expressivity.machine.memory import process_bytes

_GPU_DRIVERS = ("nvidiactl", "kfd")
_SIGNALS = ("SIGTERM", "SIGHUP", "SIGXCPU")


class Stopped(BaseException):
    """A signal that ends the process; code is not to handle it."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


def prepare() -> None:
    """Set up a process that runs one command and nothing else."""
    _open_missing_streams()
    _keep_standard_output()
    _catch_signals()
    _limit_memory()


def may_be_handled(error: BaseException) -> bool:
    """Whether an error of a user's code is the failure of that code.

    Args:
        error: The error.

    Returns:
        False for what stops the process, and for too little memory, which has a message
        of its own.
    """
    return not (
        isinstance(error, (KeyboardInterrupt, Stopped)) or is_out_of_memory(error)
    )


def _open_missing_streams() -> None:
    """Keep files that are opened later from becoming a standard stream."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free


def _keep_standard_output() -> None:
    """Leave standard output to ``sys.stdout`` alone.

    Anything else that writes to descriptor 1, such as a C library or a child process,
    writes to standard error.
    """
    if not isinstance(sys.stdout, io.TextIOWrapper):  # closed
        return
    sys.stdout.flush()
    own = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    sys.stdout = io.TextIOWrapper(
        own,
        encoding=sys.stdout.encoding,
        # A terminal without α shows a question mark rather than a traceback.
        errors="replace",
        line_buffering=sys.stdout.line_buffering,
    )


def _catch_signals() -> None:
    """Let signals that end the process pass through its ``finally`` clauses."""
    for name in _SIGNALS:
        number = getattr(signal, name, None)
        # A process under nohup ignores a hang-up, and goes on doing so.
        if number is not None and signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, _stop)


def _stop(number: int, _: FrameType | None) -> None:
    for name in (*_SIGNALS, "SIGINT"):  # a second signal would stop the cleaning up
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    raise Stopped(number)


def _limit_memory() -> None:
    """Let the allocator fail before the system kills the process."""
    if any(Path("/dev", name).exists() for name in _GPU_DRIVERS):
        return  # a driver reserves more addresses than there is memory
    try:
        import resource

        rlimit = resource.RLIMIT_DATA
        data = psutil.Process().memory_info().data
    except (ImportError, AttributeError):  # not Linux
        return
    free = data + process_bytes()
    soft, hard = resource.getrlimit(rlimit)
    if soft == resource.RLIM_INFINITY or free < soft:
        resource.setrlimit(rlimit, (free, hard))
