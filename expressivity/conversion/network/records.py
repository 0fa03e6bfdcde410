"""The result of a conversion: one record a convolution, and a table of them."""

from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, Self

from rich.console import Group
from rich.text import Text
from torch import nn

from expressivity.checks import check_instance, check_integer
from expressivity.listing import Listing
from expressivity.results import Result, as_text

# Characters in a line.
_WIDEST = 100_000


@dataclass(frozen=True)
class LayerRecord:
    """What became of one convolution.

    Attributes:
        name: Its (first) name in the model; empty for the model itself.
        kind: The name of its class.
        status: ``"converted"``, or ``"kept"`` for one that stays in place.
        reason: Why it stays; for a converted one, a remark.
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

    def with_reason(self, *sentences: str) -> Self:
        """Return a record with some sentences added to the reason."""
        for sentence in sentences:
            check_instance("sentences", sentence, str, "Give text")
        return replace(self, reason="; ".join(filter(None, [self.reason, *sentences])))

    def to_dict(self) -> dict[str, Any]:
        """Return the record as plain data, ready for JSON."""
        return asdict(self)


@dataclass(frozen=True, repr=False)
class Conversion(Result):
    """A converted network and what became of its convolutions.

    Attributes:
        model: The converted network, made from a copy of the given one.
        layers: One record a convolution, in the order of the model.
        remarks: Code of the model that attention does not suit, a sentence each.
        ruled_out: Names of convolutions that stay because of what happened when the
            converted model ran on ``inputs``.
    """

    model: nn.Module
    layers: tuple[LayerRecord, ...]
    remarks: tuple[str, ...] = ()
    ruled_out: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return (
            f"Conversion({len(self.converted)} of {len(self.layers)} convolutions of "
            f"{type(self.model).__name__} converted)"
        )

    def __str__(self) -> str:
        return self.table()

    def to_dict(self) -> dict[str, Any]:
        """Return everything but the model as JSON takes it."""
        return {
            "layers": [layer.to_dict() for layer in self.layers],
            "remarks": list(self.remarks),
            "ruled_out": list(self.ruled_out),
        }

    @property
    def converted(self) -> tuple[LayerRecord, ...]:
        """The records of the convolutions that became attention."""
        return tuple(layer for layer in self.layers if layer.status == "converted")

    @property
    def kept(self) -> tuple[LayerRecord, ...]:
        """The records of the convolutions that stay in place."""
        return tuple(layer for layer in self.layers if layer.status == "kept")

    def table(self, *, width: int = 100) -> str:
        """Return all records as text, in lines of so many characters.

        A table has a row a convolution. Below it are their reasons and the remarks.
        """
        width = check_integer("width", width, most=_WIDEST)
        return as_text(self.renderable(), width)

    def renderable(self) -> Group:
        """Return what :meth:`table` prints, for a rich console."""
        table = Listing(
            title=f"{len(self.converted)} of {len(self.layers)} convolutions converted",
            title_justify="left",
        )
        table.add_column("layer", overflow="fold")
        table.add_column("status")
        for column in ("kernel", "heads", "α [1/px²]", "worst case"):
            table.add_column(column, justify="right")
        for layer in self.layers:
            table.add_row(*_cells(layer))
        notes = Listing.grid(padding=(0, 2))
        for _ in range(2):
            notes.add_column(overflow="fold")
        for layer in self.layers:
            if layer.reason:
                notes.add_row(_named(layer), Text(layer.reason))
        for remark in self.remarks:
            notes.add_row("remark", Text(remark))
        return Group(table, *([notes] if notes.row_count else []))


def _cells(layer: LayerRecord) -> list[str]:
    kernel = "" if layer.kernel_size is None else "×".join(map(str, layer.kernel_size))
    numbers = [
        "" if layer.num_heads is None else str(layer.num_heads),
        "" if layer.alpha is None else f"{layer.alpha:.4g}",
        "" if layer.worst_case_error is None else f"{layer.worst_case_error:.1e}",
    ]
    return [_named(layer), layer.status, kernel, *numbers]


def _named(layer: LayerRecord) -> str:
    return layer.name or "(the model)"
