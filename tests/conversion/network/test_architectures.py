"""Whole networks compute the same after their convolutions became attention."""

from math import prod

import pytest
import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

import expressivity as ex
from tests.architectures import ARCHITECTURES, Architecture

CONVOLUTIONS = nn.modules.conv._ConvNd  # transposed ones too
per_architecture = pytest.mark.parametrize(
    "architecture", ARCHITECTURES.values(), ids=ARCHITECTURES.keys()
)


def outputs(network: nn.Module, x: Tensor) -> list[Tensor]:
    return pytree.tree_leaves(network(x))


def assert_close(found: Tensor, wanted: Tensor, relative: float) -> None:
    atol = relative * float(wanted.detach().abs().max())
    torch.testing.assert_close(found, wanted, rtol=0, atol=atol)


@per_architecture
@pytest.mark.parametrize(
    ("dtype", "relative", "gradients"),
    [(torch.float64, 1e-10, False), (torch.float32, 1e-5, True)],
    ids=str,
)
def test_outputs_are_those_of_the_network(
    architecture: Architecture, dtype: torch.dtype, relative: float, gradients: bool
):
    network, x = architecture.network(dtype), architecture.input(dtype=dtype)
    model = ex.convert(network).model
    with torch.set_grad_enabled(gradients):
        for found, wanted in zip(outputs(model, x), outputs(network, x), strict=True):
            assert found.dtype == dtype
            assert_close(found, wanted, relative)


@per_architecture
def test_gradients_of_the_input_are_those_of_the_network(architecture: Architecture):
    network, x = architecture.network(), architecture.input().requires_grad_()
    losses = [
        sum(output.square().sum() for output in outputs(each, x))
        for each in (ex.convert(network).model, network)
    ]
    (found,), (wanted,) = (torch.autograd.grad(loss, x) for loss in losses)
    assert wanted.any()
    assert_close(found, wanted, 1e-10)


@per_architecture
def test_records_tell_what_happened(architecture: Architecture):
    network = architecture.network()
    conversion = ex.convert(network)
    expected = {
        name: module
        for name, module in network.named_modules()
        if isinstance(module, CONVOLUTIONS)
    }
    assert [record.name for record in conversion.layers] == list(expected)
    for record in conversion.layers:
        conv = expected[record.name]
        replacement = conversion.model.get_submodule(record.name)
        assert record.kernel_size == conv.kernel_size
        assert record.kind == type(conv).__name__
        if record.name in architecture.kept:
            assert record.status == "kept"
            assert architecture.kept[record.name] in record.reason
            assert type(replacement) is type(conv)
            assert (record.num_heads, record.alpha) == (None, None)
        else:
            assert record.status == "converted"
            assert record.num_heads == prod(conv.kernel_size)
            assert isinstance(replacement, ex.RelativeSelfAttention)
            assert replacement.num_heads == record.num_heads
            assert 0 < record.worst_case_error < 1e-12


@per_architecture
def test_running_the_result_rules_nothing_out(architecture: Architecture):
    network, x = architecture.network(), architecture.input()
    ran, plain = ex.convert(network, inputs=x), ex.convert(network)
    assert (ran.layers, ran.remarks) == (plain.layers, plain.remarks)
    assert ran.ruled_out == plain.remarks == ()
    assert all("which attention" not in layer.reason for layer in ran.layers)


@per_architecture
def test_the_given_network_is_untouched(architecture: Architecture):
    network = architecture.network()
    modules = dict(network.named_modules())
    state = {name: value.clone() for name, value in network.state_dict().items()}
    model = ex.convert(network).model
    assert dict(network.named_modules()) == modules
    assert network.state_dict().keys() == state.keys()
    for name, value in network.state_dict().items():
        assert torch.equal(value, state[name]), name
    shared = {value.data_ptr() for value in network.state_dict().values()}
    assert not shared & {value.data_ptr() for value in model.state_dict().values()}


def test_training_goes_the_same_way():
    """Batch statistics and three steps of descent, α and centers held."""
    architecture = ARCHITECTURES["residual_bottleneck"]
    network, x = architecture.network().train(), architecture.input(batch=4)
    model = ex.convert(network).model
    assert model.training
    for module in model.modules():
        if isinstance(module, ex.RelativeSelfAttention):
            module.alpha.requires_grad_(False)
            module.centers.requires_grad_(False)
    for each in (network, model):
        optimizer = torch.optim.SGD(
            [p for p in each.parameters() if p.requires_grad], lr=0.1, momentum=0.9
        )
        for _ in range(3):
            optimizer.zero_grad()
            each(x).square().mean().backward()
            optimizer.step()
    assert_close(model(x), network(x), 1e-9)
    buffers = dict(model.named_buffers())
    for name, buffer in network.named_buffers():
        torch.testing.assert_close(buffers[name], buffer, rtol=0, atol=1e-9)
