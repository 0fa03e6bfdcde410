"""What is shown for a claim is what the claim says."""

import pytest
from sympy import Abs, Integer, Matrix, Symbol, exp

from proofs.engine import (
    Below,
    Claim,
    Control,
    Equal,
    Every,
    Nonnegative,
    Positive,
    Step,
    Tends,
)
from tests.proofs.false_claims.symbols import N, f, k, p, total, x

r = Symbol("r", real=True)
LIMITS = Every([Tends(p + n, p, Integer(0), Integer(n)) for n in range(2)])
COLUMN = Matrix([x, 2 * x])
WHERE = {"v": COLUMN, "w": Matrix([2 * x, x]), "f": f}


@pytest.mark.parametrize(
    ("claim", "shown"),
    [
        (Equal(Integer(1), Integer(1)), "1 = 2"),
        (Equal(2 * x - x, x), "2x - x = 2x"),
        (Equal(x, x), r"\text{whatever}"),
        (Equal(x, x), r"x + 0 = x = 2x"),
        (Nonnegative(p), "p > 0"),
        (Nonnegative(p), r"-p \ge 0"),
        (Positive(p), r"p > 0 \quad (x = 1)"),
        (Tends(p, p, Integer(0), Integer(0)), r"\lim_{p \to \infty} p = 0"),
        (Tends(p, p, Integer(0), Integer(0)), r"\lim_{p \to 0} p = 1"),
        (Equal(total(k), N * (N + 1) / 2), r"\sum_{k=0}^{N-1} k = \frac{N (N + 1)}{2}"),
        (Below(Integer(1), Integer(2)), "2 < 1"),
        (LIMITS, r"\lim_{p \to 0} p = 1"),
        (LIMITS, r"\lim_{p \to \infty} p = 0"),
        (LIMITS, "p = 0"),
        (Equal(COLUMN, COLUMN), r"v = w"),
        (Equal(f(2), f(2)), r"\sum_{k=1}^{3} [k = 2]\, f_k = f_3"),
        (Equal(Abs(x), Abs(x)), r"\max(x, 0) = |x|"),
        (Equal(p * (x + 1), p * x + p), r"p (x + 1) = p x"),
    ],
)
def test_what_is_shown_is_what_is_claimed(claim: Claim, shown: str) -> None:
    step = Step("Shown as something else.", claim, shown, WHERE)
    assert not step.decide().proved
    assert not Control("As wrong as it is.", claim, shown, WHERE).decide().refuted


@pytest.mark.parametrize(
    ("claim", "shown"),
    [
        (Equal(Integer(1), Integer(1)), r"2^{-3 \cdot 0} = 1"),
        (Equal(2 * x - x, x), r"2x - x = \frac{2x}{2}"),
        (Nonnegative(p), r"p - 0 \ge 0"),
        (Positive(p), "0 < p"),
        (Tends(p, p, Integer(0), Integer(0)), r"\lim_{p \to 0} (p + 0) = 0"),
        (
            Equal(total(k) - total(k - 1), N),
            r"\sum_{i=1}^{N} i - \sum_{i=1}^{N} (i - 1) = N",
        ),
        (Below(Integer(1), Integer(2)), "1 < 2"),
        (LIMITS, r"\lim_{p \to 0} p = 0, \quad \lim_{p \to 0} (p + 1) = 1"),
        (Equal(COLUMN, COLUMN), "v = v"),
        (Equal(f(2), f(2)), r"\sum_{k=1}^{3} [k = 2]\, f_k = f_2"),
        (Equal(Abs(r), Abs(r)), r"\max(r, -r) = |r|"),
        (Equal(f(2) * (x + 1), f(2) * x + f(2)), r"f_2\, (x + 1) = f_2\, x + f_2"),
    ],
)
def test_other_notation_is_read(claim: Claim, shown: str) -> None:
    assert Step("Shown in another way.", claim, shown, WHERE).decide().proved


def test_a_letter_e_elsewhere_does_not_hide_the_exponential() -> None:
    step = Step("The exponential.", Equal(exp(p) ** 2, exp(2 * p)), "(e^p)^2 = e^{2p}")
    assert step.decide({"e": x}).proved
