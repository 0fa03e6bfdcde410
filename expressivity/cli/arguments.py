"""The arguments, options and examples of each command.

A command line becomes one of these values. Nothing here imports torch, so that help is
shown, and an output that cannot be written is refused, in less than a second.
"""

from collections.abc import Iterator, Sequence
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
    LayerName,
    OptionalFactory,
    Seed,
    Strategy,
    Tolerance,
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


@dataclass(frozen=True, kw_only=True)
class RandomConvolution:
    """A random convolution, spelled as for ``torch.nn.Conv2d``."""

    in_channels: Annotated[int, _of_random(min=1, max=LARGEST)] = 3
    out_channels: Annotated[int, _of_random(min=1, max=LARGEST)] = 8
    kernel_size: Annotated[str, _of_random(help="Such as 3 or 3x5.")] = "3"
    stride: Annotated[str, _of_random()] = "1"
    padding: Annotated[str, _of_random(help="Or 'same' or 'valid'.")] = "0"
    padding_mode: Annotated[
        str, _of_random(help="Or reflect, replicate, circular.")
    ] = "zeros"
    dilation: Annotated[str, _of_random()] = "1"
    groups: Annotated[int, _of_random(min=1, max=LARGEST)] = 1


class Sourced:
    """A command line that knows which of its options a user has typed."""

    context: typer.Context

    def given(self, names: Sequence[str]) -> list[str]:
        """Return those of some options that are on the command line."""
        sources = {name: self.context.get_parameter_source(name) for name in names}
        return [
            f"--{name.replace('_', '-')}"
            for name, source in sources.items()
            if source is not None and source.name != "DEFAULT"
        ]


@dataclass(frozen=True, kw_only=True)
class Sweep(RandomConvolution, Sourced, Arguments):
    """Measure, predict and bound the error of a conversion for every α."""

    context: typer.Context
    factory: OptionalFactory = None
    weights: Weights = None
    layer: LayerName = None
    size: Annotated[
        str, typer.Option(help="Pixels of the input: 1, 2 or 3 numbers.")
    ] = "32x32"
    dtype: Annotated[
        str | None,
        typer.Option(
            help="float16, bfloat16, float32 or float64. By default the model's own; "
            "float32 for a random convolution."
        ),
    ] = None
    points: Annotated[int, _count(help="How many α.")] = 30
    alpha_min: Annotated[float, typer.Option(help="The smallest α, 1/pixel².")] = 0.5
    alpha_max: Annotated[
        float | None,
        typer.Option(help="The largest; by default 1.35 times the one-hot α."),
    ] = None
    seed: Seed = 0
    output: Annotated[
        Path | None, _file(help="Figure to write: .png, .pdf or .svg.")
    ] = None
    force: Force = False
    as_json: AsJson = False

    OUTPUTS = (("output", PICTURES),)
    EXAMPLES = """
    expressivity sweep --output error.png

    expressivity sweep --kernel-size 7 --stride 2 --padding 3 --size 64x48

    expressivity sweep my_models:build --weights model.pt
    --layer layer1.0.conv2 --size 56x56 --json
    """


@dataclass(frozen=True, kw_only=True)
class Certify(Arguments):
    """Certify every layer of a model: a bound that holds for every input."""

    factory: Factory
    weights: Weights = None
    attention: Annotated[
        Path | None,
        _file(
            help="State dict of the converted model, say after fine-tuning: its layers "
            "are certified against the original convolutions."
        ),
    ] = None
    input_shape: Annotated[
        str | None,
        typer.Option(
            "--input",
            metavar="SHAPE",
            help="Shape of a batch, such as 1,3,224,224: each layer is certified for "
            "the size of its own input. Without it for every size.",
        ),
    ] = None
    input_bound: Annotated[
        float, typer.Option(help="Largest absolute value in the input of any layer.")
    ] = 1.0
    where: Where = None
    alpha: Alpha = None
    tolerance: Tolerance = None
    head_dim: HeadDim = None
    strategy: Strategy = "auto"
    output: Annotated[
        Path | None, _file(help="The .json file to write certificates to.")
    ] = None
    seed: Seed = 0
    force: Force = False
    as_json: AsJson = False

    OUTPUTS = (("output", ()),)
    EXAMPLES = """
    expressivity certify my_models:build --weights model.safetensors

    expressivity certify my_models:build --weights model.safetensors
    --input 1,3,224,224 --tolerance 1e-3 --output certificates.json

    expressivity certify my_models:build --attention fine_tuned.safetensors
    --input 1,3,224,224 --json
    """


