"""Layers that are smoothed by stencils, in strips or whole, against the definition."""

from collections.abc import Callable
from copy import deepcopy

import pytest
import torch
from torch import Tensor, nn

import expressivity as ex
from expressivity.geometry.grid import Grid
from expressivity.heads import stencils
from expressivity.machine.recording import are_memory
from expressivity.strategies.separable import plan, plans, strips
from expressivity.strategies.separable.plan import Step
from tests.modes import BY_NAME, MODES, Mode

# Forward-mode derivatives load parts of torch that it has deprecated itself.
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script`:DeprecationWarning")

CONVOLUTIONS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "padded": (lambda: nn.Conv2d(4, 6, 3, padding=1), (9, 11)),
    "strided, dilated": (
        lambda: nn.Conv2d(4, 6, (5, 3), stride=2, padding=(4, 1), dilation=(2, 1)),
        (13, 9),
    ),
    "reflected": (
        lambda: nn.Conv2d(4, 6, 3, padding=2, padding_mode="reflect"),
        (8, 9),
    ),
    "bare": (lambda: nn.Conv2d(4, 6, 3, stride=3, groups=2), (10, 12)),
    "one tap, wider": (lambda: nn.Conv2d(4, 9, 1, stride=2), (10, 12)),
    "one tap, narrower": (lambda: nn.Conv2d(9, 4, 1), (10, 12)),
    "one axis": (lambda: nn.Conv1d(4, 6, 3, padding=1), (40,)),
    "three axes": (lambda: nn.Conv3d(4, 6, 3, padding=1), (4, 5, 6)),
}
BY_STENCILS = ("frozen", "positions_frozen", "no_grad", "inference_mode")
per_convolution = pytest.mark.parametrize("name", CONVOLUTIONS)
per_format = pytest.mark.parametrize("last", [False, True], ids=["first", "last"])


@pytest.fixture(params=[torch.contiguous_format, torch.channels_last], ids=str)
def wanted(request: pytest.FixtureRequest) -> torch.memory_format:
    """Return the memory format in which stencils smooth."""
    chosen: torch.memory_format = request.param
    return chosen


def forced(
    monkeypatch: pytest.MonkeyPatch, wanted: torch.memory_format
) -> list[Tensor]:
    """Take stencils wherever they can be, and collect the tokens."""
    smoothed = []

    def format_for(
        radii: object, tokens: Tensor, *, of_one_tap: int | None
    ) -> torch.memory_format | None:
        if not are_memory((tokens,)):
            return None
        smoothed.append(tokens)
        return wanted

    monkeypatch.setattr(plan, "format_for", format_for)
    return smoothed


def soft(name: str) -> tuple[nn.Module, tuple[int, ...]]:
    """Return a layer in float32 and the size of its input."""
    torch.manual_seed(0)
    build, size = CONVOLUTIONS[name]
    return ex.attention_from_conv(build(), alpha=2.0), size


def images(
    layer: nn.Module, size: tuple[int, ...], batch: int, *, last: bool
) -> Tensor:
    x = torch.randn(batch, layer.in_channels, *size)
    formats = {4: torch.channels_last, 5: torch.channels_last_3d}
    return x.to(memory_format=formats[x.dim()]) if last and x.dim() in formats else x


def assert_is_the_definition(found: Tensor, layer: nn.Module, x: Tensor) -> None:
    """Assert that an output in float32 is that of the definition in float64."""
    wide = deepcopy(layer).double()
    wide.strategy = "dense"
    with torch.no_grad():
        expected = wide(x.double())
    assert found.shape == expected.shape
    # Sums over all taps of all channels, two roundings a tap and a few more; what a
    # stencil neglects is below the rounding of an axis.
    terms = layer.heads().value_width * len(layer.alpha) + 100
    norms = wide.heads().matrices().abs().sum((0, 3)).flatten() + wide.bias.abs()
    largest = 1 + float(x.abs().max()) if x.numel() else 1.0
    allowed = terms * torch.finfo(torch.float32).eps * norms * largest
    error = (found.detach().double() - expected).abs().flatten(2)
    assert (error <= allowed[:, None]).all()


@pytest.mark.parametrize("mode", MODES, ids=str)
@per_convolution
def test_one_answer_in_every_mode(
    name: str, mode: Mode, wanted: torch.memory_format, monkeypatch: pytest.MonkeyPatch
) -> None:
    smoothed = forced(monkeypatch, wanted)
    layer, size = soft(name)
    for batch, last in ((0, False), (1, True), (3, False), (3, True)):
        x = images(layer, size, batch, last=last)
        assert_is_the_definition(mode.output(layer, x), layer, x)
    if mode.name in BY_STENCILS:
        assert smoothed


@pytest.mark.parametrize("mode", [BY_NAME[name] for name in BY_STENCILS], ids=str)
@pytest.mark.parametrize("numbers", [30, 100, 1000])
@per_convolution
def test_strips_are_the_whole(
    name: str, numbers: int, mode: Mode, monkeypatch: pytest.MonkeyPatch
) -> None:
    forced(monkeypatch, torch.channels_last)
    layer, size = soft(name)
    x = images(layer, size, 3, last=False)
    whole = mode.output(layer, x)
    monkeypatch.setattr(strips, "_NUMBERS", numbers)
    assert_is_the_definition(mode.output(layer, x), layer, x)
    difference = (mode.output(layer, x) - whole).abs().max()
    assert difference <= 1e-5 * whole.abs().max()


@per_format
@per_convolution
def test_derivatives_are_those_of_matrices(
    name: str, last: bool, wanted: torch.memory_format, monkeypatch: pytest.MonkeyPatch
) -> None:
    layer, size = soft(name)
    x = images(layer, size, 2, last=last)
    mode = BY_NAME["positions_frozen"]
    expected = mode.gradients(layer, x)
    forced(monkeypatch, wanted)
    for key, found in mode.gradients(layer, x).items():
        scale = float(expected[key].abs().max())
        assert (found - expected[key]).abs().max() <= 1e-5 * scale, key


@per_format
@per_convolution
def test_a_repeated_input_has_the_same_output(
    name: str, last: bool, wanted: torch.memory_format, monkeypatch: pytest.MonkeyPatch
) -> None:
    forced(monkeypatch, wanted)
    layer, size = soft(name)
    x = images(layer, size, 2, last=last)
    with torch.no_grad():
        first, again, other = (
            layer(x),
            layer(x),
            layer(images(layer, size, 2, last=last)),
        )
    assert torch.equal(first, again)
    assert first.stride() == again.stride()
    assert other.stride() == first.stride()


def by_vmap(layer: nn.Module, x: Tensor) -> Tensor:
    return torch.vmap(layer)(x[None])[0]


def by_jvp(layer: nn.Module, x: Tensor) -> Tensor:
    return torch.func.jvp(layer, (x,), (x,))[0]


def by_vjp(layer: nn.Module, x: Tensor) -> Tensor:
    return torch.func.vjp(layer, x)[0]


def recorded(layer: nn.Module, x: Tensor) -> Tensor:
    with torch.enable_grad():
        return layer(x.clone(memory_format=torch.preserve_format).requires_grad_())


def without_its_fast_kernel(layer: nn.Module, x: Tensor) -> Tensor:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.backends.mkldnn, "enabled", False)
        return layer(x)


@pytest.mark.parametrize(
    "run", [by_vmap, by_jvp, by_vjp, recorded, without_its_fast_kernel]
)
@per_format
@per_convolution
def test_a_layer_that_ran_before_runs_in_every_mode(
    name: str,
    last: bool,
    run: Callable[[nn.Module, Tensor], Tensor],
    wanted: torch.memory_format,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is kept of one call must not be taken where it does not hold."""
    forced(monkeypatch, wanted)
    layer, size = soft(name)
    layer.requires_grad_(False)
    x = images(layer, size, 2, last=last)
    with torch.no_grad():
        layer(x), layer(x)
        found = run(layer, x)
    assert_is_the_definition(found, layer, x)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
@per_format
def test_half_precision_rounds_as_often_as_by_matrices(
    dtype: torch.dtype,
    last: bool,
    wanted: torch.memory_format,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    layer, size = soft("padded")
    layer = layer.to(dtype).requires_grad_(False)
    x = images(layer, size, 2, last=last).to(dtype)
    expected = layer(x)
    forced(monkeypatch, wanted)
    found = deepcopy(layer)(x)
    assert found.dtype == dtype
    difference = (found.float() - expected.float()).abs().max()
    assert difference <= 4 * torch.finfo(dtype).eps * expected.abs().max()


def test_without_its_fast_kernel_torch_is_given_matrices(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tokens = torch.randn(1, 32, 64, 64).to(memory_format=torch.channels_last)
    available = torch.backends.mkldnn.is_available()
    wanted = stencils.format_for((2, 2), tokens, of_one_tap=None)
    assert wanted == (torch.channels_last if available else None)
    monkeypatch.setattr(torch.backends.mkldnn, "enabled", False)
    assert stencils.format_for((2, 2), tokens, of_one_tap=None) is None


@pytest.mark.parametrize(
    ("dtype", "shift", "padding", "suits"),
    [
        (torch.float32, 0.0, 1, True),
        (torch.float32, 0.375, 1, True),
        (torch.float64, 0.0, 1, False),  # torch has no fast kernel
        (torch.float32, 0.625, 1, False),  # the nearest pixel is off the canvas
        (torch.float32, 0.625, 2, False),
        (torch.float32, -0.625, 0, False),
    ],
)
def test_targets_on_the_canvas_have_stencils_in_float32(
    dtype: torch.dtype, shift: float, padding: int, suits: bool
) -> None:
    conv = nn.Conv2d(2, 2, 3, padding=padding).to(dtype)
    layer = ex.attention_from_conv(conv, alpha=4.0).requires_grad_(False)
    layer.centers += shift
    together, _ = plans(layer.heads(), Grid.of(layer.geometry, (20, 20)))
    (step,) = together
    assert isinstance(step, Step)
    assert (step.radii is not None) == suits


@per_format
def test_explain_says_what_runs(last: bool) -> None:
    layer = ex.attention_from_conv(nn.Conv2d(2, 2, 3), alpha=4.0).requires_grad_(False)
    x = images(layer, (50, 50), 1, last=last)
    (line,) = layer.explain(x).details
    expected = "by stencils within 2 pixels" if last else "over the whole canvas"
    assert expected in line


@per_format
@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize(
    ("channels", "outputs"), [(96, 8), (96, 24), (8, 96), (96, 96)]
)
@pytest.mark.parametrize("size", [12, 40, 50])
@pytest.mark.parametrize(
    ("wide", "fast"), [(False, False), (True, False), (True, True)]
)
def test_explain_asks_about_what_is_smoothed(
    wide: bool,
    fast: bool,
    size: int,
    channels: int,
    outputs: int,
    kernel: int,
    last: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A projection that comes first changes how many numbers that is."""
    here = stencils.crossovers(wide_vectors=wide, fast_products=fast)
    monkeypatch.setattr(stencils, "_HERE", here)
    choices = []

    def format_for(
        radii: tuple[int, ...], tokens: Tensor, *, of_one_tap: int | None
    ) -> torch.memory_format | None:
        chosen = stencils.format_for(radii, tokens, of_one_tap=of_one_tap)
        choices.append(chosen)
        return chosen

    monkeypatch.setattr(plan, "format_for", format_for)
    conv = nn.Conv2d(channels, outputs, kernel, padding=kernel // 2)
    layer = ex.attention_from_conv(conv, alpha=4.0).requires_grad_(False)
    x = images(layer, (size, size), 1, last=last)
    with torch.no_grad():
        layer(x)
        ran = choices[-1] is not None
        (line,) = layer.explain(x).details
    assert ("by stencils" in line) == ran


@per_format
@pytest.mark.parametrize("alpha", [1.0, 4.0, 9.0])
@pytest.mark.parametrize("name", ["padded", "strided, dilated", "one tap, narrower"])
def test_certificates_hold(
    name: str,
    alpha: float,
    last: bool,
    wanted: torch.memory_format,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The rounding and what is neglected are those of stencils, counted."""
    smoothed = forced(monkeypatch, wanted)
    torch.manual_seed(0)
    build, size = CONVOLUTIONS[name]
    conv = build()
    layer = ex.attention_from_conv(conv, alpha=alpha).requires_grad_(False)
    certificate = ex.certify(layer, conv, size=size)
    x = images(layer, size, 50, last=last).sign()
    wide = deepcopy(conv).double()
    with torch.no_grad():
        error = (layer(x).double() - wide(x.double())).abs().max()
        exact = deepcopy(layer).double()
        exact.strategy = "dense"
        rounding = (layer(x).double() - exact(x.double())).abs().max()
    assert smoothed
    assert error <= certificate.bound.max()
    assert rounding <= max(certificate.layer_rounding.tolist())
