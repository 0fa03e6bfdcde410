"""The cases of the benchmark, and their measurement."""

import gc
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from expressivity.bench import contenders as of
from expressivity.bench.document import BASELINE, Document, Measurement, environment
from expressivity.bench.resnet import LayerShape, layer_shapes, resnet50
from expressivity.bench.timing import peak_bytes, race
from expressivity.bench.trained import SHAPES, step_of, steps
from expressivity.conversion.network import convert
from expressivity.errors import ArgumentError

Progress = Callable[[Sequence[str]], Iterable[str]]

RESNET, NETWORK, TRAINING = "resnet50 layers", "resnet50", "resnet50, training"
CONVNEXT, NINE_HEADS, UNEQUAL = "convnext layers", "nine heads", "unequal heads"
GROWTH, CONTENT, LARGE = "growth", "content terms", "large image"
RESNET_LAST, TRAINED = "resnet50 layers, channels last", "trained heads"
CONVERT_SECONDS, CONVERT_MEMORY = "convert_seconds", "convert_bytes_over_weights"


@dataclass(frozen=True)
class Setting:
    """How much to measure, and for how long.

    Attributes:
        seconds: Length of one race.
        limit: Longest expected time of a call, in seconds; slower ones are left out.
        image: Pixels a side of the image that networks see.
        layers: How many of the distinct layers of a network; ``None`` for all.
        trained: How many of the shapes of trained heads.
        nine: Pixels a side of the input of nine heads.
        unequal: Pixels a side of the input of nine unequal heads.
        growth: Pixels a side of the growth curve.
        large: Pixels a side of the large image.
        content: Pixels a side of the images with content terms.
        others: Whether to compile FlexAttention and ask for NATTEN.
    """

    seconds: float
    limit: float
    image: int
    layers: int | None
    trained: int | None
    nine: int
    unequal: int
    growth: tuple[int, ...]
    large: int
    content: tuple[int, ...]
    others: bool


SETTINGS = {
    "quick": Setting(
        seconds=0.4,
        limit=1.0,
        image=224,
        layers=6,
        trained=4,
        nine=56,
        unequal=32,
        growth=(14, 28, 64, 128, 256),
        large=256,
        content=(28,),
        others=False,
    ),
    "full": Setting(
        seconds=3.0,
        limit=4.0,
        image=224,
        layers=None,
        trained=None,
        nine=56,
        unequal=32,
        growth=(14, 28, 56, 64, 112, 128, 256, 512, 1024),
        large=1024,
        content=(28, 56, 112),
        others=True,
    ),
}
_GPU_CONTENT = (56, 112, 224)
_BATCH = {"cpu": 1, "cuda": 32}


@dataclass(frozen=True)
class Case:
    """Contenders for one race.

    Attributes:
        suite: What it belongs to.
        label: The layer and the input, in words.
        contenders: Functions to time, or reasons why not; one is the baseline.
        times_in_network: How often it occurs in its network.
        tokens: Pixels of the input.
        training: Whether gradients are recorded.
    """

    suite: str
    label: str
    contenders: dict[str, of.Contender]
    times_in_network: int = 1
    tokens: int = 0
    training: bool = False


def run_suites(
    setting: str,
    *,
    device: str = "cpu",
    dtype: torch.dtype = torch.float32,
    progress: Progress | None = None,
) -> Document:
    """Run all suites.

    Args:
        setting: ``"quick"`` (a minute) or ``"full"`` (five minutes).
        device: ``"cpu"`` or ``"cuda"``.
        dtype: Dtype of weights and inputs.
        progress: Wraps the list of suites, as ``tqdm`` does; by default nothing.

    Returns:
        All measurements, with their environment.

    Raises:
        ArgumentError: If there is no such setting or no such device.
    """
    if setting not in SETTINGS:
        raise ArgumentError(f"setting needs one of {list(SETTINGS)}, got {setting!r}")
    if device not in _BATCH:
        raise ArgumentError(f"device needs one of {list(_BATCH)}, got {device!r}")
    if device == "cuda" and not torch.cuda.is_available():
        raise ArgumentError("device='cuda' needs a GPU that torch can see: use 'cpu'")
    where, how = torch.device(device), SETTINGS[setting]
    measurements: list[Measurement] = []
    facts: dict[str, float] = {}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for name in (progress or iter)(list(_SUITES)):
            for case in _SUITES[name](how, where, dtype):
                measurements += _measured(case, how, where)
                gc.collect()
        facts = _facts(how, where, dtype)
    return Document(
        setting,
        device,
        str(dtype).removeprefix("torch."),
        environment(where),
        tuple(measurements),
        facts,
    )


def _measured(case: Case, how: Setting, device: torch.device) -> list[Measurement]:
    """Run the race of one case."""
    able = {n: run for n, run in case.contenders.items() if not isinstance(run, str)}
    with torch.set_grad_enabled(case.training):
        times = race(able, device=device, seconds=how.seconds)
        peaks = {name: peak_bytes(run, device) for name, run in able.items()}
    rows = []
    for name, run in case.contenders.items():
        about = (case.suite, case.label, name, case.times_in_network, case.tokens)
        if isinstance(run, str):
            rows.append(Measurement(*about, reason=run))
            continue
        own = times[name]
        ratio = own.median / times[BASELINE].median
        numbers = (own.median, own.low, own.high, own.rounds)
        rows.append(Measurement(*about, *numbers, ratio, peaks[name]))
    return rows


