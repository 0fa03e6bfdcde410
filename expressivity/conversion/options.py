"""What a conversion can be told: the options that it has everywhere."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from expressivity.attention.content import DEFAULT_GATE
from expressivity.checks import (
    check_choice,
    check_finite,
    check_integer,
    check_positive,
    check_size,
)
from expressivity.errors import ArgumentError
from expressivity.strategies import check_name

HeadKind = Literal["taps", "minimal"]


@dataclass(frozen=True)
class Options:
    """The options that :func:`expressivity.attention_from_conv` explains.

    Raises:
        ArgumentError: If a number is out of range, or options are combined that have
            no meaning together.
        StrategyError: If there is no such strategy.
    """

    alpha: float | None = None
    tolerance: float | None = None
    size: Sequence[int] | None = None
    head_dim: int | None = None
    strategy: str = "auto"
    heads: HeadKind = "taps"
    max_heads: int | None = None
    rings: int = 0
    content: int | None = None
    gate: float | None = DEFAULT_GATE

    def __post_init__(self) -> None:
        for name in ("alpha", "tolerance"):
            if getattr(self, name) is not None:
                check_positive(name, getattr(self, name))
        if self.head_dim is not None:
            check_integer("head_dim", self.head_dim)
        check_name(self.strategy)
        check_choice("heads", self.heads, get_args(HeadKind))
        check_integer("rings", self.rings, least=0)
        if self.content is not None:
            check_integer("content", self.content)
        self._check_gate()
        self._check_alpha_and_tolerance()
        if self.heads == "minimal":
            self._check_minimal()
        elif self.max_heads is not None:
            raise ArgumentError(
                f"max_heads goes with heads='minimal', got heads={self.heads!r}"
            )

    def _check_gate(self) -> None:
        gate = self.gate
        if gate is not None:
            check_finite("gate", gate)
        if self.content is None and gate != DEFAULT_GATE:
            raise ArgumentError(
                "gate goes with content, the dimension of its queries and keys: pass "
                f"content=, got {gate=} alone"
            )

    def _check_alpha_and_tolerance(self) -> None:
        alpha, tolerance, rings = self.alpha, self.tolerance, self.rings
        if alpha is not None and tolerance is not None:
            raise ArgumentError(
                f"give alpha or tolerance, not both, got {alpha=} and {tolerance=}"
            )
        if self.size is not None:
            check_size("size", self.size, least=0)
            if tolerance is None:
                raise ArgumentError(
                    "size goes with tolerance=, whose α it makes smaller, got "
                    f"size={tuple(self.size)} with {alpha=}"
                )
        if rings and alpha is None and self.heads != "minimal":
            raise ArgumentError(
                f"rings undo the smoothing of a given alpha: pass alpha=, got {rings=} "
                f"with {alpha=} and {tolerance=}"
            )

    def _check_minimal(self) -> None:
        alpha, tolerance, rings = self.alpha, self.tolerance, self.rings
        if alpha is not None or tolerance is not None or rings:
            raise ArgumentError(
                "heads='minimal' attends by tables, with alpha = 0 and no error but "
                "that of max_heads: leave alpha, tolerance and rings out, got "
                f"{alpha=}, {tolerance=} and {rings=}"
            )
        if self.max_heads is not None:  # one head can carry one sign only
            check_integer("max_heads", self.max_heads, least=2)
