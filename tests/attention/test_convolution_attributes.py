"""An attention layer answers for its geometry and weight as the convolution did."""

import copy
import pickle

import pytest
import torch
from torch import Tensor, nn

import expressivity as ex
from expressivity.convolutions import build_convolution
from tests.cases import CASES, Case

GEOMETRY = ("kernel_size", "stride", "dilation", "padding_mode", "output_padding")
COUNTS = ("in_channels", "out_channels", "groups", "transposed")


def depthwise() -> nn.Conv2d:
    return nn.Conv2d(4, 8, (3, 2), stride=(2, 1), padding=(1, 0), groups=2).double()


def soft_layer(heads: int | None = None, axes: int = 2) -> ex.RelativeSelfAttention:
    return ex.RelativeSelfAttention(
        3, 4, ex.ConvGeometry.create((3,) * axes), num_heads=heads
    )


@pytest.mark.parametrize("case", CASES, ids=str)
class TestOfEveryCase:
    def test_geometry_is_that_of_the_convolution(self, case: Case):
        conv = case.conv()
        layer = ex.attention_from_conv(conv)
        for name in (*GEOMETRY, *COUNTS):
            assert getattr(layer, name) == getattr(conv, name), name
        # Options that the layer reports build the same convolution again.
        twin = build_convolution(
            conv.weight,
            conv.bias,
            stride=layer.stride,
            padding=layer.padding,
            dilation=layer.dilation,
            groups=layer.groups,
            padding_mode=layer.padding_mode,
        )
        x = case.input()
        assert torch.equal(twin(x), conv(x))

    @pytest.mark.parametrize("extra", [None, 0, 1])
    def test_weight_is_that_of_the_convolution(self, case: Case, extra: int | None):
        conv = case.conv()
        least = min(conv.in_channels, conv.out_channels) // conv.groups
        head_dim = None if extra is None else least + extra
        layer = ex.attention_from_conv(conv, head_dim=head_dim)
        assert torch.equal(layer.weight, conv.weight)
        assert layer.weight.dtype == conv.weight.dtype
        assert torch.equal(layer.materialize_projections().weight, conv.weight)


