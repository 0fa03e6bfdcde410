"""What a conversion did: one record a convolution, and the table of them."""

import io
from dataclasses import asdict, dataclass
from typing import Any, Literal

from rich.console import Console
from rich.table import Table
from torch import nn


@dataclass(frozen=True)
class LayerRecord:
    """What became of one convolution.

    Attributes:
        name: Its (first) name in the model; empty for the model itself.
        kind: The name of its class.
        status: ``"converted"``, or ``"kept"`` where it was left in place.
        reason: Why it was kept; for a converted one, what to know about it.
        kernel_size: Taps per axis, ``None`` if the module does not say.
        num_heads: Heads of the attention, ``None`` if kept.
        alpha: Locality strength of the heads, 1/pixel², ``None`` if kept.
        worst_case_error: Largest absolute error of any output over inputs with
            ‖x‖_∞ ≤ 1 of any size, in exact arithmetic; ``None`` if kept.
    """

    name: str
    kind: str
    status: Literal["converted", "kept"]
    reason: str = ""
    kernel_size: tuple[int, ...] | None = None
    num_heads: int | None = None
    alpha: float | None = None
    worst_case_error: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the record as plain data, ready for JSON.

        Returns:
            One entry an attribute.
        """
        return asdict(self)


@dataclass(frozen=True)
class Conversion:
    """A converted network and what was done to it.

    Attributes:
        model: The converted network; shares nothing with the given one.
        layers: One record a convolution, in the order of the model.
    """

    model: nn.Module
    layers: tuple[LayerRecord, ...]

    @property
    def converted(self) -> tuple[LayerRecord, ...]:
        """The records of the convolutions that became attention."""
        return tuple(layer for layer in self.layers if layer.status == "converted")

    @property
    def kept(self) -> tuple[LayerRecord, ...]:
        """The records of the convolutions that were left in place."""
        return tuple(layer for layer in self.layers if layer.status == "kept")

    def table(self, *, width: int = 100) -> str:
        """Return all records as a table of text.

        Args:
            width: Characters in a line.

        Returns:
            A title line that counts, then one row a convolution.
        """
        buffer = io.StringIO()
        console = Console(
            file=buffer, width=width, color_system=None, force_jupyter=False
        )
        console.print(self.rich_table())
        return buffer.getvalue()

    def rich_table(self) -> Table:
        """Return all records as a rich table, for a terminal.

        Returns:
            The table; the reasons are a column only where there are any.
        """
        explained = any(layer.reason for layer in self.layers)
        table = Table(
            title=f"{len(self.converted)} of {len(self.layers)} convolutions converted",
            title_justify="left",
        )
        table.add_column("layer", overflow="fold")
        table.add_column("status")
        table.add_column("kernel", justify="right")
        table.add_column("heads", justify="right")
        table.add_column("α [1/px²]", justify="right")
        table.add_column("worst case", justify="right")
        if explained:
            table.add_column("reason", overflow="fold", ratio=1)
        for layer in self.layers:
            cells = _cells(layer) + ([layer.reason] if explained else [])
            table.add_row(*cells)
        return table


def _cells(layer: LayerRecord) -> list[str]:
    kernel = "" if layer.kernel_size is None else "×".join(map(str, layer.kernel_size))
    numbers = [
        "" if layer.num_heads is None else str(layer.num_heads),
        "" if layer.alpha is None else f"{layer.alpha:.4g}",
        "" if layer.worst_case_error is None else f"{layer.worst_case_error:.1e}",
    ]
    return [layer.name or "(the model)", layer.status, kernel, *numbers]
