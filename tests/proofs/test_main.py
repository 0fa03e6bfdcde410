"""``python -m proofs``: what it prints, and its exit status."""

from dataclasses import replace

import pytest
from sympy import exp, symbols

from proofs import __main__ as command
from proofs.document import FORMATS
from proofs.engine import Control, Equal, Nonnegative, Statement, Step

x, y = symbols("x y")


r = symbols("r", real=True)


TRUE = Statement(
    name="true",
    title="A true one",
    source="school",
    words="The square of a sum.",
    formula="(x + y)^2 = x^2 + 2xy + y^2",
    hypotheses=("$x$ and $y$ are numbers.",),
    steps=(Step("Multiply.", Equal((x + y) ** 2, x**2 + 2 * x * y + y**2)),),
    controls=(Control("Half of it.", Equal((x + y) ** 2, x**2 + x * y + y**2)),),
    scope="All numbers.",
)
FALSE = replace(TRUE, name="false", steps=(Step("No.", Equal((x + y) ** 2, x**2)),))
OPEN = replace(TRUE, name="open", steps=(Step("?", Nonnegative(exp(r) - 1 - r)),))
UNCONTROLLED = replace(TRUE, name="true", controls=(Control("Not.", Equal(x, x)),))


def offer(monkeypatch: pytest.MonkeyPatch, *statements: Statement) -> None:
    """Let the program know these statements only."""
    known = {statement.name: statement for statement in statements}
    monkeypatch.setattr(command, "NAMES", tuple(known))
    monkeypatch.setattr(command, "statement", known.__getitem__)


@pytest.mark.parametrize(
    ("statements", "status"),
    [
        ((TRUE,), 0),
        ((FALSE,), 1),
        ((OPEN,), 1),
        ((UNCONTROLLED,), 1),
        ((TRUE, FALSE), 1),
    ],
    ids=lambda value: str(value) if isinstance(value, int) else value[-1].name,
)
@pytest.mark.parametrize("style", [None, *FORMATS])
def test_exit_status(
    statements: tuple[Statement, ...],
    status: int,
    style: str | None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    offer(monkeypatch, *statements)
    assert command.main(["--format", style] if style else []) == status
    printed = capsys.readouterr().out
    assert ("NOT" in printed) == (status == 1)


def test_one_statement_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    offer(monkeypatch, TRUE, FALSE)
    assert command.main(["--only", "true"]) == 0
    assert "Multiply." in capsys.readouterr().out
    assert command.main(["--only", "false"]) == 1
    assert "NOT DECIDED" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="2"):
        command.main(["--only", "unknown"])
