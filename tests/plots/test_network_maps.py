"""Attention of a layer of a network, over the image that the network sees."""

import inspect

import numpy as np
import pytest
import torch
from torch import nn

import expressivity as ex
from expressivity.errors import ArgumentError, InputError
from expressivity.plots import attention_maps

IMAGE = torch.rand(2, 12, 14)


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(2, 3, 3, stride=2, padding=1)
        self.deep = nn.Sequential(nn.ReLU(), nn.Conv2d(3, 2, (1, 3)))
        self.spare = nn.Conv2d(2, 2, 1)
        self.line = nn.Conv1d(2, 2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.line(self.deep(self.stem(x)).flatten(2))


@pytest.fixture
def conversion() -> ex.convert:
    return ex.convert(Network(), alpha=1.5)


def test_every_head_is_drawn_over_the_image(conversion: ex.convert) -> None:
    figure = attention_maps(conversion, "deep.1", IMAGE, query=(2, 3))
    panels = [axes for axes in figure.axes if len(axes.images) == 2]
    assert len(panels) == 3
    layer = conversion.model.get_submodule("deep.1")
    probabilities = layer.attention_probabilities(size=(6, 7))
    expected = probabilities[:, 2 * 5 + 3].unflatten(-1, (6, 7)).detach()
    for head, axes in enumerate(panels):
        under, over = axes.images
        assert np.allclose(under.get_array(), IMAGE.mean(0))
        assert np.allclose(over.get_array(), expected[head], atol=1e-6)
        assert under.get_extent() == [-0.5, 6.5, 5.5, -0.5]


def test_the_image_lies_on_the_input_and_not_on_the_padding(
    conversion: ex.convert,
) -> None:
    figure = attention_maps(conversion.model, "stem", IMAGE)
    under, over = figure.axes[0].images
    assert under.get_extent() == [0.5, 14.5, 12.5, 0.5]
    assert over.get_array().shape == (14, 16)


def test_content_terms_attend_to_the_image(conversion: ex.convert) -> None:
    layer = conversion.model.stem.add_content_terms(2)
    nn.init.normal_(layer.query_weight)
    one, other = (
        attention_maps(conversion, "stem", image).axes[0].images[1].get_array()
        for image in (IMAGE, 1 - IMAGE)
    )
    assert not np.allclose(one, other)


def test_the_network_is_left_alone(conversion: ex.convert) -> None:
    conversion.model.train()
    attention_maps(conversion, "stem", IMAGE)
    assert conversion.model.training
    assert not conversion.model.stem._forward_pre_hooks


def test_what_is_required_is_said(conversion: ex.convert) -> None:
    with pytest.raises(ArgumentError, match=r"one of stem, deep.1, spare, line"):
        attention_maps(conversion, "layer1", IMAGE)
    with pytest.raises(ArgumentError, match=r"does not call 'spare'"):
        attention_maps(conversion, "spare", IMAGE)
    with pytest.raises(ArgumentError, match=r"over 2 axes"):
        attention_maps(conversion, "line", IMAGE)
    with pytest.raises(InputError, match=r"\(channels, height, width\)"):
        inspect.unwrap(attention_maps)(conversion, "stem", IMAGE[None])
    with pytest.raises(InputError, match=r"needs to run on inputs"):
        attention_maps(conversion, "stem", torch.ones(3, 12, 12))
