r"""LaTeX on one line of a terminal: ``\frac{a}{b} \ge 0`` becomes ``a/b ≥ 0``.

Only what sympy prints and what the statements' texts use. An unknown command keeps its
name, so nothing is lost without a trace.
"""

import re
from collections.abc import Callable

GREEK: dict[str, str] = dict(
    re.findall(
        r"(\w+) (\w)",
        "alpha α beta β gamma γ delta δ epsilon ε varepsilon ε zeta ζ eta η theta θ "
        "iota ι kappa κ lambda λ mu μ nu ν xi ξ pi π rho ρ varrho ϱ sigma σ tau τ "
        "phi φ varphi φ chi χ psi ψ omega ω Gamma Γ Delta Δ Theta Θ Lambda Λ Xi Ξ "
        "Pi Π Sigma Σ Phi Φ Psi Ψ Omega Ω",
    )
)
SIGNS = {
    **dict.fromkeys(("le", "leq"), " ≤ "),
    **dict.fromkeys(("ge", "geq"), " ≥ "),
    **dict.fromkeys(("ne", "neq"), " ≠ "),
    **dict.fromkeys(("to", "rightarrow", "longrightarrow"), " → "),
    **dict.fromkeys(("dots", "ldots", "cdots"), "…"),
    **dict.fromkeys(("quad", "qquad"), "  "),
    **dict.fromkeys((",", ";", ":", " "), " "),
    "\\": "; ",
    **dict.fromkeys(("|", "Vert", "lVert", "rVert"), "‖"),
    **dict.fromkeys(("vert", "lvert", "rvert", "mid"), "|"),
    **dict.fromkeys(("left", "right", "big", "Big", "bigl", "bigr", "!"), ""),
    **dict.fromkeys(("limits", "displaystyle", "textstyle", "Bigl", "Bigr"), ""),
    **{sign: sign for sign in "{}%&#_$"},
    "lt": " < ",
    "gt": " > ",
    "ll": " ≪ ",
    "gg": " ≫ ",
    "in": " ∈ ",
    "notin": " ∉ ",
    "subset": " ⊂ ",
    "subseteq": " ⊆ ",
    "cup": " ∪ ",
    "cap": " ∩ ",
    "setminus": " ∖ ",
    "mapsto": " ↦ ",
    "implies": " ⟹ ",
    "Rightarrow": " ⇒ ",
    "iff": " ⟺ ",
    "approx": " ≈ ",
    "sim": " ∼ ",
    "equiv": " ≡ ",
    "pm": "±",
    "cdot": "·",
    "times": "×",
    "otimes": " ⊗ ",
    "circ": "∘",
    "star": "⋆",
    "ast": "∗",
    "infty": "∞",
    "nabla": "∇",
    "partial": "∂",
    "ell": "ℓ",
    "top": "⊤",
    "prime": "′",
    "square": "□",
    "forall": "∀",
    "exists": "∃",
    "emptyset": "∅",
    "lfloor": "⌊",
    "rfloor": "⌋",
    "lceil": "⌈",
    "rceil": "⌉",
    "langle": "⟨",
    "rangle": "⟩",
}
_DOUBLE = str.maketrans("CNQRZ", "ℂℕℚℝℤ")
_RANGED = {"sum": "Σ", "prod": "∏"} | {
    n: n for n in ("lim", "max", "min", "sup", "inf")
}
SCRIPTS = {
    "^": str.maketrans("0123456789+−=()ni", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ⁿⁱ"),
    "_": str.maketrans(
        "0123456789+−=()aehijklmnoprstuvx", "₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎ₐₑₕᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓ"
    ),
}
_TOKEN = re.compile(r"\\[A-Za-z]+\*?|\\.|[0-9.]+|\s+|.", re.DOTALL)


def _grouped(text: str) -> str:
    """Put parentheses around what would otherwise fall apart."""
    text = text.replace(" )", ")")
    return f"({text})" if re.search(r"[\s+−/·<>=]", text) else text


def _slashed(above: str, below: str) -> str:
    return f"{_grouped(above)}/{_grouped(below)}"


_WRAPPING: dict[str, Callable[[str], str]] = {
    **dict.fromkeys(("mathrm", "mathbf", "mathcal", "operatorname", "substack"), str),
    **dict.fromkeys(("hat", "widehat"), "{}\u0302".format),
    **dict.fromkeys(("tilde", "widetilde"), "{}\u0303".format),
    **dict.fromkeys(("bar", "overline"), "{}\u0304".format),
    "mathbb": lambda text: text.translate(_DOUBLE),
    "sqrt": lambda text: f"√{_grouped(text)}",
    "text": " {} ".format,
    "begin": lambda _: "",  # of a matrix: its brackets are around it
    "end": lambda _: "",
}
_SPACING = (
    (r"((?:^|[=<>≤≥≠→(\[{|,‖])\s*)− ", r"\1−"),  # a sign, not a difference
    (r"([(\[{⌊⌈]) +", r"\1"),
    (r" +([)\]}⌋⌉,;])", r"\1"),
)

Fraction = Callable[[str, str], str]


def plain(latex: str, fraction: Fraction = _slashed) -> str:
    r"""Write a formula without its LaTeX.

    Args:
        latex: The formula.
        fraction: How to write a numerator over a denominator; by default with a slash.

    Returns:
        The formula in unicode, on one line.

    Example:
        >>> plain(r"\lambda(\alpha) = 1 - \theta_3(e^{- \alpha})^{-d} \le 2 d")
        'λ(α) = 1 − θ₃(e^−α)^−d ≤ 2 d'
        >>> plain(r"\sum_{k=1}^{n + 1} \frac{a^{2}}{b + 1}")
        'Σ[k=1…n+1] a²/(b + 1)'
    """
    text: str = " ".join(_Reader(latex, fraction).row().split())
    for pattern, replacement in _SPACING:
        text = re.sub(pattern, replacement, text)
    return text


def words(text: str) -> str:
    r"""Write a text with formulas between dollars without its LaTeX.

    Args:
        text: Words and formulas.

    Returns:
        Words in unicode.

    Example:
        >>> words(r"All $\alpha > 0$; $\|\delta\|^2$ may vanish.")
        'All α > 0; ‖δ‖² may vanish.'
    """
    pieces = text.split("$")
    return "".join(
        plain(piece) if place % 2 else piece for place, piece in enumerate(pieces)
    )


class _Reader:
    """Reads a formula from left to right."""

    def __init__(self, latex: str, fraction: Fraction) -> None:
        self._tokens: list[str] = _TOKEN.findall(latex)
        self._fraction = fraction

    def row(self, end: str = "") -> str:
        """Read up to an end, or to the last token."""
        text = ""
        while self._tokens and self._tokens[0] != end:
            text += self._piece()
        if self._tokens:
            self._tokens.pop(0)
        return text

    def _piece(self) -> str:
        token = self._tokens.pop(0)
        if token == "{":
            return self.row("}")
        if token in SCRIPTS:
            return _script(token, self._argument())
        if token.startswith("\\"):
            return self._command(token[1:].rstrip("*"))
        return {"-": "−", "'": "′", "~": " ", "&": ", "}.get(token, token)

    def _argument(self) -> str:
        self._skip_spaces()
        return self._piece().strip() if self._tokens else ""

    def _skip_spaces(self) -> None:
        while self._tokens and self._tokens[0].isspace():
            self._tokens.pop(0)

    def _command(self, name: str) -> str:
        if name in ("frac", "tfrac", "dfrac"):
            return self._fraction(self._argument(), self._argument())
        if name in _RANGED:
            return f"{_RANGED[name]}{self._range()} "
        if name in _WRAPPING:
            return _WRAPPING[name](self._argument())
        return GREEK.get(name, SIGNS.get(name, f" {name} "))

    def _range(self) -> str:
        ends = []
        while self._tokens and self._tokens[0] in SCRIPTS:
            self._tokens.pop(0)
            ends.append(self._argument().replace(" ", ""))
        return f"[{'…'.join(ends)}]" if ends else ""


def _script(token: str, text: str) -> str:
    """Raise or lower a text, with small letters where there are any."""
    text = text.replace("− ", "−")
    small = text.replace(" ", "").translate(SCRIPTS[token])
    if small and not set(small) & set(text):
        return small
    return token + (text if re.fullmatch(r"−?[^\W\d]|[′⊤∗∞⋆]+", text) else f"({text})")
