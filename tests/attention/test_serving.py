"""Exported to ONNX, layers compute in onnxruntime what they do in torch."""

import warnings
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from torch import nn

import expressivity as ex

pytestmark = [
    pytest.mark.compiled,
    pytest.mark.skipif(
        find_spec("onnxruntime") is None or find_spec("onnxscript") is None,
        reason="needs onnxruntime: make serving",
    ),
    # The exporter and its libraries warn about each other.
    pytest.mark.filterwarnings("ignore"),
]
CONV = nn.Conv1d(2, 3, 2, padding=1).requires_grad_(False)
SIZE = (7,)


def content() -> nn.Module:
    layer = ex.attention_from_conv(CONV, alpha=1.0).add_content_terms(2)
    for parameter in (layer.query_weight, layer.content_bias):
        nn.init.normal_(parameter, std=0.5)
    return layer


def gated() -> nn.Module:
    layer = ex.attention_from_conv(CONV, alpha=1.0).add_content(2)
    nn.init.normal_(layer.gate)
    return layer


LAYERS: dict[str, Callable[[], nn.Module]] = {
    "separable": lambda: ex.attention_from_conv(CONV),
    "separable, soft": lambda: ex.attention_from_conv(CONV, alpha=1.0),
    "dense": lambda: ex.attention_from_conv(CONV, alpha=1.0, strategy="dense"),
    "normalised": lambda: ex.attention_from_conv(CONV, heads="minimal"),
    "fused": lambda: ex.attention_from_conv(CONV, alpha=1.0, strategy="fused"),
    "content": content,
    "gated content": gated,
    "multihead": lambda: ex.to_multihead(ex.attention_from_conv(CONV), size=SIZE),
}


def served(model: nn.Module, x: torch.Tensor, path: Path, *dims: str):
    """Export a model and return what runs it, for any length of the named axes."""
    import onnxruntime

    axes = {i: torch.export.Dim(name, min=2) for i, name in enumerate(dims) if name}
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            model, (x,), dynamo=True, dynamic_shapes=(axes,), verbose=False
        )
    program.save(path)
    session = onnxruntime.InferenceSession(path)
    (named,) = session.get_inputs()
    return lambda y: torch.from_numpy(session.run(None, {named.name: y.numpy()})[0])


@pytest.mark.parametrize("name", LAYERS)
@torch.no_grad()
def test_onnxruntime_computes_what_torch_does(name: str, tmp_path: Path) -> None:
    layer = LAYERS[name]().eval().requires_grad_(False)
    run = served(layer, torch.randn(2, 2, *SIZE), tmp_path / "layer.onnx", "batch")
    for batch in (1, 2, 5):
        x = 2 * torch.rand(batch, 2, *SIZE) - 1
        assert (run(x) - layer(x)).abs().max() < 1e-6


@torch.no_grad()
def test_saturated_layers_take_every_size(tmp_path: Path) -> None:
    layer = ex.attention_from_conv(CONV).eval()
    x = torch.randn(2, 2, *SIZE)
    run = served(layer, x, tmp_path / "layer.onnx", "batch", "", "width")
    for width in (3, 7, 12):
        y = 2 * torch.rand(3, 2, width) - 1
        assert (run(y) - layer(y)).abs().max() < 1e-6


@torch.no_grad()
def test_a_network_has_the_nodes_of_its_cnn(tmp_path: Path) -> None:
    import onnx

    model = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 2, 1))
    kinds = []
    for network in (model, ex.convert(model).model):
        path = tmp_path / "network.onnx"
        served(network.eval(), torch.ones(2, 1, 5, 5), path, "batch")
        kinds.append([node.op_type for node in onnx.load(path).graph.node])
    assert kinds[0] == kinds[1]
