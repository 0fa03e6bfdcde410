"""The constants in what Coq has proved are those that the package has."""

import re
from collections.abc import Callable

import pytest
import torch
from mpmath import exp, log, mp, mpf
from torch import nn

from expressivity.accuracy import first_order_error, worst_case_error
from expressivity.conversion import attention_from_conv
from expressivity.heads.encoding import head_vectors
from expressivity.heads.leak import alpha_for_leak, leak
from proofs.catalogue import statement
from proofs.formal import MAIN
from tests.proofs.coq_formulas import conclusion, definition, evaluate, source

ALPHAS = (0.02, 0.5, 2.0, 6.0, 18.0, 38.0)
AXES = (1, 2, 3)
KINDS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
ULP = 1 + mpf(2) ** -52  # the package rounds upward, once


def read(edit: Callable[[str], str] = str) -> dict[str, str]:
    """Return the formulas, of sources that may have been edited."""
    leaks, main, first, worst, padding = (
        edit(source(file))
        for file in ("leak", "convergence", "first_order", "worst_case", "padding")
    )
    return {
        "theta": definition(leaks, "theta n"),
        "leak_bound": definition(leaks, "leak_bound d"),
        "tokens": conclusion(leaks, "leak_tokens"),
        "by_theta": conclusion(leaks, "leak_theta"),
        "strong": re.findall(r"(\S.*) <= largest -> leak t <= largest", leaks)[0],
        "error": conclusion(main, "attention_error_any_size"),
        "error_tokens": conclusion(main, "attention_error_tokens"),
        "remainder": conclusion(first, "first_order_error"),
        "worst": conclusion(worst, "worst_case_any_size"),
        "padded": re.findall(r"^Let bound := (.*)\.$", padding, re.M)[0],
    }


def compare(formulas: dict[str, str]) -> None:
    """Hold the package's numbers against them."""
    for alpha in ALPHAS:
        e = exp(-mpf(alpha))
        theta = evaluate(formulas["theta"], {"e": e, "n": 200})
        for d in AXES:
            values = {"e": e, "d": d}
            bound = evaluate(formulas["leak_bound"], values)
            assert leak(alpha, d) <= bound * ULP
            # And not much above: the next order is off by this much.
            assert bound - leak(alpha, d) <= 2 * d * (d + 1) * e**2
            exact = evaluate(formulas["by_theta"], {"Theta": theta, "d": d})
            assert leak(alpha, d) == pytest.approx(float(exact), rel=1e-13)
            errors(formulas, alpha, d)
            remainder(formulas, alpha, d)
    for d in AXES:
        for largest in (1e-2, 2.0**-24):
            strong = evaluate(formulas["strong"], {"e": 1, "d": d})
            alpha = float(log(strong / largest))
            assert alpha_for_leak(largest, d) <= alpha * (1 + 1e-12)
            assert alpha_for_leak(largest, d) == pytest.approx(
                alpha, abs=3 * largest * d
            )


def errors(formulas: dict[str, str], alpha: float, d: int) -> None:
    """Compare worst cases: of any size, and of two pixels."""
    conv = KINDS[d - 1](3, 2, 2, dtype=torch.float64)
    worst = worst_case_error(conv, alpha=alpha)
    sums = conv.weight.detach().flatten(1).abs().sum(1).tolist()
    for S, error in zip(sums, worst.tolist(), strict=True):
        values = {"S": S, "B": 1, "leak_bound": lambda _: mpf(leak(alpha, d)), "d": d}
        for name in ("error", "worst", "padded"):
            expected = evaluate(formulas[name], values)
            assert error == pytest.approx(float(expected), rel=1e-12)
    single = nn.Conv1d(1, 1, 1, dtype=torch.float64)
    S, e = float(single.weight.detach().abs()), exp(-mpf(alpha))
    (attained,) = worst_case_error(single, alpha=alpha, size=(2,)).tolist()
    bound = evaluate(formulas["error_tokens"], {"S": S, "B": 1, "N": 2, "e": e})
    assert attained <= bound * (1 + 1e-12)
    assert attained * (1 + e) == pytest.approx(float(bound), rel=1e-12)
    tokens = evaluate(formulas["tokens"], {"N": 2, "e": e})
    assert attained == pytest.approx(float(2 * S * tokens / (1 + e)), rel=1e-12)


@torch.no_grad()
def remainder(formulas: dict[str, str], alpha: float, d: int) -> None:
    """Compare what is left of the error after the first order."""
    size = (5,) * d
    conv = KINDS[d - 1](1, 1, 1, bias=False, dtype=torch.float64)
    basis = torch.eye(5**d, dtype=torch.float64).reshape(-1, 1, *size)
    error = attention_from_conv(conv, alpha=alpha, strategy="dense")(basis) - conv(
        basis
    )
    left = error - first_order_error(conv, basis, alpha=alpha)
    norm = float(left.flatten(1).abs().sum(0).max())
    e, S = exp(-mpf(alpha)), float(conv.weight.abs())
    bound = evaluate(formulas["remainder"], {"S": S, "B": 1, "d": d, "e": e})
    assert norm <= bound + 1e-15
    if 5 < alpha < 8:  # small enough for the next order, large enough for float64
        assert norm >= 0.95 * bound


