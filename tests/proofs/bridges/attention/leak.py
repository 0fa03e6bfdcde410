"""The leak and its bound, over strengths that the package computes in two ways."""

from collections.abc import Mapping

import pytest
from mpmath import exp, mp

from expressivity.heads.leak import leak
from proofs.engine import Formula


def check(formulas: Mapping[str, Formula]) -> None:
    """Compare the leak in many digits, and hold it below its bound."""
    exact, bound = (formulas[name].function() for name in ("leak", "bound"))
    with mp.workdps(60):
        for alpha in (0.02, 0.5, 3.0, 3.2, 18.0, 90.0):
            for axes in (1, 2, 3):
                weight = exp(-mp.mpf(alpha))
                expected = exact(weight, axes, 100)
                assert leak(alpha, axes) == pytest.approx(float(expected), rel=1e-13)
                # The package rounds upward, by an ulp at most.
                largest = bound(weight, axes) * (1 + mp.mpf(2) ** -52)
                assert leak(alpha, axes) <= largest
        assert leak(30.0, 3) == pytest.approx(float(bound(exp(-30), 3)), rel=1e-12)
