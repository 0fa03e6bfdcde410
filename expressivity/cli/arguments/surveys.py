"""What the commands about many layers are given."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from expressivity.cli.options import (
    LARGEST,
    Arguments,
    AsJson,
    Force,
    LayerName,
    Seed,
    Verbose,
    Weights,
)

PICTURES = (".png", ".pdf", ".svg")

_file = partial(typer.Option, metavar="FILE")
_count = partial(typer.Option, min=1, max=LARGEST)
_of_random = partial(typer.Option, rich_help_panel="A random convolution")


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
    verbose: Verbose = False
    as_json: AsJson = False

    OUTPUTS = (("figure", PICTURES), ("html", ()))
    EXAMPLES = """
    expressivity atlas

    expressivity atlas --family alibi --figure alibi.png

    expressivity atlas my_models:build --weights model.pt --layer stem
    --size 8x8 --html atlas.html
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
