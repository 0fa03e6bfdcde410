"""What the command line says of the library, without importing it, is true."""

from typing import get_args, get_type_hints

from expressivity.atlas.evidence import STEPS
from expressivity.cli.arguments import Atlas, Convert, Sweep
from expressivity.strategies import STRATEGIES
from expressivity.sweep import POINTS, SOFTEST


def test_defaults_are_those_of_the_library() -> None:
    assert Atlas.steps == STEPS
    assert (Sweep.points, Sweep.alpha_min) == (POINTS, SOFTEST)


def test_every_strategy_is_named() -> None:
    _, option = get_args(get_type_hints(Convert, include_extras=True)["strategy"])
    for strategy in STRATEGIES:
        assert strategy.name in option.help
