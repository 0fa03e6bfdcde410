r"""How a claim was decided, in words with formulas between dollars."""

import re

from sympy import Symbol, latex

from proofs.engine import ByInduction, Claim, Equal, Rounded, Verdict

_NUMBER = r"-?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?(?:/\d+)?"
_EXAMPLE = re.compile(rf"(?P<where>.*): (?P<value>{_NUMBER})")
_EQUATION = re.compile(r"(?P<name>[^\s(=]+)(?P<arguments>\(.*\))? = (?P<number>.+)")
_COMMA = re.compile(r", (?![^(]*\))")  # not between the arguments of a function


def refutation(claim: Claim, verdict: Verdict) -> str:
    r"""Say where a claim fails.

    Args:
        claim: The claim.
        verdict: What became of it: a refutation.

    Returns:
        A sentence.

    Example:
        >>> from sympy.abc import x
        >>> refutation(Equal(x**2, x), Equal(x**2, x).decide())
        'at $x = 2$: the two sides differ by $2$.'
    """
    match = _EXAMPLE.fullmatch(verdict.evidence)
    equations = match and [_equation(p) for p in _COMMA.split(match["where"])]
    if not match or not equations or None in equations:
        return f"{verdict.evidence}."
    where = ", ".join(f"${equation}$" for equation in equations if equation)
    value = match["value"]
    if isinstance(claim, Equal | ByInduction | Rounded):
        result = f"the two sides differ by {_rounded(value.lstrip('-'))}."
    else:
        result = f"the left-hand side is {_rounded(value)}."
    return f"at {where}: {result}" if where else result


def _equation(text: str) -> str | None:
    if text == "always":
        return ""
    match = _EQUATION.fullmatch(text)
    if not match:
        return None
    name = latex(Symbol(match["name"])) + (match["arguments"] or "")
    return f"{name} = {match['number']}"


def _rounded(value: str) -> str:
    """Write a number of which only the first six digits are known."""
    if "." not in value:
        return f"${value}$"
    known, short = float(value), f"{float(value):.4g}"
    about = "" if known == float(short) else "about "
    mantissa, _, exponent = short.partition("e")
    power = rf" \cdot 10^{{{int(exponent)}}}" if exponent else ""
    return f"{about}${mantissa}{power}$"