def _layer_case(
    suite: str, shape: LayerShape, count: int, device: torch.device, dtype: torch.dtype
) -> Case:
    last = suite == RESNET_LAST
    layout = torch.channels_last if last else torch.contiguous_format
    conv = shape.conv(device, dtype)
    conv.to(memory_format=layout)  # type: ignore[call-overload]
    batch = _BATCH[device.type]
    x = torch.randn(batch, shape.in_channels, shape.size, shape.size, device="cpu").to(
        device, dtype
    )
    contenders = of.convolution_and_separable(conv, x.to(memory_format=layout))
    return Case(suite, str(shape), contenders, count, shape.size**2)


def _resnet(how: Setting, device: torch.device, dtype: torch.dtype) -> Iterator[Case]:
    shapes = list(layer_shapes(how.image).items())
    every = 1 if how.layers is None else max(1, len(shapes) // how.layers)
    for suite in (RESNET, RESNET_LAST):
        for shape, count in shapes[::every]:
            yield _layer_case(suite, shape, count, device, dtype)


def _trained(how: Setting, device: torch.device, dtype: torch.dtype) -> Iterator[Case]:
    for shape in SHAPES[: how.trained]:
        contenders: dict[str, of.Contender] = dict(steps(shape, device, dtype))
        tokens = shape.batch * shape.size**2
        yield Case(TRAINED, str(shape), contenders, tokens=tokens, training=True)


def _convnext(how: Setting, device: torch.device, dtype: torch.dtype) -> Iterator[Case]:
    stages = ((96, 4, 3), (192, 8, 3), (384, 16, 9), (768, 32, 3))
    for channels, scale, count in stages[: how.layers]:
        size = how.image // scale
        shape = LayerShape(channels, channels, 7, 1, size, groups=channels)
        yield _layer_case(CONVNEXT, shape, count, device, dtype)


def _network(how: Setting, device: torch.device, dtype: torch.dtype) -> Iterator[Case]:
    network = resnet50().to(device, dtype).eval()
    converted = convert(network).model
    x = torch.randn(_BATCH[device.type], 3, how.image, how.image, device="cpu").to(
        device, dtype
    )
    both = {BASELINE: network, of.SATURATED: converted}
    label, tokens = f"forward at {how.image}²", how.image**2
    calls: dict[str, of.Contender] = {n: _forward(m, x) for n, m in both.items()}
    yield Case(NETWORK, label, calls, tokens=tokens)
    label = f"forward and backward at {how.image}²"
    calls = {name: step_of(m, x) for name, m in both.items()}
    yield Case(TRAINING, label, calls, tokens=tokens, training=True)


def _forward(model: nn.Module, x: torch.Tensor) -> of.Run:
    return lambda: model(x)


def _nine_heads(
    how: Setting, device: torch.device, dtype: torch.dtype
) -> Iterator[Case]:
    for suite, size in ((NINE_HEADS, how.nine), (UNEQUAL, how.unequal)):
        conv, x = _three_by_three(64, size, device, dtype)
        contenders = of.convolution_and_separable(conv, x)
        contenders |= of.unequal(conv, x)
        contenders |= of.quadratic(conv, x, content=None, limit=how.limit)
        if how.others and suite == NINE_HEADS:
            contenders |= of.others(conv, x, limit=how.limit)
        yield Case(suite, f"3×3, 64 channels at {size}²", contenders, tokens=size**2)


def _growth(how: Setting, device: torch.device, dtype: torch.dtype) -> Iterator[Case]:
    for size in how.growth:
        conv, x = _three_by_three(64, size, device, dtype)
        contenders = of.convolution_and_separable(conv, x)
        contenders |= of.quadratic(conv, x, content=None, limit=how.limit)
        yield Case(GROWTH, f"3×3, 64 channels at {size}²", contenders, tokens=size**2)


def _large(how: Setting, device: torch.device, dtype: torch.dtype) -> Iterator[Case]:
    conv, x = _three_by_three(16, how.large, device, dtype)
    contenders = of.convolution_and_separable(conv, x)
    label = f"3×3, 16 channels at {how.large}²"
    yield Case(LARGE, label, contenders, tokens=how.large**2)


def _content(how: Setting, device: torch.device, dtype: torch.dtype) -> Iterator[Case]:
    for size in _GPU_CONTENT if device.type == "cuda" else how.content:
        conv, x = _three_by_three(64, size, device, dtype)
        contenders: dict[str, of.Contender] = {BASELINE: _forward(conv, x)}
        contenders |= of.quadratic(conv, x, content=16, limit=how.limit)
        label = f"3×3, 64 channels at {size}², content of dimension 16"
        yield Case(CONTENT, label, contenders, tokens=size**2)


def _three_by_three(
    channels: int, size: int, device: torch.device, dtype: torch.dtype
) -> tuple[nn.Conv2d, torch.Tensor]:
    conv = LayerShape(channels, channels, 3, 1, size).conv(device, dtype)
    return conv, torch.randn(1, channels, size, size, device="cpu").to(device, dtype)


_SUITES: dict[str, Callable[[Setting, torch.device, torch.dtype], Iterator[Case]]] = {
    "layers of ResNet-50": _resnet,
    "layers of ConvNeXt": _convnext,
    "ResNet-50 as a whole": _network,
    "trained heads": _trained,
    "nine heads": _nine_heads,
    "growth": _growth,
    "a large image": _large,
    "content terms": _content,
}


def _facts(how: Setting, device: torch.device, dtype: torch.dtype) -> dict[str, float]:
    """Measure the conversion of a whole network, which has no rival."""
    network = resnet50().to(device, dtype).eval()
    weights = sum(p.numel() * p.element_size() for p in network.parameters())
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        convert(network)
        seconds.append(time.perf_counter() - start)
    peak = peak_bytes(lambda: convert(network), device)
    return {CONVERT_SECONDS: sorted(seconds)[1], CONVERT_MEMORY: peak / weights}
