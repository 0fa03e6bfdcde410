"""What the commands about whole networks are given."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from expressivity.cli.options import (
    LARGEST,
    Alpha,
    Arguments,
    AsJson,
    Factory,
    Force,
    HeadDim,
    Seed,
    Strategy,
    Tolerance,
    Verbose,
    Weights,
    Where,
)
from expressivity.errors import ArgumentError
from expressivity.machine.files import Reservation, folder_for_files
from expressivity.saved.names import written

PICTURES = (".png", ".pdf", ".svg")

_file = partial(typer.Option, metavar="FILE")
_count = partial(typer.Option, min=1, max=LARGEST)
_of_random = partial(typer.Option, rich_help_panel="A random convolution")


@dataclass(frozen=True, kw_only=True)
class Demo(Arguments):
    """Train a small CNN on digits, turn it into attention, compare and draw."""

    output: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder for pictures and results.")
    ] = Path("demo-output")
    seed: Seed = 0
    epochs: Annotated[int, _count(help="Passes of the training.")] = 15
    alpha: Alpha = None
    tolerance: Tolerance = None
    force: Force = False
    as_json: AsJson = False

    EXAMPLES = """
    expressivity demo

    expressivity demo --tolerance 0.01 --output softer

    expressivity demo --json > results.json
    """

    def targets(self) -> list[Path]:
        """Return three pictures, the converted network, and the results."""
        pictures = ("overview.png", "attention-maps.png", "error-vs-alpha.png")
        network = [self.network / name for name in written(program=True)]
        drawn = [self.output / name for name in pictures]
        return [*drawn, *network, self.output / "results.json"]

    @property
    def network(self) -> Path:
        """Return the folder of the converted network."""
        return self.output / "attention"

    @contextmanager
    def reserved(self) -> Iterator[Reservation]:
        """Create the folders as well, and remove them if nothing is written."""
        with (
            folder_for_files(self.output),
            folder_for_files(self.network),
            super().reserved() as files,
        ):
            yield files


@dataclass(frozen=True, kw_only=True)
class Convert(Arguments):
    """Convert your own model, verify the result, and write it."""

    factory: Factory
    input_shape: Annotated[
        str,
        typer.Option(
            "--input", metavar="SHAPE", help="Shape of a batch, such as 1,3,224,224."
        ),
    ]
    output: Annotated[
        Path,
        typer.Option(
            metavar="FOLDER",
            help="Folder to write: weights, structure, certificates and a model card, "
            "for expressivity show. Or a .safetensors file of weights alone; a .json "
            "report is put beside it.",
        ),
    ]
    weights: Weights = None
    inputs: Annotated[
        Path | None,
        _file(
            help="More inputs to verify on: one tensor (n, ...) in a .npy, "
            "safetensors or torch file."
        ),
    ] = None
    where: Where = None
    alpha: Alpha = None
    tolerance: Tolerance = None
    head_dim: HeadDim = None
    strategy: Strategy = "auto"
    max_difference: Annotated[
        float,
        typer.Option(
            help="Largest difference allowed, relative to the largest output. Raise "
            "it along with --tolerance."
        ),
    ] = 1e-4
    program: Annotated[
        bool,
        typer.Option(
            "--program",
            help="With a folder: store the network as a torch.export program as well, "
            "which runs without its code.",
        ),
    ] = False
    seed: Seed = 0
    force: Force = False
    verbose: Verbose = False
    as_json: AsJson = False

    OUTPUTS = (("output", (".safetensors",)),)
    EXAMPLES = """
    expressivity convert my_models:build --weights model.safetensors
    --input 1,3,224,224 --output attention

    expressivity convert my_models:build --weights model.pt --input 8x3x64x64
    --inputs images.npy --where 'layer3.*' --output attention.safetensors
    """

    @property
    def to_folder(self) -> bool:
        """Whether the output is a folder: its name has no ending."""
        return bool(self.output.name.strip(".")) and not self.output.suffix

    def targets(self) -> list[Path]:
        """Return the files of the folder, or the file of weights; then the report."""
        if self.to_folder:
            names = (*written(program=self.program), "report.json")
            return [self.output / name for name in names]
        if self.program:
            raise ArgumentError(
                f"--program needs a folder as --output, got {str(self.output)!r}"
            )
        return [*super().targets(), self.output.with_suffix(".json")]

    @contextmanager
    def reserved(self) -> Iterator[Reservation]:
        """Create the folder as well, and remove it if nothing is written."""
        folder = folder_for_files(self.output) if self.to_folder else nullcontext()
        with folder, super().reserved() as files:
            yield files


@dataclass(frozen=True, kw_only=True)
class Show(Arguments):
    """Show a saved folder: its layers, all numbers computed again."""

    folder: Annotated[
        Path,
        typer.Argument(metavar="FOLDER", help="What convert --output or save() wrote."),
    ]
    as_json: AsJson = False

    force = False
    OUTPUTS = ()
    EXAMPLES = """
    expressivity show attention

    expressivity show attention --json
    """
