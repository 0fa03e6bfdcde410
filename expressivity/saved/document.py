"""``config.json``: the structure of what is saved, checked when it is read.

A document is data from anywhere. Whatever it holds, reading it ends in a ``Document``
that makes sense by itself or in a ``FileError`` that says what does not.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Struct

from expressivity.attention.description import LayerDescription
from expressivity.errors import FileError
from expressivity.machine.files import check_input
from expressivity.saved.names import CONFIG, WEIGHTS

FORMAT: Final = "expressivity-folder"
VERSION: Final = 1

_Count = Annotated[int, Meta(ge=0, le=2**63 - 1)]
_Words = Annotated[str, Meta(min_length=1)]
_Size = Annotated[
    tuple[Annotated[int, Meta(ge=1, le=2**31)], ...], Meta(min_length=1, max_length=3)
]
_Digest = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]


class FileEntry(Struct, frozen=True, forbid_unknown_fields=True):
    """What a file beside the document holds.

    Attributes:
        bytes: Its length.
        sha256: Its digest, in hexadecimal digits.
    """

    bytes: _Count
    sha256: _Digest


class LayerEntry(Struct, frozen=True, forbid_unknown_fields=True):
    """An attention layer, and where it is.

    Attributes:
        places: Every name that it has in the network; the first names its tensors.
        layer: What it is built from.
        multihead_size: The pixels per axis that it is fixed to, if it is evaluated by
            ``torch.nn.MultiheadAttention``.
    """

    places: Annotated[tuple[str, ...], Meta(min_length=1)]
    layer: LayerDescription
    multihead_size: _Size | None = None


class RecordEntry(Struct, frozen=True, forbid_unknown_fields=True):
    """What became of a convolution: the fields of a ``LayerRecord``."""

    name: str
    kind: _Words
    status: Literal["converted", "kept"]
    reason: str = ""
    kernel_size: _Size | None = None
    num_heads: _Count | None = None
    alpha: float | None = None
    worst_case_error: float | None = None


class Document(Struct, frozen=True, forbid_unknown_fields=True):
    """The fields of ``config.json``.

    Attributes:
        format: What tells the document from others.
        format_version: Which fields it has.
        kind: A single layer, or a network.
        made_by: The package that wrote it, with its version.
        torch: The version of torch that wrote it.
        model: The class of the network, in words; no code is looked up by it.
        layers: The attention layers.
        records: What became of the convolutions of the network.
        remarks: Code of the network that attention does not suit.
        ruled_out: Convolutions that stay because of what happened in a run.
        shared: Names of tensors that are stored under another name, and that name.
        files: The files beside the document.
    """

    format: Literal["expressivity-folder"]
    format_version: Literal[1]
    kind: Literal["layer", "network"]
    made_by: _Words
    torch: _Words
    model: _Words
    layers: tuple[LayerEntry, ...]
    records: tuple[RecordEntry, ...]
    remarks: tuple[str, ...]
    ruled_out: tuple[str, ...]
    shared: dict[str, str]
    files: dict[
        Literal[
            "model.safetensors",
            "certificates.json",
            "convolutions.safetensors",
            "program.pt2",
        ],
        FileEntry,
    ]

    def to_json(self) -> bytes:
        """Return the document as the file holds it."""
        return msgspec.json.format(msgspec.json.encode(self), indent=1) + b"\n"


def read_document(folder: Path) -> Document:
    """Read ``config.json``.

    Args:
        folder: What ``save`` wrote.

    Returns:
        The document.

    Raises:
        FileError: If the folder or the document is missing, damaged, of another kind
            or of a newer version.
    """
    if folder.exists() and not folder.is_dir():
        raise FileError(
            f"{folder} is a file, and a folder that save() wrote is needed: weights "
            "alone are loaded by the lines that their report states"
        )
    path = folder / CONFIG
    return _parsed(read_json(path), path)


def read_json(path: Path) -> object:
    """Read JSON from a regular file.

    Args:
        path: The file.

    Returns:
        What it holds.

    Raises:
        FileError: If it is missing or damaged.
    """
    check_input(path)
    try:
        return msgspec.json.decode(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise FileError(f"{path} cannot be read as JSON: {error}") from error


def _parsed(content: object, path: Path) -> Document:
    if not isinstance(content, Mapping) or content.get("format") != FORMAT:
        raise FileError(
            f"{path} needs the format {FORMAT!r}, got {_kind_of(content)}: pass a "
            "folder that save() wrote"
        )
    version = content.get("format_version")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise FileError(f"{path} is damaged: format_version needs a number from 1 on")
    if version > VERSION:
        raise FileError(
            f"{path} has format_version {version}, written by "
            f"{content.get('made_by', 'a newer version')!s}; this version reads up to "
            f"{VERSION}: update expressivity"
        )
    try:
        document = msgspec.convert(content, Document)
    except (msgspec.ValidationError, RecursionError) as error:
        raise FileError(f"{path} is incomplete or damaged: {error}") from error
    for fault in _faults(document):
        raise FileError(f"{path} is damaged: {fault}")
    return document


def _kind_of(content: object) -> str:
    if not isinstance(content, Mapping):
        return f"a {type(content).__name__}"
    if "architectures" in content or "model_type" in content:
        return "a configuration of transformers, which from_pretrained reads"
    return f"format {content.get('format')!r}"


def _faults(document: Document) -> list[str]:
    """Return what does not fit together."""
    faults = []
    places = [place for entry in document.layers for place in entry.places]
    if repeated := _repeated(places):
        faults.append(f"two layers are called {repeated!r}")
    if document.kind == "layer" and places != [""]:
        faults.append("a single layer needs one layer without a name")
    for place in places:
        if place and not all(place.split(".")):
            faults.append(f"{place!r} is no name of a module")
    for name, other in document.shared.items():
        if other in document.shared or name == other:
            faults.append(f"{name!r} is shared with {other!r}, which is not stored")
    if WEIGHTS not in document.files:
        faults.append(f"files needs an entry for {WEIGHTS}")
    numbers = [
        number
        for record in document.records
        for number in (record.alpha, record.worst_case_error)
        if number is not None
    ]
    if not all(math.isfinite(number) and number >= 0 for number in numbers):
        faults.append("its numbers need to be finite and not negative")
    return faults


def _repeated(names: Sequence[str]) -> str | None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None
