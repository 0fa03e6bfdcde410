"""What only a process of its own shows: signals, streams, memory, other folders."""

import json
import os
import runpy
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import ROOT

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals and pipes")

SMALL = ("--input", "1x3x6x6", "--output", "out.safetensors")
MODELS = """
    import atexit, ctypes, os, time
    from torch import nn

    os.write(1, b"a raw print")
    ctypes.CDLL(None).puts(b"a print of C")
    atexit.register(os.write, 1, b"a raw print at exit")
    atexit.register(print, "a print at exit")

    class Slow(nn.Sequential):
        def forward(self, x):
            os.write(2, b"\\nrunning\\n")
            time.sleep(60)

    def talks():
        os.system("echo a child")
        os.chdir("elsewhere")
        return nn.Conv2d(3, 4, 3)

    def slow():
        return Slow(nn.Conv2d(3, 4, 3))
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "own_models.py").write_text(textwrap.dedent(MODELS))
    (tmp_path / "elsewhere").mkdir()
    return tmp_path


def _hear_signals() -> None:
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)


def start(folder: Path, *arguments: str, **options: object) -> subprocess.Popen[str]:
    """Start the command line of this source tree in a folder."""
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    environment.update(options.pop("env", {}))
    defaults = {
        "stdout": subprocess.PIPE,
        "stderr": subprocess.PIPE,
        # A shell's background jobs ignore SIGINT, those of nohup SIGHUP.
        "preexec_fn": _hear_signals,
    }
    return subprocess.Popen(
        [sys.executable, "-m", "expressivity", *arguments],
        cwd=folder,
        env=environment,
        text=True,
        **(defaults | options),
    )


def run_python(program: str, **options: object) -> subprocess.CompletedProcess[str]:
    """Run a program on this source tree."""
    command = [sys.executable, "-c", program]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=True, **options
    )


def left(folder: Path) -> set[str]:
    """Return what lies in a folder beside what was there before."""
    names = {path.name for path in folder.rglob("*")}
    return names - {"own_models.py", "elsewhere"}


def the_error(stderr: str) -> str:
    """Return the one line that an error is told in."""
    (line,) = (row for row in stderr.splitlines() if "error: " in row)
    assert "Traceback" not in stderr
    return line


def wait_until_it_runs(process: subprocess.Popen[str]) -> None:
    """Read standard error until the model of ``own_models:slow`` is running."""
    while not process.stderr.readline().startswith("running"):
        assert process.poll() is None


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT])
def test_a_signal_leaves_nothing(folder: Path, number: signal.Signals) -> None:
    with start(folder, "convert", "own_models:slow", *SMALL) as process:
        wait_until_it_runs(process)
        assert len(left(folder)) == 2  # the claims of both files
        process.send_signal(number)
        process.communicate(timeout=60)
    # A shell reports both alike.
    assert process.returncode in (128 + number, -number)
    assert left(folder) == set()


def test_a_hang_up_that_is_ignored_stays_ignored() -> None:
    ignored: Callable[[], object] = lambda: signal.signal(  # noqa: E731
        signal.SIGHUP, signal.SIG_IGN
    )
    program = """
