"""The arguments, options and examples of each command.

A command line becomes one of these values. Nothing here imports torch, so that help is
shown, and an output that cannot be written is refused, in less than a second.
"""

from expressivity.cli.arguments.layers import (
    Certify,
    Explore,
    RandomConvolution,
    Sourced,
    Sweep,
)
from expressivity.cli.arguments.networks import Convert, Demo, Show
from expressivity.cli.arguments.surveys import Atlas, Bench
from expressivity.cli.arguments.training import Train

__all__ = [
    "Atlas",
    "Bench",
    "Certify",
    "Convert",
    "Demo",
    "Explore",
    "RandomConvolution",
    "Show",
    "Sourced",
    "Sweep",
    "Train",
]
