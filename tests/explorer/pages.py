"""A small page for the tests."""

import torch
from torch import nn

from expressivity.explorer.page import Page
from expressivity.explorer.scene import Scene
from expressivity.explorer.subject import Subject

FAMILIES = ("alibi", "content")
SIZE = 16  # pixels of the layer that the time of a frame is measured on


def subjects() -> list[Subject]:
    """Return nine heads on 16×16 pixels, and a layer whose heads are trained."""
    torch.manual_seed(0)
    sobel = nn.Conv2d(1, 1, 3, padding=1, bias=False)
    rows = torch.tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]]) / 4
    mixed = nn.Conv2d(3, 4, 3, padding=1, padding_mode="reflect")
    with torch.no_grad():
        sobel.weight.copy_(rows)
    return [
        Subject.of("sobel", "Sobel", sobel, 2 * torch.rand(1, SIZE, SIZE) - 1),
        Subject.of("mixed", "Mixed", mixed, torch.randn(3, 7, 8)),
    ]


def make() -> Page:
    with torch.random.fork_rng(devices=[]):
        return Page(Scene.of(subjects(), families=FAMILIES))
