"""What the commands about one layer are given."""

from collections.abc import Sequence
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
    Verbose,
    Weights,
    Where,
)

PICTURES = (".png", ".pdf", ".svg")

_file = partial(typer.Option, metavar="FILE")
_count = partial(typer.Option, min=1, max=LARGEST)
_of_random = partial(typer.Option, rich_help_panel="A random convolution")


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
    verbose: Verbose = False
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
    alpha: Annotated[
        float | None,
        typer.Option(
            help="Locality strength, 1/pixel², that the page starts at and certifies "
            "besides its own, between 0.1 and 24. By default 2."
        ),
    ] = None
    tolerance: Tolerance = None
    strategy: Strategy = "auto"
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
    --image cat.jpg --tolerance 1e-3 --output layer.html
    """
