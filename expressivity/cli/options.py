"""The options that several commands share, and what they have in common."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, ClassVar

import typer

from expressivity.errors import ArgumentError
from expressivity.machine.files import Reservation, reserved

LARGEST = 2**31 - 1  # of a whole number
STRATEGIES = ("auto", "separable", "normalised", "fused", "dense")


def _strategies() -> list[str]:
    """Return what a shell offers to complete."""
    return list(STRATEGIES)


Factory = Annotated[
    str,
    typer.Argument(
        metavar="FACTORY",
        help="package.module:callable that returns the model when it is called "
        "without arguments; modules in the current directory are found.",
    ),
]
OptionalFactory = Annotated[
    str | None,
    typer.Argument(
        metavar="FACTORY",
        help="package.module:callable that returns a model; without it a random "
        "convolution is taken.",
    ),
]
LayerName = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Which convolution of the model."),
]
Weights = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="State dict to load into the model: a safetensors file, or a torch file "
        "of tensors only. Without it the model keeps its initial weights.",
    ),
]
Alpha = Annotated[
    float | None,
    typer.Option(
        help="Locality strength of every head, 1/pixel². By default so large that "
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
        help="Dimension of the values of a head. By default the smallest that makes "
        "every conversion exact.",
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
        help=f"How to evaluate: {', '.join(STRATEGIES)}.",
        autocompletion=_strategies,
    ),
]
Seed = Annotated[
    int, typer.Option(min=0, max=2**32 - 1, help="Decides all random numbers.")
]
Force = Annotated[bool, typer.Option("--force", help="Replace existing files.")]
Verbose = Annotated[
    bool,
    typer.Option(
        "--verbose", "-v", help="Say on standard error what happens, and when."
    ),
]
AsJson = Annotated[
    bool, typer.Option("--json", help="Print one JSON object instead of tables.")
]


class Arguments:
    """The command line of any command. The docstring of a subclass is its help.

    Attributes:
        EXAMPLES: Command lines for the help.
        OUTPUTS: Options that name a file to write, and what the name may end in.
        force: Whether to replace existing files.
        as_json: Whether to print JSON instead of tables.
        verbose: Whether to say what happens, where the command takes long.
    """

    EXAMPLES: ClassVar[str]
    OUTPUTS: ClassVar[Sequence[tuple[str, Sequence[str]]]]
    force: bool
    as_json: bool
    verbose: bool = False

    def targets(self) -> list[Path]:
        """Return the files to write; refuse a name that ends in another way."""
        targets: list[Path] = []
        for option, endings in self.OUTPUTS:
            target: Path | None = getattr(self, option)
            if target is None:
                continue
            if endings and target.suffix not in endings:
                one_of = "one of " if len(endings) > 1 else ""
                raise ArgumentError(
                    f"--{option} needs a name that ends in {one_of}"
                    f"{', '.join(endings)}, got {str(target)!r}"
                )
            targets.append(target)
        return targets

    @contextmanager
    def reserved(self) -> Iterator[Reservation]:
        """Keep the files to write for this process."""
        with reserved(self.targets(), force=self.force) as files:
            yield files


def parse_size(option: str, text: str, *, smallest: int = 1) -> tuple[int, ...]:
    """Read numbers such as ``1,3,224,224`` or ``1x3x224x224``.

    Args:
        option: The name of the option, for the message.
        text: The value of the option.
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
