"""The statements hold, and neither they nor the engine can be fooled."""

import ast
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from sympy import (
    Abs,
    Expr,
    Function,
    Integer,
    Matrix,
    Rational,
    S,
    Sum,
    Symbol,
    ceiling,
    cos,
    exp,
    floor,
    log,
    oo,
    pi,
    sign,
    sin,
    sqrt,
    symbols,
)

import proofs
from proofs import __main__ as command
from proofs import catalogue
from proofs.catalogue import STATEMENTS
from proofs.document import FORMATS
from proofs.engine import (
    Below,
    ByInduction,
    Claim,
    Control,
    Equal,
    Every,
    Nonnegative,
    Outcome,
    Positive,
    PositiveBetween,
    Rounded,
    Statement,
    Step,
    Tends,
)

FILES = sorted(Path(proofs.__file__).parent.rglob("*.py"))
x, y = symbols("x y")
r = symbols("r", real=True)
p, q = symbols("p q", positive=True)
n, N = symbols("n N", integer=True, positive=True)
m = symbols("m", integer=True, nonnegative=True)
k, j = symbols("k j", integer=True)
f, g = Function("f"), Function("g")
half = Rational(1, 2)

over_statements = pytest.mark.parametrize("statement", STATEMENTS, ids=lambda s: s.name)


@cache
def outcome(name: str) -> Outcome:
    (statement,) = (s for s in STATEMENTS if s.name == name)
    return statement.check()


@over_statements
def test_every_step_is_proved(statement: Statement) -> None:
    for step, verdict in zip(
        statement.steps, outcome(statement.name).steps, strict=True
    ):
        assert verdict.proved, (step.reason, verdict.evidence)
    assert outcome(statement.name).proved


@over_statements
def test_every_control_is_refuted(statement: Statement) -> None:
    verdicts = outcome(statement.name).controls
    for control, verdict in zip(statement.controls, verdicts, strict=True):
        assert verdict.refuted, (control.wrong, verdict.evidence)
        assert not verdict.proved
        assert verdict.evidence
    assert outcome(statement.name).controlled


@over_statements
def test_every_statement_says_what_it_rests_on(statement: Statement) -> None:
    for text in (statement.title, statement.source, statement.words, statement.scope):
        assert text.strip()
    assert statement.formula.strip()
    assert statement.hypotheses
    assert len(statement.steps) >= 2
    assert len(statement.controls) >= 2
    assert statement.formulas


@over_statements
def test_every_text_has_its_mathematics_between_dollars(statement: Statement) -> None:
    texts = [
        statement.title,
        statement.words,
        statement.source,
        statement.scope,
        *statement.hypotheses,
        *statement.remarks,
        *(step.reason for step in statement.steps),
        *(control.wrong for control in statement.controls),
    ]
    for text in texts:
        words = text.split("$")
        assert len(words) % 2 == 1, text
        assert not any(mark in "".join(words[::2]) for mark in "\\^_{}"), text


def test_names_are_those_of_the_files() -> None:
    names = [statement.name for statement in STATEMENTS]
    files = {
        path.stem
        for path in Path(proofs.__file__).parent.glob("*.py")
        if not path.stem.startswith("__") and path.stem != "catalogue"
    }
    assert len(names) == len(set(names))
    assert tuple(names) == catalogue.NAMES
    assert set(names) == files


def test_titles_tell_statements_apart() -> None:
    assert len({statement.title for statement in STATEMENTS}) == len(STATEMENTS)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_proofs_import_nothing_from_the_package(path: Path) -> None:
    imported = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            imported |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add((node.module or "").split(".")[0])
    assert not imported & {"expressivity", "torch", "numpy", "tests"}


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
    monkeypatch.setattr(command, "STATEMENTS", statements)
    assert command.main(["--format", style] if style else []) == status
    printed = capsys.readouterr().out
    assert ("NOT" in printed) == (status == 1)


def test_one_statement_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "STATEMENTS", (TRUE, FALSE))
    assert command.main(["--only", "true"]) == 0
    assert "Multiply." in capsys.readouterr().out
    assert command.main(["--only", "false"]) == 1
    assert "NOT DECIDED" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="2"):
        command.main(["--only", "unknown"])


def total(term: object, low: object = 1, high: object = N, index: Symbol = k) -> Sum:
    return Sum(term, (index, low, high))


def cut_off(constant: Expr) -> Rational:
    """Return a number that is less than a constant, by very little."""
    return Rational(str(constant.n(50))) - Rational(1, 10**30)


