"""A network with the layer shapes of ResNet-50 converts, and runs in a few GiB."""

import json
import subprocess
import sys
from math import prod

import pytest
import torch

import expressivity as ex
from expressivity.attention import explain
from expressivity.bench.resnet import resnet50
from tests import ROOT

# In a process of its own, so that the peak of its memory is its own.
SCRIPT = """
import json, resource, sys
import torch
import expressivity as ex
from tests.architectures import Architecture
from expressivity.bench.resnet import resnet50

def peak_gib():
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, KiB elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30

torch.manual_seed(0)
torch.set_num_threads(1)
resnet = Architecture(resnet50, (3, 224, 224))
network, x = resnet.network(torch.float32), resnet.input(1, torch.float32)
with torch.no_grad():
    network(x)
    before = peak_gib()
    conversion = ex.convert(network)
    output = ex.compare(network, conversion.model, [x])
    features = ex.compare(network[:-1], conversion.model[:-1], [x])
json.dump(
    {
        "layers": [layer.to_dict() for layer in conversion.layers],
        "relative": [output.relative, features.relative],
        "scale": [output.scale, features.scale],
        "growth_gib": peak_gib() - before,
    },
    sys.stdout,
)
"""


def test_all_53_convolutions_in_a_few_gib():
    pytest.importorskip("resource", reason="only Unix tells the peak of the memory")
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert run.returncode == 0, run.stderr
    measured = json.loads(run.stdout)
    layers = measured["layers"]
    assert len(layers) == 53
    assert {layer["status"] for layer in layers} == {"converted"}
    heads = [layer["num_heads"] for layer in layers]
    assert heads == [prod(layer["kernel_size"]) for layer in layers]
    assert sorted(set(heads)) == [1, 9, 49]
    assert heads[0] == 49
    assert min(measured["scale"]) > 0.1
    assert max(measured["relative"]) <= 1e-4
    assert measured["growth_gib"] <= 4


def test_one_step_of_adamw_leaves_every_layer_saturated():
    model = ex.convert(resnet50()).model
    layers = [m for m in model.modules() if isinstance(m, ex.RelativeSelfAttention)]
    assert len(layers) == 53
    before = [layer.weight.detach().clone() for layer in layers]
    steps = torch.optim.AdamW(model.parameters(), 1e-3, weight_decay=0.05)
    model(torch.randn(2, 3, 64, 64)).square().mean().backward()
    steps.step()
    for layer, weight in zip(layers, before, strict=True):
        (line,) = explain(layer, torch.randn(1, layer.in_channels, 9, 9)).details
        assert "saturated" in line
        assert not torch.equal(layer.weight, weight), "it was trained"
