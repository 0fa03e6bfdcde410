"""Compiled ahead of time by AOTInductor, layers compute what they do in torch."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

import expressivity as ex

pytestmark = [
    pytest.mark.compiled,
    pytest.mark.skipif(
        shutil.which("g++") is None and shutil.which("clang++") is None,
        reason="needs a C++ compiler: apt-get install g++",
    ),
    pytest.mark.filterwarnings("ignore"),  # the compiler's own
]
CONV = nn.Conv2d(2, 3, 3, padding=1).requires_grad_(False)
SIZE = (7, 6)

LAYERS: dict[str, Callable[[], nn.Module]] = {
    "saturated": lambda: ex.attention_from_conv(CONV),
    "soft": lambda: ex.attention_from_conv(CONV, alpha=1.0),
    "minimal": lambda: ex.attention_from_conv(CONV, heads="minimal"),
    "multihead": lambda: ex.to_multihead(ex.attention_from_conv(CONV), size=SIZE),
}


class Layers(nn.Module):
    """All layers on one input: they are compiled together, which takes a while."""

    def __init__(self) -> None:
        super().__init__()
        made = {name: make().requires_grad_(False) for name, make in LAYERS.items()}
        self.layers = nn.ModuleDict(made)

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        return [layer(x) for layer in self.layers.values()]


@torch.no_grad()
def test_a_package_computes_what_torch_does(tmp_path: Path) -> None:
    model = Layers().eval()
    batch = torch.export.Dim("batch", min=1, max=64)
    x = torch.rand(2, 2, *SIZE)
    program = torch.export.export(model, (x,), dynamic_shapes=({0: batch},))
    path = torch._inductor.aoti_compile_and_package(
        program, package_path=str(tmp_path / "layers.pt2")
    )
    run = torch._inductor.aoti_load_package(path)
    for length in (1, 2, 5):
        x = 2 * torch.rand(length, 2, *SIZE) - 1
        for name, found, wanted in zip(LAYERS, run(x), model(x), strict=True):
            assert (found - wanted).abs().max() < 1e-6, name