def test_the_package_has_the_constants_that_are_proved() -> None:
    torch.manual_seed(0)
    with mp.workdps(40):
        compare(read())


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("(2 * d)%:R * e / (1 + e).", "(3 * d)%:R * e / (1 + e)."),
        ("(2 * d)%:R * e / (1 + e).", "d%:R * e / (1 + e)."),
        ("(2 * d)%:R * e / (1 + e).", "(2 * d)%:R * e / (1 + e + e)."),
        ("1 + 2%:R * \\sum_(j < n)", "1 + \\sum_(j < n)"),
        ("e ^+ (j.+1 ^ 2).", "e ^+ (j.+1 ^ 3)."),
        ("1 - Theta ^- d", "1 - Theta ^- d.+1"),
        ("leak t <= (tokens m).-1%:R * e", "leak t <= (tokens m)%:R * e"),
        ("(2 * d)%:R * e <= largest ->", "d%:R * e <= largest ->"),
        ("(2%:R * B * leak_bound e d)", "(B * leak_bound e d)"),
        ("(2%:R * B * leak_bound (E (- alpha)) d)", "(B * leak_bound (E (- alpha)) d)"),
        ("(2%:R * B * ((tokens", "(3%:R * B * ((tokens"),
        ("(8 * d ^ 2)%:R * e ^+ 2 * B)", "(7 * d ^ 2)%:R * e ^+ 2 * B)"),
        ("(8 * d ^ 2)%:R * e ^+ 2 * B)", "(8 * d)%:R * e ^+ 2 * B)"),
        ("(8 * d ^ 2)%:R * e ^+ 2 * B)", "(8 * d ^ 2)%:R * e * B)"),
    ],
)
def test_another_constant_is_noticed(old: str, new: str) -> None:
    torch.manual_seed(0)
    seen = []

    def edit(text: str) -> str:
        seen.append(old in text)
        return text.replace(old, new)

    with mp.workdps(40), pytest.raises(AssertionError, match="assert"):
        compare(read(edit))
    assert any(seen)


@pytest.mark.parametrize(
    ("theorem", "formula", "values"),
    [
        ("attention_error_any_size", "error", {"S": 3, "B": 5}),
        ("attention_error_tokens", "error_tokens", {"S": 3, "B": 5, "N": 7}),
        ("leak_any_size", "leak_bound", {}),
        ("leak_tokens", "tokens", {"N": 7}),
        ("first_order_error", "remainder", {"S": 3, "B": 5}),
        ("worst_case_any_size", "worst", {"S": 3, "B": 5}),
    ],
)
def test_words_say_what_the_formulas_say(
    theorem: str, formula: str, values: dict[str, int]
) -> None:
    stated = [statement(name).formal for name in ("leak", "first_order", "worst_case")]
    (words,) = (known[theorem] for known in (MAIN, *stated) if theorem in known)
    values = {"e": mpf("0.125"), "d": 2, **values}
    bound = evaluate(definition(source("leak"), "leak_bound d"), values)
    given = {**values, "leak_bound": lambda _: bound}
    shown = re.findall(r"\$([^$]*)\$", words)[0]
    assert latex(shown, values) == evaluate(read()[formula], given)


def latex(formula: str, values: dict[str, object]) -> mpf:
    """Return the value of a product as the words write it."""
    for old, new in (
        (r"\Sigma|W|", " S "),
        (r"\varepsilon", " e "),
        (r"\cdot", "*"),
        (r"\,", " "),
        ("^", "**"),
    ):
        formula = formula.replace(old, new)
    formula = re.sub(r"(?<=[\w)]) *(?=[A-Za-z(])", "*", formula.strip())
    return evaluate(formula, values)


def test_encoding_and_head_vectors_are_those_of_the_package() -> None:
    text = source("encoding")
    assert definition(text, "encoding delta") == "row_mx (norm2 delta)%:M delta"
    vector = definition(text, "head_vector")
    found = re.fullmatch(r"- alpha \*: row_mx (\d)%:M \((- \d)%:R \*: Delta\)", vector)
    assert found is not None
    first, factor = (float(part.replace(" ", "")) for part in found.groups())
    alpha, centers = torch.tensor([1.5]), torch.tensor([[2.0, -3.0]])
    expected = -1.5 * torch.tensor([[first, factor * 2.0, factor * -3.0]])
    assert head_vectors(alpha, centers).equal(expected)
