"""The options that several commands share, and the sizes that they are given."""

import re
from pathlib import Path
from typing import Annotated

import typer

from expressivity.errors import ArgumentError
from expressivity.strategies import STRATEGIES

LARGEST = 2**31 - 1  # of a whole number

Weights = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="State dict to load into the model: a safetensors file, or a torch file "
        "of tensors only. Without it the model keeps the weights it is made with.",
    ),
]
Alpha = Annotated[
    float | None,
    typer.Option(
        help="Locality strength of every head, 1/pixel². By default the one at which "
        "the computed attention is one-hot."
    ),
]
Tolerance = Annotated[
    float | None,
    typer.Option(
        help="Instead of --alpha: the largest absolute error allowed in each layer, "
        "for any input of that layer within ±1."
    ),
]
HeadDim = Annotated[
    int | None,
    typer.Option(
        max=LARGEST,
        help="Dimension of the values of a head. By default the smallest that is "
        "always exact.",
    ),
]
Where = Annotated[
    list[str] | None,
    typer.Option(
        metavar="PATTERN",
        help="Convert only layers of this name, such as 'layer3.*'. Repeatable.",
    ),
]
Strategy = Annotated[
    str,
    typer.Option(
        help=f"How to evaluate: auto, {', '.join(s.name for s in STRATEGIES)}."
    ),
]
Seed = Annotated[
    int, typer.Option(min=0, max=2**32 - 1, help="Decides all random numbers.")
]
Force = Annotated[bool, typer.Option("--force", help="Replace existing files.")]
AsJson = Annotated[
    bool, typer.Option("--json", help="Print one JSON object instead of tables.")
]


def parse_size(option: str, text: str, *, smallest: int = 1) -> tuple[int, ...]:
    """Read numbers such as ``1,3,224,224`` or ``1x3x224x224``.

    Args:
        option: The name of the option, for the message.
        text: What it was given.
        smallest: The smallest number allowed.

    Returns:
        The numbers.

    Raises:
        ArgumentError: If it is not made of such numbers.

    Example:
        >>> parse_size("--size", "32x48")
        (32, 48)
    """
    parts = re.split(r"\s*[,x×]\s*", text.strip().strip("()"))
    if not all(re.fullmatch(r"\d{1,9}", p) and int(p) >= smallest for p in parts):
        raise ArgumentError(
            f"{option} needs integers of at least {smallest}, joined by commas or x, "
            f"nine digits at most, got {text!r}"
        )
    return tuple(int(part) for part in parts)
