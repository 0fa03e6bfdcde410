"""The paper's networks: every kind, and what each of them attends with."""

import math
from dataclasses import replace

import pytest
import torch

from expressivity.attention import RelativeSelfAttention
from expressivity.errors import ArgumentError
from expressivity.experiments.data import Dataset, Images
from expressivity.experiments.networks import (
    NETWORKS,
    Architecture,
    ScoredAttention,
    network,
)

SMALL = Architecture(
    width=6, layers=2, heads=4, hidden=5, dropout=0.0, residual_width=2
)


def images(height: int = 6, width: int = 8, channels: int = 3) -> Dataset:
    pixels = torch.randint(0, 256, (4, channels, height, width), dtype=torch.uint8)
    part = Images(pixels, torch.tensor([0, 1, 2, 0]))
    return Dataset("drawn", part, part, ("a", "b", "c"))


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("count", [0, 1, 3])
def test_every_network_returns_a_logit_a_class(name: str, count: int) -> None:
    data = images()
    model = network(name, SMALL, data).eval()
    assert model(data.inputs(data.train.pixels[:count])).shape == (count, 3)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_parameter_is_trained(name: str) -> None:
    data = images()
    model = network(name, SMALL, data)
    logits = model(data.inputs(data.train.pixels))
    torch.nn.functional.cross_entropy(logits, data.train.labels).backward()
    still = [n for n, p in model.named_parameters() if p.grad is None]
    assert not still


def test_the_sizes_are_those_that_are_given() -> None:
    model = network("isotropic", SMALL, images())
    layers = [m for m in model.modules() if isinstance(m, RelativeSelfAttention)]
    assert len(layers) == SMALL.layers
    for layer in layers:
        assert (layer.in_channels, layer.out_channels) == (6, 6)
        assert (layer.num_heads, layer.head_dim) == (4, 6)


def test_the_defaults_are_the_papers() -> None:
    assert Architecture() == Architecture(
        width=400, layers=6, heads=9, patch=2, hidden=512, dropout=0.1
    )


def scores(name: str, canvas: tuple[int, int]) -> torch.Tensor:
    """Return the scores of one layer before the softmax."""
    data = images(2 * canvas[0], 2 * canvas[1])
    model = network(name, replace(SMALL, layers=1), data)
    (layer,) = (m for m in model.modules() if isinstance(m, ScoredAttention))
    return layer.scores().detach()


@pytest.mark.parametrize("name", ["full-covariance", "learned"])
def test_scores_depend_on_the_shift_alone(name: str) -> None:
    found = scores(name, (3, 4)).unflatten(1, (3, 4)).unflatten(3, (3, 4))
    assert (found[:, :2, :3, :2, :3] - found[:, 1:, 1:, 1:, 1:]).abs().max() < 1e-5


def test_learned_scores_are_a_row_plus_a_column() -> None:
    found = scores("learned", (3, 4))[:, 0].unflatten(1, (3, 4))
    mixed = found - found[:, :1] - found[:, :, :1] + found[:, :1, :1]
    assert mixed.abs().max() < 1e-5


def test_scores_of_a_full_covariance_are_quadratic() -> None:
    found = scores("full-covariance", (3, 4))[:, 0].unflatten(1, (3, 4)).double()
    third = found.diff(n=3, dim=2)
    assert third.abs().max() < 1e-4
    assert found.diff(n=2, dim=2).max() < 0


@pytest.mark.parametrize("content", [False, True])
def test_attention_is_a_literal_sum(content: bool) -> None:
    class Fixed(torch.nn.Module):
        def forward(self) -> torch.Tensor:
            return positional

    positional = torch.randn(2, 6, 6, dtype=torch.float64)
    layer = ScoredAttention(Fixed(), 3, 2, content=content).double()
    x = torch.randn(2, 3, 2, 3, dtype=torch.float64)
    tokens = x.flatten(2).mT
    expected = torch.zeros(2, 6, 3, dtype=torch.float64) + layer.output.bias
    for image in range(2):
        for head in range(2):
            weight = layer.output.weight[:, 3 * head : 3 * head + 3]
            rows = slice(3 * head, 3 * head + 3)
            for query in range(6):
                score = positional[head, query].clone()
                if layer.query is not None and layer.key is not None:
                    q = layer.query(tokens[image, query])[rows]
                    for key in range(6):
                        k = layer.key(tokens[image, key])[rows]
                        score[key] += q @ k / math.sqrt(3)
                mixed = score.softmax(0) @ tokens[image]
                expected[image, query] += weight @ mixed
    assert (layer(x).flatten(2).mT - expected).abs().max() < 1e-12


@pytest.mark.parametrize(
    ("name", "options", "size", "message"),
    [
        ("nonsense", {}, (6, 8), r"needs one of \('isotropic', .*got 'nonsense'"),
        ("learned", {"patch": 4}, (6, 8), r"patches of 4×4 pixels need to cover"),
        ("learned", {"patch": 2}, (7, 8), r"an image of 7×8: choose a patch"),
    ],
)
def test_what_cannot_be_built_is_refused(
    name: str, options: dict[str, int], size: tuple[int, int], message: str
) -> None:
    with pytest.raises(ArgumentError, match=message):
        network(name, replace(SMALL, **options), images(*size))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 0}, "width needs an integer of at least 1"),
        ({"heads": 1.5}, "heads needs an integer of at least 1"),
        ({"dropout": 1.0}, "dropout needs a probability from 0 to below 1, got 1.0"),
    ],
)
def test_sizes_out_of_range_are_refused(
    options: dict[str, float], message: str
) -> None:
    with pytest.raises(ArgumentError, match=message):
        replace(SMALL, **options)
