"""The command line as a whole: help, version, exit statuses, clean output."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from expressivity.cli import app
from expressivity.cli.console import to_json
from expressivity.cli.options import parse_size
from expressivity.cli.status import status_of
from expressivity.errors import ArgumentError
from expressivity.version import __version__

COMMANDS = ("demo", "convert", "sweep", "bench")


def run(*arguments: str):
    return CliRunner().invoke(app, arguments, env={"COLUMNS": "80"})


def test_version() -> None:
    result = run("--version")
    assert result.exit_code == 0
    assert result.stdout == f"expressivity {__version__}\n"


def test_help_names_every_command_and_the_exit_statuses() -> None:
    text = run("--help").stdout
    assert all(command in text for command in COMMANDS)
    assert "1 the claim does not hold, 2 bad input" in text


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command_has_examples_and_fits_80_columns(command: str) -> None:
    result = run(command, "--help")
    assert result.exit_code == 0
    assert f"expressivity {command}" in result.stdout.split("Examples")[1]
    assert max(map(len, result.stdout.splitlines())) <= 80


@pytest.mark.parametrize("arguments", [["nonsense"], ["convert"], ["demo", "--epochs"]])
def test_wrong_usage_is_bad_input(arguments: list[str]) -> None:
    assert run(*arguments).exit_code == 2


def test_too_little_memory_is_said_in_one_line() -> None:
    result = run("sweep", "--size", "1000000x1000000x100")
    assert result.exit_code == 2
    assert result.stderr.startswith("error: this needs more memory than there is")
    assert len(result.stderr.splitlines()) == 1


def test_json_has_no_numbers_that_readers_refuse() -> None:
    document = {"a": float("nan"), "b": [float("-inf"), 1], "c": Path("x"), "d": None}
    text = to_json(document)
    assert json.loads(text, parse_constant=pytest.fail) == {
        "a": "nan",
        "b": ["-inf", 1],
        "c": "x",
        "d": None,
    }


@pytest.mark.parametrize(
    "text", ["1,3,33,40", "1x3x33x40", "1×3×33×40", "1, 3, 33, 40"]
)
def test_sizes_are_read_in_every_usual_spelling(text: str) -> None:
    assert parse_size("--input", text) == (1, 3, 33, 40)


@pytest.mark.parametrize("text", ["", "0", "1,,3", "-1", "3.5", "a", "1,2,"])
def test_other_sizes_are_refused(text: str) -> None:
    with pytest.raises(ArgumentError, match="--input needs integers of at least 1"):
        parse_size("--input", text)


def test_a_defect_of_the_program_has_a_status_of_its_own(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def crash() -> None:
        raise ZeroDivisionError("\x1b[2J")

    assert status_of(crash) == 70
    error = capsys.readouterr().err
    assert "ZeroDivisionError: ␛[2J" in error
    assert "\x1b" not in error
