"""Products in place of convolutions with one tap: the same numbers, where they suit."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import expressivity as ex
from expressivity.convolutions import is_product_faster, pointwise, product
from expressivity.strategies.separable import part
from tests import allocations
from tests.modes import BY_NAME, MODES, Mode
from tests.strategies.test_separable_stencils import assert_is_the_definition

SIZES = [(7,), (4, 5), (2, 3, 4)]
# Forward-mode derivatives load parts of torch that it has deprecated itself.
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script`:DeprecationWarning")


@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("batch", range(4))
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_the_same_numbers(size: tuple[int, ...], batch: int, biased: bool) -> None:
    torch.manual_seed(0)
    x = torch.randn(batch, 3, *size, dtype=torch.float64)
    kernel = torch.randn(5, 3, *(1 for _ in size), dtype=torch.float64)
    bias = torch.randn(5, dtype=torch.float64) if biased else None
    convolve = (torch.conv1d, torch.conv2d, torch.conv3d)[len(size) - 1]
    found = product(x, kernel, bias)
    assert found.is_contiguous()
    torch.testing.assert_close(found, convolve(x, kernel, bias), rtol=0, atol=1e-14)


@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize(("channels", "outputs"), [(64, 256), (256, 64)])
def test_takes_memory_for_the_output_only(
    channels: int, outputs: int, batch: int, biased: bool
) -> None:
    x, kernel = (
        torch.randn(batch, channels, 20, 20),
        torch.randn(outputs, channels, 1, 1),
    )
    kernel.requires_grad_()  # torch.matmul would multiply from the right, and copy
    bias = torch.randn(outputs) if biased else None
    with torch.no_grad():
        taken = allocations.allocated_bytes(lambda: product(x, kernel, bias))
    assert taken == 4 * batch * outputs * 20 * 20


UNSUITABLE: dict[str, Callable[[Tensor, Tensor], tuple[Tensor, Tensor, int]]] = {
    "groups": lambda x, kernel: (x, kernel[:, :4], 2),
    "taps": lambda x, kernel: (x, kernel.expand(-1, -1, 1, 2), 1),
    "few pixels": lambda x, kernel: (x[..., :13], kernel, 1),
    "float64": lambda x, kernel: (x.double(), kernel.double(), 1),
    "half precision": lambda x, kernel: (x.bfloat16(), kernel.bfloat16(), 1),
    "channels last": lambda x, kernel: (
        x.to(memory_format=torch.channels_last),
        kernel,
        1,
    ),
    "recorded input": lambda x, kernel: (x.requires_grad_(), kernel, 1),
    "recorded kernel": lambda x, kernel: (x, kernel.requires_grad_(), 1),
    "no memory": lambda x, kernel: (x.to("meta"), kernel.to("meta"), 1),
}


@pytest.mark.parametrize("name", UNSUITABLE)
def test_where_it_does_not_suit(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pointwise, "_IS_FASTER_HERE", True)
    x, kernel = torch.randn(1, 8, 14, 14), torch.randn(4, 8, 1, 1)
    assert is_product_faster(x, kernel, 1)
    assert not is_product_faster(*UNSUITABLE[name](x, kernel))


def test_processors_on_which_it_was_not_measured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pointwise, "_IS_FASTER_HERE", False)
    x, kernel = torch.randn(1, 8, 14, 14), torch.randn(4, 8, 1, 1)
    assert not is_product_faster(x, kernel, 1)


LAYERS: dict[str, Callable[[], nn.Module]] = {
    "wider": lambda: nn.Conv2d(4, 9, 1),
    "narrower": lambda: nn.Conv2d(9, 4, 1, bias=False),
    "strided, padded": lambda: nn.Conv2d(4, 6, 1, stride=2, padding=1),
    "reflected": lambda: nn.Conv2d(6, 4, 1, padding=1, padding_mode="reflect"),
    "one axis": lambda: nn.Conv1d(5, 4, 1),
}


@pytest.mark.parametrize("mode", MODES, ids=str)
@pytest.mark.parametrize("name", LAYERS)
def test_soft_layers_in_every_mode(
    name: str, mode: Mode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pointwise, "_IS_FASTER_HERE", True)
    monkeypatch.setattr(pointwise, "_PIXELS", 1)
    products = []

    def counted(*args: object, **options: object) -> Tensor:
        products.append(args)
        return product(*args, **options)

    monkeypatch.setattr(part, "product", counted)
    torch.manual_seed(0)
    layer = ex.attention_from_conv(LAYERS[name](), alpha=2.0)
    if layer.bias is None:
        layer.bias = nn.Parameter(torch.zeros(layer.out_channels))
    size = (9, 8) if layer.geometry.axes == 2 else (40,)
    for batch in range(4):
        x = torch.randn(batch, layer.in_channels, *size)
        assert_is_the_definition(mode.output(layer, x), layer, x)
    if mode in (BY_NAME["no_grad"], BY_NAME["frozen"]):
        assert products


def test_saturated_layers_stay_the_convolution_bit_for_bit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pointwise, "_IS_FASTER_HERE", True)
    conv = nn.Conv2d(64, 32, 1)
    layer = ex.attention_from_conv(conv)
    x = torch.randn(2, 64, 20, 20)
    with torch.no_grad():
        for _ in range(2):  # the second in the short way
            assert torch.equal(layer(x), conv(x))
