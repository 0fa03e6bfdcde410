"""The result of a conversion: one record a convolution, and a table of them."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, Self

from rich.console import Group
from torch import nn

from expressivity.checks import Progress, check_instance, check_integer
from expressivity.conversion.network.record_table import (
    RecordTable,
    Row,
    as_html,
    as_renderable,
)
from expressivity.results import Result, as_text
from expressivity.saved.content import Content
from expressivity.saved.program import Example

# Characters in a line, and names in a sentence.
_WIDEST, _LISTED = 100_000, 3


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
            ‖x‖_∞ ≤ 1 of any size, in exact arithmetic; gated content counts as error
            in its whole share. ``None`` if kept.
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


@dataclass(frozen=True)
class EndToEnd:
    """What a whole network was found to differ by, on given inputs.

    Nothing is proved of other inputs: certificates are about layers.

    Attributes:
        tolerance: The largest difference that was allowed, absolute.
        measured: The largest difference of any output, absolute.
    """

    tolerance: float
    measured: float


@dataclass(frozen=True, repr=False)
class Conversion(Result):
    """A converted network and what became of its convolutions.

    Attributes:
        model: The converted network, made from a copy of the given one.
        layers: One record a convolution, in the order of the model.
        remarks: Code of the model that attention does not suit, a sentence each.
        ruled_out: Names of convolutions that stay because of what happened when the
            converted model ran on ``inputs``.
        end_to_end: What was measured, where a tolerance was given with ``inputs``.
    """

    model: nn.Module
    layers: tuple[LayerRecord, ...]
    remarks: tuple[str, ...] = ()
    ruled_out: tuple[str, ...] = ()
    end_to_end: EndToEnd | None = None

    def __repr__(self) -> str:
        return (
            f"Conversion({len(self.converted)} of {len(self.layers)} convolutions of "
            f"{type(self.model).__name__} converted)"
        )

    def __str__(self) -> str:
        lines = [f"{self._title}, in a {type(self.model).__name__}"]
        if self.converted:
            worst = max(self.converted, key=lambda layer: layer.worst_case_error or 0.0)
            heads = sum(layer.num_heads or 0 for layer in self.converted)
            lines.append(
                f"{heads} heads; worst case {worst.worst_case_error:.1e} in any layer, "
                f"for its inputs within ±1 ({_named(worst)})"
            )
        if self.end_to_end is not None:
            lines.append(
                f"measured {self.end_to_end.measured:.2g} end to end on the given "
                f"inputs, within {self.end_to_end.tolerance:.2g}; certified is each "
                "layer alone"
            )
        if self.kept:
            names = [_named(layer) for layer in self.kept]
            more = ", …" if len(names) > _LISTED else ""
            lines.append(f"kept: {', '.join(names[:_LISTED])}{more}")
        if self.remarks:
            lines.append(f"remarks: {len(self.remarks)}")
        return "\n".join([*lines, "all layers, reasons and remarks: .table()"])

    def to_dict(self) -> dict[str, Any]:
        """Return everything but the model as JSON takes it."""
        return {
            "layers": [layer.to_dict() for layer in self.layers],
            "remarks": list(self.remarks),
            "ruled_out": list(self.ruled_out),
            "end_to_end": self.end_to_end and asdict(self.end_to_end),
        }

    def save(
        self,
        folder: str | Path,
        *,
        original: nn.Module | None = None,
        inputs: object = None,
        program: bool = False,
        input_bound: float = 1.0,
        about: str = "",
        force: bool = False,
        progress: Progress | None = None,
    ) -> None:
        """Write the network into a folder: weights, structure, certificates, a card.

        The folder then holds ``model.safetensors``, ``config.json``,
        ``certificates.json`` and ``README.md``, the model card, for
        :func:`expressivity.load` and ``expressivity show``. What certificates compare
        with is in ``convolutions.safetensors`` where a layer does not name it itself.

        Args:
            folder: Made if it is missing.
            original: The network that was converted, for certificates about its
                convolutions. By default a layer is compared with the convolution that
                its heads name: after training, too, that is the one that it computes.
            inputs: Arguments of the network, as for :func:`expressivity.convert`:
                certificates are then for the size of each layer's own input, without
                them for every size.
            program: Whether to store the network, in evaluation mode, as a program of
                ``torch.export`` as well, which needs ``inputs``.
            input_bound: Largest absolute value of any layer's input, for certificates.
            about: Paragraphs for the model card, in Markdown.
            force: Whether files of these names may be replaced.
            progress: Wraps the iterable of layers that are certified, as ``tqdm``
                does; by default nothing.

        Raises:
            ArgumentError: If an option is out of range, or ``original`` lacks a
                convolution.
            FileError: If a file exists and ``force`` is not given, cannot be written,
                or the state holds what no file of tensors can.
            InputError: If the network cannot run on ``inputs``.
            UnsupportedModuleError: If it holds no attention layer, a layer does not
                compute what its parameters say, or torch cannot export it.

        Example:
            >>> from tempfile import TemporaryDirectory
            >>> from expressivity import convert
            >>> conversion = convert(nn.Sequential(nn.Conv1d(1, 2, 3), nn.Tanh()))
            >>> with TemporaryDirectory() as folder:
            ...     conversion.save(folder)
            ...     for path in sorted(Path(folder).iterdir()):
            ...         print(path.name)
            README.md
            certificates.json
            config.json
            convolutions.safetensors
            model.safetensors
        """
        self.content(
            original=original,
            inputs=inputs,
            program=program,
            input_bound=input_bound,
            about=about,
            progress=progress,
        ).save(folder, force=force)

    def content(
        self,
        *,
        original: nn.Module | None = None,
        inputs: object = None,
        program: bool = False,
        input_bound: float = 1.0,
        about: str = "",
        progress: Progress | None = None,
    ) -> Content:
        """Return what :meth:`save` writes."""
        return Content(
            self.model,
            original=original,
            records=[layer.to_dict() for layer in self.layers],
            remarks=self.remarks,
            ruled_out=self.ruled_out,
            example=None if inputs is None else Example(inputs),
            with_program=program,
            input_bound=input_bound,
            about=about,
            progress=progress,
        )

    @property
    def converted(self) -> tuple[LayerRecord, ...]:
        """The records of the convolutions that became attention."""
        return tuple(layer for layer in self.layers if layer.status == "converted")

    @property
    def kept(self) -> tuple[LayerRecord, ...]:
        """The records of the convolutions that stay in place."""
        return tuple(layer for layer in self.layers if layer.status == "kept")

    def table(self, *, width: int = 100) -> RecordTable:
        """Return all records as text, in lines of so many characters.

        A table has a row a convolution. Below it are their reasons and the remarks. A
        notebook shows it as HTML.
        """
        width = check_integer("width", width, most=_WIDEST)
        return RecordTable(as_text(self.renderable(), width), self._repr_html_())

    def renderable(self) -> Group:
        """Return what :meth:`table` prints, for a rich console."""
        return as_renderable(self._title, self._rows, self.remarks)

    def _repr_html_(self) -> str:
        return as_html(self._title, self._rows, self.remarks)

    @property
    def _title(self) -> str:
        return f"{len(self.converted)} of {len(self.layers)} convolutions converted"

    @property
    def _rows(self) -> list[Row]:
        return [
            Row(_named(layer), layer.status, _numbers(layer), layer.reason)
            for layer in self.layers
        ]


def _numbers(layer: LayerRecord) -> list[str]:
    kernel = "" if layer.kernel_size is None else "×".join(map(str, layer.kernel_size))
    return [
        kernel,
        "" if layer.num_heads is None else str(layer.num_heads),
        "" if layer.alpha is None else f"{layer.alpha:.4g}",
        "" if layer.worst_case_error is None else f"{layer.worst_case_error:.1e}",
    ]


def _named(layer: LayerRecord) -> str:
    return layer.name or "(the model)"