PROVED = {
    "a square": Equal((x + y) ** 2, x**2 + 2 * x * y + y**2),
    "a root": Equal(sqrt(p**2), p),
    "a sum is linear": Equal(total(p * f(k) + 1), p * total(f(k)) + N),
    "a sum is shifted": Equal(total(f(k + 1), 0, N - 1), total(f(k))),
    "sums are exchanged": Equal(
        total(total(g(k, j)), index=j), total(total(g(k, j), index=j))
    ),
    "names of indices": Equal(total(f(k)), total(f(j), index=j)),
    "a square of a sum": Equal(total(f(k)) ** 2, total(total(f(k) * f(j)), index=j)),
    "matrices": Equal(Matrix([[1, x]]) * Matrix([[x], [1]]), Matrix([[2 * x]])),
    "a square has a sign": Nonnegative(r**2),
    "a form shows it": Positive(r**2 - 2 * r + 2, (r - 1) ** 2 + 1),
    "a sum has a sign": Nonnegative(total(p**k)),
    "Gauss": ByInduction(total(k, 0, m), m * (m + 1) / 2, m),
    "a geometric sum": ByInduction((p - 1) * total(p**k, 0, m), p ** (m + 1) - 1, m),
    "a limit from the right": Tends(exp(-1 / p), p, Integer(0), Integer(0)),
    "a limit at a point": Tends(r**2, r, Integer(2), Integer(4)),
    "a limit at minus infinity": Tends(exp(x), x, -oo, Integer(0)),
    "an inner sum has a sign": Nonnegative(
        total(total(p ** (k + j), 0, k, index=j), 0, m)
    ),
    "an infinite sum is shifted": Equal(total(f(k), 1, oo), total(f(k + 1), 0, oo)),
    "constants with a circle": Below(sqrt(pi), Rational(178, 100)),
    "a limit": Tends(exp(-p * x), x, oo, 0),
    "a touching root outside": PositiveBetween(x**2, x, Integer(0), Integer(1)),
    "constants": Below(sqrt(2), Rational(17, 12)),
    "a cosine": Below(cos(1), Rational(5404, 10**4)),
    "a floor": Rounded(floor(N + m / (m + n)), N),
    "a ceiling, halved": Rounded(1 - ceiling(N - m / (m + n)) / 2, 1 - N / 2),
    "both of two": Every([Positive(p), Nonnegative(r**2)]),
    "near constants": Below(exp(2), Rational(73890560989306502273, 10**19)),
}
NOT_PROVED = {
    "a square": Equal((x + y) ** 2, x**2 + y**2),
    "off by little": Equal(x, x + Rational(1, 10**30)),
    "a root": Equal(sqrt(r**2), r),
    "powers of powers": Equal((x**y) ** half, x ** (y / 2)),
    "a logarithm": Equal(log(x**2), 2 * log(x)),
    "one term more": Equal(total(f(k)), total(f(k), 0)),
    "one shift more": Equal(total(f(k + 1)), total(f(k))),
    "every second term": Equal(total(f(2 * k)), total(f(k), 1, 2 * N)),
    "a product of sums": Equal(total(f(k)) * total(g(k)), total(f(k) * g(k))),
    "a square of a sum": Equal(total(f(k)) ** 2, total(f(k) ** 2)),
    "an inverse of a sum": Equal(1 / total(f(k)), total(1 / f(k))),
    "a sum in a function": Equal(exp(total(f(k))), total(exp(f(k)))),
    "a power of an inner sum": Equal(
        total(total(f(k * j)) ** 2, index=j), N * total(f(k**2)) ** 2
    ),
    "a transposed table": Equal(
        total(total(g(k, j)), index=j, high=n), total(total(g(j, k)), index=j, high=n)
    ),
    "a triangle for a square": Equal(
        total(total(g(k, j), high=j), index=j), total(total(g(k, j)), index=j)
    ),
    "an index outside its sum": Equal(k * total(f(k)), total(k * f(k))),
    "one index for another": Equal(total(f(j)), total(f(k))),
    "one entry of a matrix": Equal(Matrix([[1, x]]), Matrix([[1, x + 1]])),
    "a matrix of another shape": Equal(Matrix([[1, 2]]), Matrix([[1], [2]])),
    "infinity less infinity": Equal(oo, oo - oo),
    "a sign that depends": Nonnegative(p - q),
    "a sign that is missing": Nonnegative(r),
    "a square that may vanish": Positive(r**2),
    "an empty sum": Positive(total(p**k, 1, m)),
    "a square over all numbers": Nonnegative(x**2),
    "powers of signed numbers": Nonnegative(r ** symbols("a", real=True)),
    "alternating": Nonnegative((-1) ** k),
    "a form of something else": Nonnegative(r, r**2),
    "a form with the wrong sign": Positive(-(r**2) - 1, r**2 + 1),
    "the first cases only": ByInduction(
        total(k, 0, m), m * (m + 1) / 2 + m * (m - 1) * (m - 2) * (m - 3), m
    ),
    "the step only": ByInduction(total(k, 0, m), m * (m + 1) / 2 + 1, m),
    "the wrong sum": ByInduction(total(k, 0, m), m**2 / 2, m),
    "any sequence": ByInduction(total(f(k), 0, m), f(m), m),
    "an induction from too early": ByInduction(Abs(m - 1), m - 1, m, 0),
    "the wrong limit": Tends(exp(-p * x), x, oo, 1),
    "no limit": Tends(sin(x), x, oo, 0),
    "infinity for a limit": Tends(x, x, oo, 5),
    "a limit for infinity": Tends(1 / x, x, oo, oo),
    "a root inside": PositiveBetween(2 * x - 1, x, Integer(0), Integer(1)),
    "two roots inside": PositiveBetween(
        (x - Rational(1, 4)) * (x - Rational(1, 3)), x, Integer(0), Integer(1)
    ),
    "a touching root inside": PositiveBetween(
        (x - Rational(1, 3)) ** 2, x, Integer(0), Integer(1)
    ),
    "below zero": PositiveBetween(-(x**2) - 1, x, Integer(0), Integer(1)),
    "nothing": PositiveBetween(Integer(0), x, Integer(0), Integer(1)),
    "the larger constant": Below(sqrt(2), Rational(7, 5)),
    "equal constants": Below(sqrt(2) + sqrt(3), sqrt(5 + 2 * sqrt(6))),
    "an ulp": Below(
        log(2) + Rational(1, 10), log(2) + Rational(0.1) - Rational(1, 10**17)
    ),
    "itself": Below(exp(2), exp(2)),
    "a fraction inside": Below(exp(Rational(1, 3)), cut_off(exp(Rational(1, 3)))),
    "a circle": Below(sqrt(pi), cut_off(sqrt(pi))),
    "a circle, from above": Below(-sqrt(pi), -cut_off(sqrt(pi)) - Rational(1, 10**29)),
    "a cosine": Below(cos(1), Rational(5403, 10**4)),
    "a variable for a constant": Below(cos(m), Integer(2)),
    "a floor off by one": Rounded(floor(N + m / (m + n)), N - 1),
    "a floor of a whole number": Rounded(floor(N + (m + n) / (m + 1)), N),
    "a ceiling that may be a floor": Rounded(ceiling(N + m / (m + n)), N + 1),
    "half a floor": Rounded(floor(N + m / (m + n)), N - half),
    "one of two": Every([Positive(p), Positive(r)]),
    "none of none": Every([]),
    "a base": Below(exp(1) ** 2 + exp(1), cut_off(exp(1) ** 2 + exp(1))),
    "a sum that runs backwards": Nonnegative(k, total(1, high=k, index=j)),
    "an inner sum that runs backwards": Nonnegative(
        total(total(1, 0, k - 3, index=j), 0, 1)
    ),
    "a sum that loses terms": ByInduction(total(f(k), m, 5), total(f(k), 0, 5), m),
    "a multiplier with a pole": ByInduction(
        m * (m - 1), S.Zero, m, 0, (m + 1) / (m - 1)
    ),
    "a multiplier with a pole at the start": ByInduction(m, S.Zero, m, 0, (m + 1) / m),
    "infinite sums exchanged": Equal(
        total(total(g(k, j), high=oo), index=j, high=oo),
        total(total(g(k, j), index=j, high=oo), high=oo),
    ),
    "a limit from one side": Tends(sign(r), r, Integer(0), Integer(1)),
    "a jump": Tends(floor(r), r, Integer(1), Integer(1)),
    "a pole with two signs": Tends(1 / r, r, Integer(0), oo),
}
UNDECIDED = {
    "a tangent": Nonnegative(exp(r) - 1 - r),
    "a minimum": Positive(p + 1 / p - 1),
    "an inequality of sums": Nonnegative(N * total(f(k) ** 2) - total(f(k)) ** 2),
    "a limit that depends": Tends(exp(-x * p), p, oo, 0),
    "a polynomial in two": PositiveBetween(x + p, x, Integer(0), Integer(1)),
    "a polynomial over the reals": PositiveBetween(
        sqrt(2) * x + 1, x, Integer(0), Integer(1)
    ),
    "one constant, written twice": Below(sqrt(2) + sqrt(3), sqrt(5 + 2 * sqrt(6))),
}


def by_name(claims: dict[str, Claim]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("claim", claims.values(), ids=claims.keys())


@by_name(PROVED)
def test_true_claims_are_proved(claim: Claim) -> None:
    verdict = claim.decide()
    assert verdict.proved, verdict.evidence
    assert not verdict.refuted


@by_name(NOT_PROVED)
def test_false_claims_are_not_proved(claim: Claim) -> None:
    verdict = claim.decide()
    assert not verdict.proved, verdict.evidence


@by_name(UNDECIDED)
def test_undecided_claims_are_open(claim: Claim) -> None:
    verdict = claim.decide()
    assert not verdict.proved
    assert not verdict.refuted
    assert verdict.evidence
