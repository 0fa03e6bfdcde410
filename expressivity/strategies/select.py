"""The ordered registry of strategies: choose one, say why, and run it."""

import math
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from expressivity.checks import shown
from expressivity.errors import StrategyError
from expressivity.geometry.grid import Grid
from expressivity.heads.parameters import Heads
from expressivity.machine.recording import is_traced
from expressivity.strategies.base import Attend, Strategy
from expressivity.strategies.dense import Dense
from expressivity.strategies.fused import Fused
from expressivity.strategies.gated import attend_by_content, describe
from expressivity.strategies.normalised import Normalised
from expressivity.strategies.separable import Separable

AUTO = "auto"
_DENSE = Dense()
# The preferred first.
STRATEGIES: tuple[Strategy, ...] = (Separable(), Normalised(), Fused(), _DENSE)
# Scores of a batch up to which the definition is faster than a kernel a head, on a CPU:
# benchmarks/content_crossover.py. Twice as many take about as long either way.
FEW_SCORES = 2**21


@dataclass(frozen=True)
class Explanation:
    """Which strategy runs on an input, and why.

    Attributes:
        requested: What the layer was set to: a name or ``"auto"``.
        chosen: The name of the strategy that runs, ``None`` if none can.
        reasons: For every strategy, why it cannot run; ``None`` if it can.
        details: What the chosen one does with these heads on this input.
    """

    requested: str
    chosen: str | None
    reasons: dict[str, str | None]
    details: tuple[str, ...] = ()

    def __str__(self) -> str:
        lines = [f"strategy {self.requested!r} runs {self.chosen or 'nothing'}"]
        for strategy in STRATEGIES:
            reason = self.reasons[strategy.name]
            mark = "*" if strategy.name == self.chosen else "-"
            verdict = f"cannot run: {reason}" if reason else strategy.summary
            lines.append(f"  {mark} {strategy.name}: {verdict}")
            if strategy.name == self.chosen:
                lines.extend(f"      {detail}" for detail in self.details)
        return "\n".join(lines)


def check_name(name: str) -> str:
    """Return the name of a strategy or ``"auto"``, or raise a ``StrategyError``."""
    names = [AUTO] + [strategy.name for strategy in STRATEGIES]
    if not isinstance(name, str) or name not in names:
        raise StrategyError(f"strategy needs one of {names}, got {shown(name)}")
    return name


def select(name: str, heads: Heads, grid: Grid, x: Tensor) -> Strategy:
    """Return the strategy of a name; for ``"auto"``, the preferred one that can run.

    Raises:
        StrategyError: If the named one, or all of them, cannot run; the message
            holds the reasons.
    """
    refusals = []
    for strategy in _in_order(heads, grid, x):
        if name in (AUTO, strategy.name):
            reason = strategy.why_not(heads, grid, x)
            if reason is None:
                return strategy
            refusals.append(f"{strategy.name} cannot run: {reason}")
    check_name(name)
    raise StrategyError("; ".join(refusals))


def attend(
    name: str, heads: Heads, grid: Grid, x: Float[Tensor, "batch channels ..."]
) -> Float[Tensor, "batch out_channels ..."]:
    """Return the attention output at every query, bias included.

    Gated content is evaluated beside the strategy, whose heads are then those of the
    positions alone. The definition takes both at once.

    Args:
        name: The name of a strategy or ``"auto"``.
        heads: Parameters of the heads.
        grid: Canvas and queries.
        x: Input, (batch, channels, *size).

    Returns:
        (batch, out_channels, *output size).

    Raises:
        StrategyError: If the strategy cannot run.
    """
    strategy = select(name, heads, grid, x)
    gated = heads.gated
    if gated is None or isinstance(strategy, Dense):
        return strategy.attend(heads, grid, x)
    output = strategy.attend(heads.positional(), grid, x)
    return output + attend_by_content(heads, gated, grid, x).to(output.dtype)


def prepared(name: str, heads: Heads, grid: Grid, x: Tensor) -> Attend | None:
    """Return :func:`attend` as a function of the input alone, if a strategy has one.

    :meth:`Strategy.prepared` says for how long it holds.
    """
    if heads.gated is not None:
        return None
    return select(name, heads, grid, x).prepared(heads, grid)


def explain(name: str, heads: Heads, grid: Grid, x: Tensor) -> Explanation:
    """Return the choice that :func:`select` makes, and the reason of each strategy."""
    check_name(name)
    reasons = {s.name: s.why_not(heads, grid, x) for s in STRATEGIES}
    for strategy in _in_order(heads, grid, x):
        if name in (AUTO, strategy.name) and reasons[strategy.name] is None:
            own = heads if isinstance(strategy, Dense) else heads.positional()
            details = strategy.details(own, grid, x)
            if heads.gated is not None:
                details = [*details, describe(heads.gated)]
            return Explanation(name, strategy.name, reasons, tuple(details))
    return Explanation(name, None, reasons)


def _in_order(heads: Heads, grid: Grid, x: Tensor) -> tuple[Strategy, ...]:
    """Return all strategies, the preferred first: few content scores are best dense."""
    if heads.content is None or not x.is_cpu or is_traced():
        return STRATEGIES
    queries, keys = math.prod(map(len, grid.queries)), math.prod(grid.canvas_size)
    if len(x) * len(heads.alpha) * queries * keys > FEW_SCORES:
        return STRATEGIES
    return (_DENSE, *(each for each in STRATEGIES if each is not _DENSE))
