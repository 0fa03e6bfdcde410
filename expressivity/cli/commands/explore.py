"""``expressivity explore``: one page in which α moves."""

import webbrowser
from functools import partial
from pathlib import Path

from torch import Tensor, nn

from expressivity.cli.arguments import Explore
from expressivity.cli.console import track
from expressivity.cli.conversion import dtype_of_model
from expressivity.cli.layer_choice import named_layer
from expressivity.cli.options import parse_size
from expressivity.cli.pictures import read_image
from expressivity.cli.report import Claim, Report
from expressivity.cli.user_model import build_model
from expressivity.cli.verification import InputSet, check_model_runs, input_sets
from expressivity.conversion.network.selection import convolution_like
from expressivity.errors import ArgumentError, InputError
from expressivity.explorer import Page, explore, explore_samples
from expressivity.explorer.quoted import Settings
from expressivity.explorer.scene import LayerScene


def run(arguments: Explore) -> Report:
    """Compute what the page quotes, and write it."""
    page = _page(arguments)
    layers = page.scene.layers
    claim = _claim(layers)
    [target] = arguments.targets()
    address = Path(target).absolute().as_uri()
    return Report(
        "explore",
        [claim],
        {
            "factory": arguments.factory,
            "weights": arguments.weights,
            "layer": arguments.layer,
            "image": arguments.image,
            "alpha": arguments.alpha,
            "tolerance": arguments.tolerance,
            "strategy": arguments.strategy,
            "seed": arguments.seed,
            "layers": [_in_words(layer) for layer in layers],
            "bytes": len(page.html.encode()),
        },
        [
            *(f"{layer.whole.title}: {layer.whole.conv}" for layer in layers),
            *(f"shown: {_cut(layer)}" for layer in layers if _cut(layer)),
            claim.line(),
            f"wrote {target}",
        ],
        {target: lambda draft: draft.write_text(page.html, encoding="utf-8")},
        partial(webbrowser.open, address) if arguments.open_it else lambda: None,
    )


def _page(arguments: Explore) -> Page:
    progress = partial(track, description="computing what the page quotes")
    settings = Settings(
        alpha=arguments.alpha,
        tolerance=arguments.tolerance,
        strategy=arguments.strategy,
    )
    if arguments.factory is None:
        if useless := arguments.given(["weights", "layer", "image", "input_shape"]):
            option = useless[0].replace("--input-shape", "--input")
            raise ArgumentError(f"{option} needs a FACTORY to take a model from")
        return explore_samples(progress, settings)
    model = build_model(arguments.factory, arguments.weights)
    name, module = named_layer(model, arguments.layer)
    x = _input_of(model, module, name, _image(model, arguments))
    return explore(
        module,
        x,
        name=name or "model",
        alpha=settings.alpha,
        tolerance=settings.tolerance,
        strategy=settings.strategy,
        progress=progress,
    )


def _image(model: nn.Module, arguments: Explore) -> InputSet:
    """Return one input of the model."""
    file, shape, dtype = arguments.image, arguments.input_shape, dtype_of_model(model)
    if (file is None) == (shape is None):
        raise ArgumentError(
            "a model needs either --image, a file, or --input, the shape of a random "
            f"input; got {'neither' if file is None else 'both'}"
        )
    if file is None:
        pixels = parse_size("--input", str(shape))
        [random] = input_sets(pixels, dtype, arguments.seed, None)[1:2]
        return InputSet(random.label, [random.batches[0][:1]])
    _, first = next(iter(convolution_like(model)))
    channels = getattr(first, "in_channels", 3)
    return InputSet(str(file), [read_image(file, channels=channels, dtype=dtype)])


def _input_of(model: nn.Module, layer: nn.Module, name: str, image: InputSet) -> Tensor:
    """Return what a layer gets when the model gets an image."""
    seen: list[Tensor] = []

    def record(_: nn.Module, inputs: tuple[object, ...]) -> None:
        seen.extend(x.detach().clone() for x in inputs[:1] if isinstance(x, Tensor))

    handle = layer.register_forward_pre_hook(record)
    try:
        check_model_runs(model, [image])
    finally:
        handle.remove()
    if not seen:
        raise InputError(
            f"the layer {name!r} needs to run when the model does, but was not called"
        )
    return seen[0][:1]


def _claim(layers: tuple[LayerScene, ...]) -> Claim:
    """Claim that no layer errs by more than is certified, at any α."""
    checked = [
        quote.measured <= quote.bound * max(1.0, _loudest(layer))
        for layer in layers
        for quote in layer.quotes
        if quote.bound is not None
    ]
    return Claim(
        f"measured error ≤ certified bound at {len(checked)} pairs of layer and α",
        all(checked),
    )


def _loudest(layer: LayerScene) -> float:
    return float(layer.whole.image.double().abs().max())


def _in_words(layer: LayerScene) -> dict[str, object]:
    return {
        "name": layer.whole.name,
        "convolution": str(layer.whole.conv),
        "size": layer.whole.size,
        "shown": str(layer.whole.part.conv),
        "shown_size": layer.whole.part.size,
        "live": layer.whole.part.is_live,
    }


def _cut(layer: LayerScene) -> str:
    """Say which part of a large layer the page holds."""
    whole, part = layer.whole, layer.whole.part
    outputs, size = part.conv.out_channels, part.size
    cuts = []
    if outputs < whole.conv.out_channels:
        cuts.append(f"{outputs} of {whole.conv.out_channels} outputs")
    if size != whole.size:
        window, full = ("×".join(map(str, each)) for each in (size, whole.size))
        cuts.append(f"a {window} window of {full} pixels")
    if not part.is_live:
        cuts.append("quoted numbers only: it is too large for live ones")
    return ", ".join(cuts)