import os, signal
from expressivity.cli.process import prepare
prepare()
assert callable(signal.getsignal(signal.SIGTERM))
os.kill(os.getpid(), signal.SIGHUP)
print("alive")
"""
    assert run_python(program, preexec_fn=ignored).stdout == "alive\n"


def test_a_second_writer_is_refused_and_the_first_leaves_nothing(folder: Path) -> None:
    with start(folder, "convert", "own_models:slow", *SMALL) as first:
        wait_until_it_runs(first)
        arguments = ("convert", "own_models:talks", *SMALL, "--force")
        with start(folder, *arguments) as second:
            _, stderr = second.communicate()
        first.terminate()
        first.communicate(timeout=60)
    assert second.returncode == 2
    assert "out.safetensors is being written by another process" in the_error(stderr)
    assert first.returncode in (128 + signal.SIGTERM, -signal.SIGTERM)
    assert left(folder) == set()


def test_a_factory_that_talks_and_moves_spoils_no_result(folder: Path) -> None:
    with start(folder, "convert", "own_models:talks", *SMALL, "--json") as process:
        stdout, stderr = process.communicate()
    assert process.returncode == 0, stderr
    assert json.loads(stdout)["command"] == "convert"
    for print_ in ("raw print", "print of C", "child", "print at exit"):
        assert f"a {print_}" in stderr
    assert left(folder) == {"out.safetensors", "out.json"}
    assert not any((folder / "elsewhere").iterdir())


def test_bad_input_is_one_line_on_standard_error(folder: Path) -> None:
    with start(folder, "sweep", "--output", "error.txt") as process:
        stdout, stderr = process.communicate()
    assert (process.returncode, stdout) == (2, "")
    assert stderr == f"{the_error(stderr)}\n"


def test_what_a_terminal_cannot_show_is_replaced(folder: Path) -> None:
    ascii_only = {"PYTHONIOENCODING": "ascii"}
    with start(folder, "sweep", "--help", env=ascii_only) as process:
        stdout, stderr = process.communicate()
    assert process.returncode == 0, stderr
    assert "How many ?." in stdout


def test_a_reader_that_has_seen_enough_is_no_failure(folder: Path) -> None:
    for arguments in (["sweep", "--points", "1", "--json"], ["--help"]):
        with start(folder, *arguments) as process:
            process.stdout.close()
            stderr = process.stderr.read()
        assert (process.returncode, stderr) == (0, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
@pytest.mark.parametrize("arguments", [["sweep", "--points", "1"], ["--help"]])
def test_a_full_standard_output_is_told(folder: Path, arguments: list[str]) -> None:
    with (
        Path("/dev/full").open("w") as full,
        start(folder, *arguments, stdout=full) as process,
    ):
        _, stderr = process.communicate()
    assert process.returncode == 2
    assert "No space left on device" in the_error(stderr)


def test_closed_streams_take_no_file(folder: Path) -> None:
    close: Callable[[], None] = lambda: os.close(1)  # noqa: E731
    with start(folder, "sweep", preexec_fn=close) as process:
        _, stderr = process.communicate()
    assert process.returncode == 2
    assert "standard output needs to be open" in the_error(stderr)


@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory")
def test_the_allocator_fails_before_the_system_kills() -> None:
    program = """
import resource, psutil, torch
from expressivity.cli.process import prepare
from expressivity.cli.status import status_of
prepare()
limit, _ = resource.getrlimit(resource.RLIMIT_DATA)
total = psutil.virtual_memory().total
assert 0 < limit <= 2 * total, limit
print(status_of(lambda: torch.empty(limit, dtype=torch.int8)))
"""
    run = run_python(program)
    assert run.stdout == "2\n"
    assert "this needs more memory than there is" in the_error(run.stderr)


def test_damaged_settings_of_matplotlib_are_named(folder: Path) -> None:
    (folder / "elsewhere" / "matplotlibrc").write_bytes(b"lines.color: \xff\xfe")
    settings = {"MATPLOTLIBRC": str(folder / "elsewhere" / "matplotlibrc")}
    arguments = ("sweep", "--points", "1", "--output", "a.png")
    with start(folder, *arguments, env=settings) as process:
        _, stderr = process.communicate()
    assert process.returncode == 2
    assert "mend its matplotlibrc" in the_error(stderr)
    assert left(folder) == {"matplotlibrc"}


@pytest.mark.parametrize("module", ["publish", "families", "certified"])
def test_help_of_a_benchmark_writes_nothing(
    module: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    documents = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    before = [path.stat().st_mtime_ns for path in documents]
    monkeypatch.delitem(sys.modules, f"benchmarks.{module}", raising=False)
    monkeypatch.setattr(sys, "argv", [module, "--help"])
    with pytest.raises(SystemExit, match=r"^0$") as end:
        runpy.run_module(f"benchmarks.{module}", run_name="__main__")
    assert end.value.code == 0
    assert capsys.readouterr().out.startswith("usage:")
    assert [path.stat().st_mtime_ns for path in documents] == before
