"""Products in place of convolutions with one tap: the same numbers, where they suit."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import expressivity as ex
from expressivity.convolutions import is_product_faster, pointwise, prepared_product
from expressivity.machine.memory_format import is_channels_last
from expressivity.strategies.base import Attend
from expressivity.strategies.separable import part
from tests import allocations
from tests.modes import BY_NAME, MODES, Mode
from tests.strategies.test_separable_stencils import assert_is_the_definition

SIZES = [(7,), (4, 5), (2, 3, 4)]
# Forward-mode derivatives load parts of torch that it has deprecated itself.
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script`:DeprecationWarning")


@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("batch", range(4))
@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_the_same_numbers(
    size: tuple[int, ...], last: bool, batch: int, biased: bool
) -> None:
    torch.manual_seed(0)
    x = torch.randn(batch, 3, *size, dtype=torch.float64)
    if last:
        x = x.movedim(1, -1).contiguous().movedim(-1, 1)
    kernel = torch.randn(5, 3, *(1 for _ in size), dtype=torch.float64)
    bias = torch.randn(5, dtype=torch.float64) if biased else None
    convolve = (torch.conv1d, torch.conv2d, torch.conv3d)[len(size) - 1]
    found = prepared_product(kernel, bias, x)(x)
    assert found.is_contiguous() or is_channels_last(found)
    assert is_channels_last(found) == is_channels_last(x)
    torch.testing.assert_close(found, convolve(x, kernel, bias), rtol=0, atol=1e-14)


@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(("channels", "outputs"), [(64, 256), (256, 64)])
def test_takes_memory_for_the_output_only(
    channels: int, outputs: int, layout: torch.memory_format, batch: int, biased: bool
) -> None:
    x = torch.randn(batch, channels, 20, 20).to(memory_format=layout)
    kernel = torch.randn(outputs, channels, 1, 1)
    kernel.requires_grad_()  # torch.matmul would multiply from the right, and copy
    bias = torch.randn(outputs) if biased else None
    with torch.no_grad():
        taken = allocations.allocated_bytes(
            lambda: prepared_product(kernel, bias, x)(x)
        )
    assert taken == 4 * batch * outputs * 20 * 20


Call = tuple[Tensor, Tensor, Tensor | None, int]


def _channels_last(
    pixels: int, channels: int, outputs: int, *, biased: bool = False
) -> Call:
    x = torch.randn(1, channels, pixels, pixels).to(memory_format=torch.channels_last)
    bias = torch.randn(outputs) if biased else None
    return x, torch.randn(outputs, channels, 1, 1), bias, 1


SUITABLE: dict[str, Callable[[], Call]] = {
    "NCHW": lambda: (torch.randn(1, 8, 14, 14), torch.randn(4, 8, 1, 1), None, 1),
    "NCHW, biased": lambda: (
        torch.randn(1, 8, 14, 14),
        torch.randn(4, 8, 1, 1),
        torch.randn(4),
        1,
    ),
    "channels last": lambda: _channels_last(14, 128, 128, biased=True),
    "channels last, fewer channels": lambda: _channels_last(28, 128, 32),
    "channels last, large": lambda: _channels_last(60, 32, 128),
    "channels last, in the cache": lambda: _channels_last(60, 32, 64, biased=True),
}
UNSUITABLE: dict[str, Callable[[], Call]] = {
    "groups": lambda: (torch.randn(1, 8, 14, 14), torch.randn(4, 4, 1, 1), None, 2),
    "taps": lambda: (torch.randn(1, 8, 14, 14), torch.randn(4, 8, 1, 2), None, 1),
    "few pixels": lambda: (torch.randn(1, 8, 14, 13), torch.randn(4, 8, 1, 1), None, 1),
    "channels last, few multiplications": lambda: _channels_last(14, 8, 4),
    "channels last, large, fewer channels": lambda: _channels_last(60, 128, 32),
    "channels last, large, biased": lambda: _channels_last(60, 32, 128, biased=True),
}
SPOILT: dict[str, Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]] = {
    "float64": lambda x, kernel: (x.double(), kernel.double()),
    "half precision": lambda x, kernel: (x.bfloat16(), kernel.bfloat16()),
    "recorded input": lambda x, kernel: (x.requires_grad_(), kernel),
    "recorded kernel": lambda x, kernel: (x, kernel.requires_grad_()),
    "no memory": lambda x, kernel: (x.to("meta"), kernel.to("meta")),
}


@pytest.mark.parametrize("name", SUITABLE)
def test_where_it_suits(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    call = SUITABLE[name]()
    monkeypatch.setattr(pointwise, "_IS_FASTER_HERE", True)
    assert is_product_faster(*call)
    # It was measured on one processor only.
    monkeypatch.setattr(pointwise, "_IS_FASTER_HERE", False)
    assert not is_product_faster(*call)


@pytest.mark.parametrize("name", UNSUITABLE)
def test_where_it_does_not_suit(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pointwise, "_IS_FASTER_HERE", True)
    assert not is_product_faster(*UNSUITABLE[name]())


@pytest.mark.parametrize("spoil", SPOILT)
@pytest.mark.parametrize("name", SUITABLE)
def test_what_it_was_not_made_for(
    name: str, spoil: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pointwise, "_IS_FASTER_HERE", True)
    x, kernel, bias, groups = SUITABLE[name]()
    assert not is_product_faster(*SPOILT[spoil](x, kernel), bias, groups)


LAYERS: dict[str, Callable[[], nn.Module]] = {
    "wider": lambda: nn.Conv2d(4, 9, 1),
    "narrower": lambda: nn.Conv2d(9, 4, 1, bias=False),
    "strided, padded": lambda: nn.Conv2d(4, 6, 1, stride=2, padding=1),
    "reflected": lambda: nn.Conv2d(6, 4, 1, padding=1, padding_mode="reflect"),
    "one axis": lambda: nn.Conv1d(5, 4, 1),
}


@pytest.mark.parametrize("mode", MODES, ids=str)
@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("name", LAYERS)
def test_soft_layers_in_every_mode(
    name: str, last: bool, mode: Mode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pointwise, "_IS_FASTER_HERE", True)
    monkeypatch.setattr(pointwise, "_PIXELS", 1)
    monkeypatch.setattr(pointwise, "_MULTIPLICATIONS", 0)
    monkeypatch.setattr(pointwise, "_MANY_PIXELS", 2**20)
    products: list[Tensor] = []

    def counted(kernel: Tensor, bias: Tensor | None, like: Tensor) -> Attend:
        products.append(like)
        return prepared_product(kernel, bias, like)

    monkeypatch.setattr(part, "prepared_product", counted)
    torch.manual_seed(0)
    layer = ex.attention_from_conv(LAYERS[name](), alpha=2.0)
    if layer.bias is None:
        layer.bias = nn.Parameter(torch.zeros(layer.out_channels))
    size = (9, 8) if layer.geometry.axes == 2 else (40,)
    for batch in range(4):
        x = torch.randn(batch, layer.in_channels, *size)
        if last:
            x = x.movedim(1, -1).contiguous().movedim(-1, 1)
        assert_is_the_definition(mode.output(layer, x), layer, x)
    if mode in (BY_NAME["no_grad"], BY_NAME["frozen"]):
        keeps_format = last and name in ("wider", "narrower")  # others are padded first
        assert is_channels_last(products[-1]) or not keeps_format


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
