r"""Formulas as MathML, which browsers draw without scripts or network."""

import re
from collections.abc import Iterable

from latex2mathml.converter import convert

# What latex2mathml does not know, or does not set as LaTeX does, in its input ...
_REWRITTEN = (
    (r"\{aligned\}", "{split}"),
    (r"\\(sum|prod)_", r"\\\1\\limits_"),
    (r"\\(arg)(?![A-Za-z])", r"\\operatorname{\1}"),
    (r"\\colon(?![A-Za-z])", ":"),
    (r"\\!", ""),
)
_LIMITS_BELOW = (r"\\(lim|max|min|sup|inf)_", r"\\\1\\limits_")
# ... and in its output: the spaces around names of functions, around bars and slashes;
# a sign after a relation is no difference; a prime is raised by its font already;
# arrows are operators and infinity is none; Greek capitals are upright.
_NAME = r"<m(?:i|o|o movablelimits=\"true\")>([A-Za-z]{2,})</m[io]>"
_THIN = 'lspace="0.167em" rspace="0.167em"'
_BARS = r"(\||/|&#x0(?:007C|002F|2016);)"
_RELATIONS = r"&#x0(?:0028|002C|003C|003D|003E|2264|2265);"
_PRIME = '<mo lspace="0" rspace="0">&#x02032;</mo>'
_PART = r"(<m(?:i|n|row)>(?:(?!</?mrow).)*?</m(?:i|n|row)>)"
_CORRECTED = (
    (_NAME, rf"<mo {_THIN}>\1</mo>"),
    (
        rf"{_THIN}(>\w+</mo>(?:<mrow>)*<mo[^>]*>&#x00028;)",
        r'lspace="0.167em" rspace="0"\1',
    ),
    (r"<mi>(&#x0(?:21D|27F)\w;)</mi>", r"<mo>\1</mo>"),
    (rf"<mo(?![^>]*form)([^>]*)>{_BARS}</mo>", r'<mo lspace="0" rspace="0"\1>\2</mo>'),
    (
        rf"(<mi />|<mo[^>]*>{_RELATIONS}</mo>)<mo>&#x02212;</mo>",
        r'\1<mo form="prefix">&#x02212;</mo>',
    ),
    (
        r"<msup>(<mi>[^<]*</mi>)<mi>&#x02032;</mi></msup>",
        rf"<mrow>\1{_PRIME}</mrow>",
    ),
    (
        rf"<msubsup>(<mi>[^<]*</mi>){_PART}<mi>&#x02032;</mi></msubsup>",
        rf"<msub><mrow>\1{_PRIME}</mrow>\2</msub>",
    ),
    (r"<mo>(&#x0221E;)</mo>", r"<mi>\1</mi>"),
    (r"<mi>(&#x003(?:9[1-9A-F]|A[0-9]);)</mi>", r'<mi mathvariant="normal">\1</mi>'),
)


def mathml(latex: str, *, display: bool) -> str:
    r"""Write a formula as MathML.

    Args:
        latex: The formula.
        display: Whether it stands on a line of its own.

    Returns:
        One ``math`` element.

    Example:
        >>> mathml(r"\alpha", display=False).partition(" display=")[2]
        '"inline"><mrow><mi>&#x003B1;</mi></mrow></math>'
    """
    rewritten = (*_REWRITTEN, _LIMITS_BELOW) if display else _REWRITTEN
    element = convert(
        _replaced(latex, rewritten), display="block" if display else "inline"
    )
    return _replaced(element, _CORRECTED)


def _replaced(text: str, rules: Iterable[tuple[str, str]]) -> str:
    for pattern, replacement in rules:
        text = re.sub(pattern, replacement, text)
    return text
