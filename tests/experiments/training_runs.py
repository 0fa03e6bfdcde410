"""Runs that take a moment, for the tests of the loop."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch
from torch import nn

from expressivity.experiments.data import Dataset, Images
from expressivity.experiments.networks import Architecture, network
from expressivity.experiments.run import Run
from expressivity.experiments.schedule import Schedule

SIZES = Architecture(width=4, layers=1, heads=3, hidden=4, residual_width=2)
SCHEDULE = Schedule(
    epochs=4,
    batch=7,
    learning_rate=0.05,
    optimizer="adam",
    crop=1,
    flip=True,
    positions_rate=2.0,
)


def stripes(count: int = 24) -> Dataset:
    """Return images with a bright row or a bright column, and noise."""
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 100, (count, 1, 4, 4), generator=generator)
    labels = torch.arange(count) % 2
    places = torch.randint(4, (count,), generator=generator)
    for image, label, place in zip(pixels, labels, places, strict=True):
        line = image[0, place] if label else image[0, :, place]
        line += 150
    part = Images(pixels.byte(), labels)
    train, test = part[torch.arange(count) < 15], part[torch.arange(count) >= 15]
    return Dataset("stripes", train, test, ("column", "row"))


def run_of(
    name: str = "isotropic",
    seed: int = 0,
    *,
    dropout: float = 0.1,
    keep: str | None = None,
    build: Callable[[], nn.Module] | None = None,
    **schedule: object,
) -> Run:
    """Return a run of a small network."""
    data = stripes()
    sizes = replace(SIZES, dropout=dropout)
    return Run(
        name,
        seed,
        build or partial(network, name, sizes, data),
        data,
        replace(SCHEDULE, **schedule),
        keep=keep,
    )
