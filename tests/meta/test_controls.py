"""The script that sees Coq refuse false statements is shown every other outcome."""

import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "proofs" / "coq" / "controls.sh"
CONTROL = """\
(* must fail: Cannot apply l.mma *)
Theorem true : right.
Proof. by apply: lemma. Qed.
Theorem false : wrong.
Proof. by apply: lemma. Qed.
"""


def run(
    tmp_path: Path, *files: str, status: int = 1, says: str = ""
) -> tuple[int, str]:
    """Run the script on files with a compiler that says something."""
    compiler = tmp_path / "compiler"
    compiler.write_text(f"#!/bin/sh\nprintf '%b' '{says}'\nexit {status}\n")
    compiler.chmod(0o755)
    paths = []
    for number, text in enumerate(files):
        paths.append(tmp_path / f"{number}.v")
        paths[-1].write_text(text)
    command = ["sh", SCRIPT, compiler, *paths]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def error(line: int, message: str = "Cannot apply\\n  lemma") -> str:
    return f'File "./0.v", line {line}, characters 0-9:\\nError: {message}\\n'


def test_refused_where_and_as_it_should(tmp_path: Path) -> None:
    status, output = run(tmp_path, CONTROL, CONTROL, says=error(5))
    assert status == 0
    assert output.count("refused: ") == 2


@pytest.mark.parametrize(
    ("files", "status", "says", "complaint"),
    [
        ((), 1, "", "there are no controls"),
        ((CONTROL,), 0, "", "compiles, and must not"),
        ((CONTROL,), 1, error(3), "not in its last proof"),
        ((CONTROL,), 1, error(5, "Syntax error"), "but not in its last proof with"),
        ((CONTROL,), 1, "Cannot apply lemma", "not in its last proof"),
        ((CONTROL[CONTROL.index("Theorem") :],), 1, error(4), "does not say how"),
    ],
)
def test_everything_else_is_noticed(
    tmp_path: Path, files: tuple[str, ...], status: int, says: str, complaint: str
) -> None:
    found, output = run(tmp_path, *files, status=status, says=says)
    assert found == 1
    assert complaint in output
    assert "refused: " not in output
