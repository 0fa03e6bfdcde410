"""``expressivity sweep``: the error of one convolution against α."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated

import torch
import typer

from expressivity.cli.claims import Claim, Conclusion, describe
from expressivity.cli.console import track
from expressivity.cli.layers import RandomConvolution, dtype_of, layer_of_model
from expressivity.cli.options import (
    LARGEST,
    AsJson,
    Force,
    Seed,
    Weights,
    parse_size,
)
from expressivity.errors import ArgumentError
from expressivity.geometry import ConvGeometry
from expressivity.geometry.convolution import Convolution
from expressivity.heads.leak import check_positive
from expressivity.listing import Listing
from expressivity.machine.files import (
    check_picture,
    reserved,
)
from expressivity.plots import plot_error_vs_alpha
from expressivity.sweep import (
    POINTS,
    SOFTEST,
    ErrorSweep,
    error_sweep,
    past_saturation,
    spread_alphas,
)

EXAMPLES = """
[bold]Examples[/]

expressivity sweep --output error.png

expressivity sweep --kernel-size 7 --stride 2 --padding 3 --size 64x48

expressivity sweep my_models:build --weights model.pt --layer layer1.0.conv2
--size 56x56 --json
"""

_of_random = partial(typer.Option, rich_help_panel="A random convolution")


def sweep_command(
    context: typer.Context,
    factory: Annotated[
        str | None,
        typer.Argument(
            metavar="FACTORY",
            help="package.module:callable that returns a model; without it a random "
            "convolution is taken.",
        ),
    ] = None,
    weights: Weights = None,
    layer: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Which convolution of the model."),
    ] = None,
    in_channels: Annotated[int, _of_random(min=1, max=LARGEST)] = 3,
    out_channels: Annotated[int, _of_random(min=1, max=LARGEST)] = 8,
    kernel_size: Annotated[str, _of_random(help="Such as 3 or 3x5.")] = "3",
    stride: Annotated[str, _of_random()] = "1",
    padding: Annotated[str, _of_random(help="Or 'same' or 'valid'.")] = "0",
    padding_mode: Annotated[
        str, _of_random(help="Or reflect, replicate, circular.")
    ] = "zeros",
    dilation: Annotated[str, _of_random()] = "1",
    groups: Annotated[int, _of_random(min=1, max=LARGEST)] = 1,
    size: Annotated[
        str, typer.Option(help="Pixels of the input: 1, 2 or 3 numbers.")
    ] = "32x32",
    dtype: Annotated[
        str | None,
        typer.Option(
            help="float16, bfloat16, float32 or float64. By default the model's own; "
            "float32 for a random convolution."
        ),
    ] = None,
    points: Annotated[
        int, typer.Option(min=1, max=LARGEST, help="How many α.")
    ] = POINTS,
    alpha_min: Annotated[
        float, typer.Option(help="The smallest α, 1/pixel².")
    ] = SOFTEST,
    alpha_max: Annotated[
        float | None,
        typer.Option(help="The largest; by default 1.35 times the one-hot α."),
    ] = None,
    seed: Seed = 0,
    output: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Figure to write: .png, .pdf or .svg."),
    ] = None,
    force: Force = False,
    as_json: AsJson = False,
) -> Conclusion:
    """Measure, predict and bound the error of a conversion for every α."""
    if output is not None:
        check_picture("--output", output)
    pixels = parse_size("--size", size)
    if len(pixels) > 3:
        raise ArgumentError(f"--size needs 1, 2 or 3 numbers, got {size!r}")
    random = RandomConvolution(
        in_channels,
        out_channels,
        kernel_size,
        stride,
        padding,
        padding_mode,
        dilation,
        groups,
    )
    targets = [] if output is None else [output]
    with reserved(targets, force=force) as files:
        if factory is None:
            _refuse(context, ["weights", "layer"], "a FACTORY to take a model from")
            conv = random.build(len(pixels), seed)
        else:
            _refuse(context, asdict(random), "no FACTORY: the model decides that")
            conv = layer_of_model(factory, weights, layer)
        conv = conv if dtype is None else conv.to(dtype_of(dtype))
        alphas = _alphas(conv, points, alpha_min, alpha_max)
        sweep = error_sweep(
            conv,
            _uniform(conv, pixels, seed),
            alphas,
            progress=lambda strengths: track(strengths, "sweeping α"),
        )
        with files.written() as drafts:
            for draft in drafts:
                plot_error_vs_alpha(sweep).savefig(draft)
    claim = _claim(conv, pixels, sweep)
    return Conclusion(
        [claim],
        {
            **describe("sweep", [claim]),
            "factory": factory,
            "weights": weights,
            "layer": layer,
            "convolution": str(conv),
            "size": pixels,
            "seed": seed,
            **sweep.to_dict(),
            "files": targets,
        },
        [
            f"{conv} on {'×'.join(map(str, pixels))} pixels within ±1, {sweep.dtype}",
            _table(sweep),
            f"one rounding in {sweep.dtype}: {sweep.rounding_floor:.1e}",
            claim.line(),
            *(f"wrote {path}" for path in targets),
        ],
        as_json=as_json,
    )


def _refuse(context: typer.Context, names: Iterable[str], needed: str) -> None:
    """Refuse options that would have no effect."""
    for name in names:
        source = context.get_parameter_source(name)
        if source is not None and source.name != "DEFAULT":
            raise ArgumentError(f"--{name.replace('_', '-')} needs {needed}")


def _alphas(
    conv: Convolution, points: int, smallest: float, largest: float | None
) -> list[float]:
    if largest is None:
        largest = past_saturation(conv)
    if check_positive("--alpha-min", smallest) > check_positive("--alpha-max", largest):
        raise ArgumentError(
            f"--alpha-max needs to be at least --alpha-min, got {largest} "
            f"and {smallest}"
        )
    return spread_alphas(smallest, largest, points)


def _uniform(conv: Convolution, pixels: Sequence[int], seed: int) -> torch.Tensor:
    """Return one input within ±1, where the worst case is stated."""
    generator = torch.Generator("cpu").manual_seed(seed)
    numbers = torch.rand(
        1, conv.in_channels, *pixels, generator=generator, device="cpu"
    )
    return (2 * numbers - 1).to(conv.weight)


def _claim(conv: Convolution, pixels: Sequence[int], sweep: ErrorSweep) -> Claim:
    # A sum of n terms rounds n times; the smoothing sums over the canvas, the
    # convolution over taps and channels.
    canvas = ConvGeometry.from_conv(conv).canvas_size(pixels)
    roundings = sum(canvas) + math.prod(conv.weight.shape[1:])
    slack = roundings * sweep.rounding_floor
    return Claim(
        f"measured ≤ worst case + {roundings} roundings at all {len(sweep.alphas)} α",
        all(
            measured <= worst + slack
            for measured, worst in zip(sweep.measured, sweep.worst_case, strict=True)
        ),
    )


def _table(sweep: ErrorSweep) -> Listing:
    table = Listing(
        caption="largest absolute error over all outputs", caption_justify="left"
    )
    for column in ("α [1/px²]", "measured", "first order", "worst case"):
        table.add_column(column, justify="right")
    rows = (sweep.alphas, sweep.measured, sweep.predicted, sweep.worst_case)
    for alpha, *errors in zip(*rows, strict=True):
        table.add_row(f"{alpha:.2f}", *(f"{error:.2e}" for error in errors))
    return table