class TestWeight:
    def test_is_a_view_of_the_only_projection(self):
        layer = ex.attention_from_conv(depthwise())
        assert layer.weight.data_ptr() == layer.output_weight.data_ptr()
        with torch.no_grad():
            layer.weight.zero_()
        assert not layer.output_weight.any()

    def test_is_no_parameter_and_no_state(self):
        layer = ex.attention_from_conv(depthwise())
        assert "weight" not in layer.state_dict()
        assert "weight" not in dict(layer.named_parameters())
        copies = (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer)))
        for each in copies:
            assert torch.equal(each.weight, layer.weight)
        assert "weight" not in repr(layer)

    @pytest.mark.parametrize("head_dim", [None, 3])
    def test_gradients_reach_the_projections(self, head_dim: int | None):
        conv = depthwise()
        layer = ex.attention_from_conv(conv, head_dim=head_dim)
        factor = torch.randn_like(conv.weight)
        for module in (conv, layer):
            (module.weight * factor).sum().backward()
        step = [
            p.grad for p in (layer.output_weight, layer.value_weight) if p is not None
        ]
        assert all(grad.any() for grad in step)
        if head_dim is None:
            found = step[0].flatten(0, 1).unflatten(-1, (3, 2))
            assert torch.equal(found, conv.weight.grad)

    def test_follows_requires_grad(self):
        conv = depthwise().requires_grad_(False)
        assert not ex.attention_from_conv(conv).weight.requires_grad

    def test_heads_in_any_order_are_put_on_their_taps(self):
        conv = depthwise()
        layer, order = ex.attention_from_conv(conv), torch.randperm(6)
        with torch.no_grad():
            layer.centers.copy_(layer.centers[order])
            layer.output_weight.copy_(layer.output_weight[..., order])
        assert torch.equal(layer.weight, conv.weight)

    def test_heads_on_one_tap_add_up(self):
        conv = depthwise()
        layer = ex.attention_from_conv(conv)
        with torch.no_grad():
            layer.centers[1] = layer.centers[0]
        expected = conv.weight.detach().flatten(2).clone()
        expected[..., 0] += expected[..., 1]
        expected[..., 1] = 0
        torch.testing.assert_close(
            layer.weight.detach(), expected.unflatten(-1, (3, 2)), rtol=0, atol=0
        )

    def test_a_layer_within_a_tolerance_has_the_weight_it_approximates(self):
        conv = depthwise()
        layer = ex.attention_from_conv(conv, tolerance=1e-2)
        assert torch.equal(layer.weight, conv.weight)

    def test_follows_the_parameters(self):
        """A verdict about the heads is not kept when they change."""
        layer = ex.attention_from_conv(depthwise())
        assert layer.weight is not None
        with torch.no_grad():
            layer.alpha.fill_(0.1)
        assert getattr(layer, "weight", None) is None
        with torch.no_grad():
            layer.alpha.fill_(30)
            layer.centers.add_(0.1)
        assert layer.weight is not None

    @pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
    def test_in_every_mode(self, mode: type):
        conv = depthwise()
        with mode():
            layer = ex.attention_from_conv(conv)
            assert torch.equal(layer.weight, conv.weight)

    def test_of_several_layers_at_once_is_nan_where_it_is_none(self):
        """Under vmap values cannot be looked at."""
        conv = depthwise()
        layer = ex.attention_from_conv(conv)

        class Reader(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.layer = layer

            def forward(self) -> Tensor:
                return self.layer.weight

        reader, alpha = Reader(), layer.alpha.detach()
        one_soft = alpha.clone()
        one_soft[2] = 0.0

        def read(alpha: Tensor) -> Tensor:
            return torch.func.functional_call(reader, {"layer.alpha": alpha}, ())

        saturated, soft = torch.func.vmap(read)(torch.stack([alpha, one_soft]))
        assert torch.equal(saturated, conv.weight)
        assert int(soft.isnan().sum()) > 0


class TestLayersThatAreNoConvolution:
    @pytest.mark.parametrize(
        ("layer", "reason"),
        [
            (soft_layer(), "9 of 9 heads give no tap more than half"),
            (soft_layer(heads=2), "heads give no tap"),
            (soft_layer().add_table([-1, -1], [3, 3]), "attend by tables"),
        ],
        ids=["soft", "random centers", "table"],
    )
    def test_say_why(self, layer: ex.RelativeSelfAttention, reason: str):
        assert getattr(layer, "weight", None) is None
        assert not hasattr(layer, "weight")
        with pytest.raises(AttributeError, match=f"has no weight: .*{reason}"):
            _ = layer.weight

    def test_content_terms_count_once_they_matter(self):
        conv = depthwise()
        layer = ex.attention_from_conv(conv).add_content_terms(2)
        assert torch.equal(layer.weight, conv.weight)
        with torch.no_grad():
            layer.content_bias.fill_(1)
        with pytest.raises(
            ex.errors.ConvolutionAttributeError, match="depend on the tokens"
        ):
            _ = layer.weight

    def test_a_head_off_the_kernel(self):
        layer = ex.attention_from_conv(nn.Conv1d(2, 2, 3))
        with torch.no_grad():
            layer.centers[1] = 5
        with pytest.raises(AttributeError, match=r"1 of 3 heads .* around \[5\.0\]"):
            _ = layer.weight

    def test_padding_that_torch_cannot_spell(self):
        geometry = ex.ConvGeometry((3,), (1,), ((0, 2),), (1,))
        layer = ex.RelativeSelfAttention(1, 1, geometry)
        with pytest.raises(AttributeError, match=r"got \(\(0, 2\),\): read geometry"):
            _ = layer.padding

    def test_other_names_are_missing_as_ever(self):
        with pytest.raises(AttributeError, match="no attribute 'nothing'"):
            _ = soft_layer().nothing


class TestWriting:
    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("weight", torch.zeros(1)),
            ("weight", nn.Parameter(torch.zeros(1))),
            ("padding_mode", "circular"),
            ("stride", (1, 1)),
        ],
    )
    @pytest.mark.parametrize("soft", [True, False])
    def test_is_refused(self, name: str, value: object, soft: bool):
        layer = soft_layer() if soft else ex.attention_from_conv(depthwise())
        before = layer.state_dict().keys()
        with pytest.raises(
            ex.errors.ConvolutionAttributeError, match=f"{name} of an attent"
        ):
            setattr(layer, name, value)
        assert layer.state_dict().keys() == before

    def test_of_what_is_no_property_goes_on(self):
        layer = soft_layer()
        layer.strategy, layer.note = "dense", "mine"
        assert (layer.strategy, layer.note) == ("dense", "mine")


class Reader(nn.Module):
    """Reads what a convolution and attention both have."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        y = self.layer(x.to(self.layer.weight.dtype)) + self.layer.stride[0]
        return y * self.layer.weight.square().sum()


@pytest.mark.compiled
@pytest.mark.parametrize("head_dim", [None, 1])
def test_compiled_and_exported_code_reads_the_weight(head_dim: int | None):
    conv = nn.Conv2d(2, 3, 3, padding=1).double()
    layer = ex.attention_from_conv(conv, head_dim=head_dim)
    reader, x = Reader(layer), torch.randn(1, 2, 5, 4, dtype=torch.float64)
    compiled = torch.compile(reader, backend="eager", fullgraph=True)
    exported = torch.export.export(reader, (x,)).module()
    for each in (compiled, exported):
        torch.testing.assert_close(each(x), reader(x), rtol=0, atol=1e-12)
