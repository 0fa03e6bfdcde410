"""What is shown for a claim is what the claim says."""

import pytest
from sympy import Integer

from proofs.engine import (
    Below,
    Claim,
    Control,
    Equal,
    Nonnegative,
    Positive,
    Step,
    Tends,
)
from tests.proofs.false_claims import N, k, p, total, x


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
    ],
)
def test_what_is_shown_is_what_is_claimed(claim: Claim, shown: str) -> None:
    assert not Step("Shown as something else.", claim, shown).decide().proved
    assert not Control("As wrong as it is.", claim, shown).decide().refuted


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
    ],
)
def test_other_notation_is_read(claim: Claim, shown: str) -> None:
    assert Step("Shown in another way.", claim, shown).decide().proved
