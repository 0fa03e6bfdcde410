"""What a folder holds: read, checked for damage, and nothing of it executed."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import file_digest
from pathlib import Path
from typing import Self

import msgspec
import torch
from msgspec import Struct
from torch import Tensor, nn

from expressivity.accuracy.certificate import Certificate, Layer
from expressivity.attention import RelativeSelfAttention
from expressivity.errors import ExpressivityError, FileError
from expressivity.machine.files import check_input
from expressivity.machine.weights import assigned, read_tensors
from expressivity.saved.document import Document, LayerEntry, read_document, read_json
from expressivity.saved.names import (
    CARD,
    CERTIFICATES,
    CONVOLUTIONS,
    PROGRAM,
    WEIGHTS,
)
from expressivity.saved.reference import Numbers, restated, stored_convolution
from expressivity.stock.multihead import ImageMultihead


class _CertificateRow(Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    reason: str
    certificate: dict[str, object] | None


class _Certificates(Struct, frozen=True, forbid_unknown_fields=True):
    layers: list[_CertificateRow]


@dataclass(frozen=True)
class Saved:
    """A folder that ``save`` wrote.

    Attributes:
        folder: The folder.
        document: Its structure.
        tensors: All tensors of the layer or the network, by name.
    """

    folder: Path
    document: Document
    tensors: dict[str, Tensor]

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read the structure and the weights.

        Args:
            folder: What ``save`` wrote.

        Returns:
            What it holds.

        Raises:
            FileError: If something is missing, damaged, of another kind or newer.
        """
        document = read_document(folder)
        tensors = read_tensors(_whole(folder, document, WEIGHTS))
        for name, other in document.shared.items():
            if name in tensors or other not in tensors:
                raise FileError(
                    f"{folder / WEIGHTS} needs {other!r}, which {name!r} shares, and "
                    "not both: it belongs to another document"
                )
        shared = {name: tensors[other] for name, other in document.shared.items()}
        return cls(folder, document, {**tensors, **shared})

    @cached_property
    def layers(self) -> dict[str, Layer]:
        """The layers with their numbers, by name.

        Raises:
            FileError: If the weights are not those that the document describes.
        """
        return {entry.places[0]: self._layer(entry) for entry in self.document.layers}

    @property
    def layer(self) -> RelativeSelfAttention:
        """The layer of a folder that holds only one."""
        (entry,) = self.document.layers
        return entry.layer.filled(self.tensors)

    def program(self) -> nn.Module:
        """Return the network as the program that is stored beside; it runs code.

        Raises:
            FileError: If there is none, or it is damaged.
        """
        if PROGRAM not in self.document.files:
            raise FileError(
                f"{self.folder} holds no program: save it with program=True and "
                "inputs=, or load it into the network, load(folder, into=model)"
            )
        path = _whole(self.folder, self.document, PROGRAM)
        try:
            return torch.export.load(path).module()
        except Exception as error:
            raise FileError(
                f"{path} cannot be loaded by torch {torch.__version__} "
                f"({type(error).__name__}: {error}); it was written by torch "
                f"{self.document.torch}"
            ) from error

    def numbers(self) -> list[Numbers]:
        """Compute all that is stated of the layers again, and check certificates.

        Returns:
            The numbers of every layer.

        Raises:
            FileError: If certificates or convolutions are missing or damaged.
            CertificateError: If a certificate does not hold.
        """
        rows, tensors = self._rows(), self._convolutions()
        if rows.keys() != self.layers.keys():
            raise FileError(
                f"{self.folder / CERTIFICATES} needs one entry for each of "
                f"{', '.join(self.layers)}, got {', '.join(rows)}"
            )
        return [
            restated(
                name,
                layer,
                stored_convolution(layer, name, tensors),
                _certificate(rows[name]),
                rows[name].reason,
            )
            for name, layer in self.layers.items()
        ]

    def card(self) -> str:
        """Return the text of the model card; nothing if there is none.

        Raises:
            FileError: If it cannot be read.
        """
        path = self.folder / CARD
        if not path.exists():
            return ""
        check_input(path)
        try:
            return path.read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            raise FileError(f"{path} cannot be read as text: {error}") from error

    def _layer(self, entry: LayerEntry) -> Layer:
        name = entry.places[0]
        prefix = f"{name}." if name else ""
        own = {
            key.removeprefix(prefix): tensor
            for key, tensor in self.tensors.items()
            if key.startswith(prefix)
        }
        try:
            return assigned(_unfilled(entry), own).eval()
        except FileError as error:
            where = f"layer {name!r} of {self.folder}" if name else f"{self.folder}"
            raise FileError(f"{where} is damaged: {error}") from error

    def _rows(self) -> dict[str, _CertificateRow]:
        path = _whole(self.folder, self.document, CERTIFICATES)
        try:
            content = msgspec.convert(read_json(path), _Certificates)
        except (msgspec.ValidationError, RecursionError) as error:
            raise FileError(f"{path} is incomplete or damaged: {error}") from error
        return {row.name: row for row in content.layers}

    def _convolutions(self) -> dict[str, Tensor]:
        tensors = read_tensors(_whole(self.folder, self.document, CONVOLUTIONS))
        known = {f"{n}.{role}" for n in self.layers for role in ("weight", "bias")}
        if foreign := tensors.keys() - known:
            raise FileError(
                f"{self.folder / CONVOLUTIONS} holds {sorted(foreign)[0]!r}, which "
                "belongs to no layer"
            )
        return tensors


def digest(path: Path) -> tuple[int, str]:
    """Return the length of a file and its SHA-256 in hexadecimal digits."""
    with path.open("rb") as file:
        return path.stat().st_size, file_digest(file, "sha256").hexdigest()


def unfilled(layers: Sequence[LayerEntry]) -> dict[str, Layer]:
    """Return a layer without numbers for every place that a document names.

    Raises:
        FileError: If no layer has the structure that is described.
    """
    places: dict[str, Layer] = {}
    for entry in layers:
        places.update(dict.fromkeys(entry.places, _unfilled(entry)))
    return places


def _unfilled(entry: LayerEntry) -> Layer:
    if entry.multihead_size is None:
        return entry.layer.layer()
    try:
        return ImageMultihead.unfilled(entry.layer, entry.multihead_size)
    except ExpressivityError as error:
        raise FileError(f"no layer is described: {error}") from error


def _certificate(row: _CertificateRow) -> Certificate | None:
    return None if row.certificate is None else Certificate.from_dict(row.certificate)


def _whole(folder: Path, document: Document, name: str) -> Path:
    """Return the path of a file that is as long as it was, with the same content."""
    path = folder / name
    entry = document.files.get(name)  # type: ignore[call-overload]
    if entry is None:
        raise FileError(f"{folder} holds no {name}: save the conversion again")
    check_input(path)
    try:
        size = path.stat().st_size
        if size != entry.bytes:
            raise FileError(
                f"{path} needs {entry.bytes} bytes, got {size}: it is cut off or "
                "belongs to another document"
            )
        if digest(path)[1] != entry.sha256:
            raise FileError(
                f"{path} is not what was saved (its sha256 differs): it is damaged or "
                "belongs to another document"
            )
    except FileError:
        raise
    except OSError as error:
        raise FileError(f"{path} cannot be read: {error.strerror}") from error
    return path