@dataclass(frozen=True, kw_only=True)
class Atlas(Arguments):
    """Show what every family of layers can and cannot express, with evidence."""

    factory: Annotated[
        str | None,
        typer.Argument(
            metavar="FACTORY",
            help="package.module:callable that returns a model. Without it each family "
            "is shown with an example of its own.",
        ),
    ] = None
    weights: Weights = None
    layer: LayerName = None
    size: Annotated[
        str, typer.Option(help="Pixels of the input of that convolution.")
    ] = "8x8"
    family: Annotated[
        str | None, typer.Option(metavar="NAME", help="Explain one family, in words.")
    ] = None
    figure: Annotated[
        Path | None, _file(help="With --family: its figure, .png, .pdf or .svg.")
    ] = None
    html: Annotated[
        Path | None, _file(help="HTML page to write, with all evidence and pictures.")
    ] = None
    steps: Annotated[int, _count(help="Steps of every attack.")] = 120
    seed: Seed = 0
    force: Force = False
    as_json: AsJson = False

    OUTPUTS = (("figure", PICTURES), ("html", ()))
    EXAMPLES = """
    expressivity atlas

    expressivity atlas --family alibi --figure alibi.png

    expressivity atlas my_models:build --weights model.pt --layer stem
    --size 8x8 --html atlas.html
    """


@dataclass(frozen=True, kw_only=True)
class Explore(Sourced, Arguments):
    """Write one HTML page in which α moves, for your own layer and image."""

    context: typer.Context
    factory: Annotated[
        str | None,
        typer.Argument(
            metavar="FACTORY",
            help="package.module:callable that returns a model. Without it: known "
            "kernels on a photograph, and a layer trained on digits.",
        ),
    ] = None
    weights: Weights = None
    layer: LayerName = None
    image: Annotated[
        Path | None,
        _file(
            help="Input of the model: a picture, .png or .jpg, or one tensor (n, ...) "
            "in a .npy, safetensors or torch file, of which the first is taken."
        ),
    ] = None
    input_shape: Annotated[
        str | None,
        typer.Option(
            "--input",
            metavar="SHAPE",
            help="Instead of --image: the shape of a random input, such as "
            "1,3,224,224.",
        ),
    ] = None
    output: Annotated[Path, _file(help="The .html file to write.")] = Path(
        "explorer.html"
    )
    open_it: Annotated[
        bool, typer.Option("--open", help="Open the page in the browser.")
    ] = False
    seed: Seed = 0
    force: Force = False
    as_json: AsJson = False

    OUTPUTS = (("output", (".html",)),)
    EXAMPLES = """
    expressivity explore --open

    expressivity explore my_models:build --weights model.pt --layer layer1.0.conv2
    --image cat.jpg --output layer.html
    """


@dataclass(frozen=True, kw_only=True)
class Bench(Arguments):
    """Time the attention layers beside nn.Conv2d, and see their memory."""

    setting: Annotated[
        str, typer.Option(help="quick (a minute) or full (five minutes).")
    ] = "quick"
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu"
    dtype: Annotated[
        str, typer.Option(help="float16, bfloat16, float32 or float64.")
    ] = "float32"
    read: Annotated[
        Path | None, _file(help="Show an earlier run; measure nothing.")
    ] = None
    output: Annotated[
        Path | None, _file(help="The .json file for the raw numbers.")
    ] = None
    figure: Annotated[
        Path | None, _file(help="Growth curve to draw: .png, .pdf or .svg.")
    ] = None
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with 1 if a target is missed.")
    ] = False
    force: Force = False
    as_json: AsJson = False

    OUTPUTS = (("output", (".json",)), ("figure", PICTURES))
    EXAMPLES = """
    expressivity bench

    expressivity bench --setting full --output cpu-float32.json

    expressivity bench --read cpu-float32.json --figure growth.png

    expressivity bench --setting full --device cuda --dtype bfloat16
    --output cuda-bfloat16.json
    """
