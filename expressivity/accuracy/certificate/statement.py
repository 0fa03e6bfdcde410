"""What is certified about a layer: in words, as JSON, and as numbers."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from decimal import ROUND_CEILING, Decimal, localcontext
from pathlib import Path
from typing import Self

import torch
from jaxtyping import Float
from torch import Tensor

from expressivity.accuracy.certificate.document import (
    FORMAT,
    PARTS,
    choose,
    parse,
    read,
)
from expressivity.accuracy.certificate.worst_input import WorstInput
from expressivity.errors import FileError
from expressivity.machine.files import written_together
from expressivity.results import Result, card

# Sums of a few float64 numbers are right to more digits than that.
UP = 1 + 2.0**-48
# Two processors add up in other orders, and may find another of two equal rows.
ALIKE = 1e-6


@dataclass(frozen=True, eq=False, repr=False)
class Statement(Result):
    """What a certificate states, which :class:`Certificate` documents."""

    layer: str
    convolution: str
    input_bound: float
    size: tuple[int, ...] | None
    dtype: str
    strategy: str
    exact_part: Float[Tensor, " out_channels"]
    layer_rounding: Float[Tensor, " out_channels"]
    convolution_rounding: Float[Tensor, " out_channels"]
    worst: WorstInput
    assumptions: tuple[str, ...]
    fingerprint: str
    made_by: str

    @property
    def rounding_part(self) -> Float[Tensor, " out_channels"]:
        """What rounding adds on both sides, per output channel."""
        return (self.layer_rounding + self.convolution_rounding) * UP

    @property
    def bound(self) -> Float[Tensor, " out_channels"]:
        """The certified bound, per output channel, absolute."""
        return (self.exact_part + self.rounding_part) * UP

    @property
    def attained(self) -> float:
        """What the worst input attains in exact arithmetic, rounded downward."""
        return self.worst.attained

    @property
    def worst_input(self) -> Float[Tensor, "one in_channels ..."]:
        """The worst input, in the dtype of the layer."""
        dtype = getattr(torch, self.dtype)
        value = torch.tensor(self.input_bound, dtype=dtype, device="cpu")
        if value.double() > self.input_bound:
            value = torch.nextafter(value, torch.zeros_like(value))
        return self.worst.tensor(value.double().item(), dtype)

    def __repr__(self) -> str:
        size = "any size" if self.size is None else "×".join(map(str, self.size))
        return (
            f"{type(self).__name__}(|attention − conv| ≤ {_up(self.bound)} for "
            f"‖x‖_∞ ≤ {self.input_bound:g}, {size}, {self.dtype}, {self.strategy!r})"
        )

    def __str__(self) -> str:
        size, worst = self.size, self.worst
        inputs = "any size" if size is None else f"{'×'.join(map(str, size))} pixels"
        exact = float(self.exact_part[worst.channel])
        part = f"{self.attained / exact:.4%} of it" if exact else "it"
        return (
            f"For every input x of {inputs} with ‖x‖_∞ ≤ {self.input_bound:g}, "
            f"{self.layer} and {self.convolution}, in {self.dtype} and evaluated by "
            f"{self.strategy!r}, differ by at most {_up(self.bound)} in any output. In "
            f"exact arithmetic it is at most {_up(self.exact_part)} (the worst input "
            f"that was found attains {part}, in channel {worst.channel} at output "
            f"{worst.output}); rounding adds at most {_up(self.layer_rounding)} to the "
            f"layer and {_up(self.convolution_rounding)} to the convolution, provided "
            f"that {'; '.join(self.assumptions)}. Parameters: sha256 "
            f"{self.fingerprint[:16]}…"
        )

    def _repr_html_(self) -> str:
        size, exact = self.size, float(self.exact_part.max())
        share = f", {self.attained / exact:.2%} of that" if exact else ""
        pixels = "any size" if size is None else f"{'×'.join(map(str, size))} pixels"
        rows = (
            ("inputs", f"every x of {pixels} within ±{self.input_bound:g}"),
            ("|attention − conv|", f"≤ {_up(self.bound)}"),
            ("… in exact arithmetic", f"≤ {_up(self.exact_part)}"),
            ("… by rounding", f"≤ {_up(self.rounding_part)}"),
            ("the worst input attains", f"{self.attained:.3g}{share}"),
            ("evaluated", f"in {self.dtype} by {self.strategy!r}"),
            ("parameters", f"sha256 {self.fingerprint[:16]}…"),
        )
        return card("Certificate", rows, str(self))

    def to_dict(self) -> dict[str, object]:
        """Return the certificate as JSON has it.

        Returns:
            Numbers, strings, lists and dictionaries only.
        """
        fields = {
            name: value
            for name, value in vars(self).items()
            if not name.startswith("_")
        }
        for name in PARTS:
            fields[name] = fields[name].tolist()
        fields["worst"] = asdict(self.worst)
        summary = {"bound": self.bound.tolist(), "attained": self.attained}
        return {"format": FORMAT, **fields, **summary}

    @classmethod
    def from_dict(cls, document: object) -> Self:
        """Build a certificate from what :meth:`to_dict` returned.

        Args:
            document: The dictionary.

        Returns:
            The certificate, without the layer and the convolution.

        Raises:
            FileError: If it is no certificate.
        """
        parsed = parse(document)
        fields = {
            name: getattr(parsed, name)
            for name in cls.__dataclass_fields__
            if not name.startswith("_")
        }
        for name in PARTS:
            fields[name] = torch.tensor(fields[name], dtype=torch.float64, device="cpu")
        worst = {
            name: getattr(parsed.worst, name) for name in parsed.worst.__struct_fields__
        }
        certificate = cls(**{**fields, "worst": WorstInput(**worst)})
        stated = torch.tensor(parsed.bound, dtype=torch.float64, device="cpu")
        if (
            not are_alike(stated, certificate.bound)
            or parsed.attained != worst["attained"]
        ):
            raise FileError(
                "the certificate is damaged: bound and attained need to follow from "
                "its parts and its worst input"
            )
        return certificate

    def save(self, path: str | Path) -> None:
        """Write the certificate as JSON, whole or not at all.

        Args:
            path: The file; replaced if it exists.

        Raises:
            FileError: If it cannot be written.
        """
        with written_together([Path(path)], force=True) as [draft]:
            text = json.dumps(self.to_dict(), indent=1, allow_nan=False)
            draft.write_text(text + "\n", encoding="utf-8")

    @classmethod
    def load(
        cls,
        path: str | Path,
        *,
        layer: str | None = None,
        size: Sequence[int] | None = None,
    ) -> Self:
        """Read a certificate.

        Args:
            path: A file that :meth:`save` or ``expressivity certify --output`` wrote.
            layer: Which layer, by its name, where the file holds those of a model.
            size: Which of its sizes, in pixels per axis, where it has several.

        Returns:
            The certificate; :meth:`check` then needs the layer and the convolution.

        Raises:
            FileError: If it cannot be read, is no certificate, or holds several that
                fit.
        """
        return cls.from_dict(choose(read(Path(path)), layer, size))


def are_alike(stated: Tensor, found: Tensor) -> bool:
    """Return whether two bounds differ by no more than orders of summation."""
    return stated.shape == found.shape and all(
        math.isclose(one, other, rel_tol=ALIKE)
        for one, other in zip(stated.tolist(), found.tolist(), strict=True)
    )


def _up(numbers: Tensor) -> str:
    """Write the largest of some bounds in three digits, rounded upward."""
    with localcontext(prec=3, rounding=ROUND_CEILING):
        return f"{+Decimal(float(numbers.max())):.3g}"
