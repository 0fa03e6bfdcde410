"""RepMLP: convolutions merge into FC3; other partitions are means."""

import math

import pytest
import torch
from torch import nn

from expressivity.atlas import FAMILIES, Witness
from expressivity.atlas.families.repmlp import construct
from expressivity.atlas.layers.repmlp import Normalised, RepMLP
from expressivity.errors import ArgumentError
from tests.atlas.evidence import assert_cannot, assert_computes, relative_error

REPMLP = FAMILIES["repmlp"]

CONVOLUTIONS = {
    "square": lambda: nn.Conv2d(2, 3, 3, padding=1),
    "strided": lambda: nn.Conv2d(3, 2, 5, padding=2, stride=2),
    "dilated": lambda: nn.Conv2d(1, 2, 3, padding=2, dilation=2),
    "one axis of two": lambda: nn.Conv2d(2, 1, (1, 3), padding=(0, 1)),
    "grouped": lambda: nn.Conv2d(4, 2, 3, padding=1, groups=2, bias=False),
    "depthwise": lambda: nn.Conv2d(3, 3, 3, padding=1, groups=3),
    "even": lambda: nn.Conv2d(1, 1, 2),
    "widely padded": lambda: nn.Conv2d(2, 1, 3, padding=3),
    "reflect": lambda: nn.Conv2d(1, 2, 3, padding=1, padding_mode="reflect"),
}


def conv(**options: object) -> nn.Conv2d:
    return nn.Conv2d(2, 3, 3, padding=1, **options).double()


@pytest.mark.parametrize("case", CONVOLUTIONS)
def test_one_partition_is_any_convolution(case: str) -> None:
    assert_computes(REPMLP, CONVOLUTIONS[case](), (5, 4), tolerance=1e-14)


def test_groups_are_kept() -> None:
    grouped = CONVOLUTIONS["depthwise"]()
    layer = REPMLP.construct(grouped, (5, 4))
    assert layer.fc3.groups == 3
    assert layer.fc3.weight.shape == (60, 20, 1, 1)


def test_other_dtypes() -> None:
    single = nn.Conv2d(2, 3, 3, padding=1)
    layer = REPMLP.construct(single, (5, 4))
    assert layer.fc3.weight.dtype == torch.float32
    assert relative_error(layer, single, (5, 4)) < 1e-6


@pytest.mark.parametrize("partition", [(4, 6), (2, 3), (4, 2), (1, 1)])
def test_partitions_are_convolved_by_themselves(partition: tuple[int, int]) -> None:
    layer = construct(conv := nn.Conv2d(2, 3, 3, padding=1), (4, 6), partition)
    x = torch.randn(2, 2, 4, 6)
    rows, columns = partition
    with torch.no_grad():
        output = layer(x)
        for top in range(0, 4, rows):
            for left in range(0, 6, columns):
                part = (..., slice(top, top + rows), slice(left, left + columns))
                assert torch.allclose(output[part], conv(x[part]), atol=1e-6)


def test_a_convolution_that_stays_in_partitions_is_computed() -> None:
    patches = nn.Conv2d(2, 3, 2, stride=2).double()
    layer = construct(patches, (4, 6), (2, 2))
    assert relative_error(layer, patches, (4, 6)) < 1e-14


def test_merging_changes_nothing() -> None:
    """With statistics, groups, several convolutions and a global perceptron."""
    branches = [
        Normalised(nn.Conv2d(4, 6, k, padding=k // 2, groups=2, bias=False))
        for k in (1, 3, 5)
    ]
    layer = RepMLP(4, 6, (4, 6), (4, 3), groups=2, convolutions=branches).double()
    for module in layer.modules():
        if isinstance(module, nn.BatchNorm2d):
            for number in (module.running_mean, module.weight, module.bias):
                nn.init.normal_(number)
            nn.init.uniform_(module.running_var, 0.5, 2)
    merged = layer.merged()
    assert not merged.convolutions
    assert isinstance(merged.fc3, nn.Conv2d)
    assert merged.merged() is merged
    x = torch.randn(2, 4, 4, 6, dtype=torch.float64)
    with torch.no_grad():
        assert torch.allclose(merged(x), layer(x), rtol=1e-12, atol=1e-12)


def test_across_partitions_it_cannot() -> None:
    assert_cannot(REPMLP.refute(conv(), (4, 3)), steps=100)


@pytest.mark.parametrize("size", [(3, 4), (5, 2), (2, 9)])
def test_any_cut_will_do(size: tuple[int, int]) -> None:
    witness = REPMLP.refute(conv(), size)
    assert witness.bound > 0
    assert max(witness.violation(seed) for seed in range(10)) < 1e-12


def test_means_of_other_partitions_are_seen() -> None:
    """Changing a pixel is not enough: the global perceptron sees the mean move."""
    honest = REPMLP.refute(conv(), (4, 3))
    changed = honest.inputs[:1].clone()
    place = tuple(honest.inputs[0, 0].nonzero()[0])
    changed[(0, slice(None), *place)] += 1
    wrong = Witness.of(
        conv(),
        torch.cat([honest.inputs[:1], changed]),
        honest.query,
        kind="receptive field",
        symmetry="none",
        make=honest.make,
        scale=honest.scale,
    )
    assert wrong.violation() > 1e-3
    assert wrong.attack(200) < wrong.bound


def test_partitions_of_one_pixel_are_an_exception() -> None:
    """There means are pixels: the global perceptron is fully connected."""
    with pytest.raises(ArgumentError, match="partitions of two pixels or more"):
        REPMLP.refute(nn.Conv2d(2, 2, (3, 1), padding=(1, 0)), (3, 1))
    layer = RepMLP(1, 1, (2, 1), (1, 1)).double()
    swap = torch.tensor([[-1.0, 1.0], [1.0, -1.0]], dtype=torch.float64)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.zero_()
        _, norm, _, fc1, _, fc2 = layer.global_mlp
        norm.weight.fill_(math.sqrt(1 + norm.eps))
        # ReLU(z + 9) = z + 9 on inputs within 9.
        fc1.weight.copy_(torch.eye(2))
        fc1.bias.fill_(9)
        fc2.weight.copy_(swap)
        layer.fc3.conv.weight.fill_(1)
        layer.fc3.norm.weight.fill_(math.sqrt(1 + layer.fc3.norm.eps))
        x = torch.randn(5, 1, 2, 1, dtype=torch.float64)
        assert torch.allclose(layer(x), x.flip(2), atol=1e-12)


def test_a_box_around_a_partition_is_an_exception() -> None:
    box = nn.Conv2d(1, 1, (7, 3), padding=(3, 1))
    nn.init.constant_(box.weight, 1)
    with pytest.raises(ArgumentError, match="weighs differently"):
        REPMLP.refute(box, (4, 2))


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (nn.Conv2d(2, 3, 3, padding=1, stride=2), "keeps the size"),
        (nn.Conv2d(2, 3, 3), "keeps the size"),
        (nn.Conv2d(2, 3, 1), "cut across an axis of the kernel"),
    ],
)
def test_what_has_no_witness(layer: nn.Conv2d, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        REPMLP.refute(layer, (4, 4))


def test_two_axes_and_tiles() -> None:
    line = nn.Conv1d(1, 1, 3, padding=1)
    with pytest.raises(ArgumentError, match="two axes"):
        REPMLP.construct(line, (6,))
    with pytest.raises(ArgumentError, match="two axes"):
        REPMLP.refute(line, (6,))
    with pytest.raises(ArgumentError, match="partitions that tile 4×6 pixels"):
        construct(nn.Conv2d(1, 1, 3, padding=1), (4, 6), (3, 3))
