"""A certificate as JSON: what a document has to hold, checked when it is read.

A document is data from anywhere. Whatever it holds, reading it ends in a certificate
that makes sense by itself or in a ``FileError``; whether it is true, ``check`` says.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from expressivity.accuracy.deviation import MOST_PIXELS
from expressivity.errors import FileError

FORMAT = "expressivity-certificate"
PARTS = ("exact_part", "layer_rounding", "convolution_rounding")

_Size = Annotated[int, Meta(ge=1, le=MOST_PIXELS)]
_Index = Annotated[int, Meta(ge=0, le=2**31)]
_Sizes = Annotated[tuple[_Size, ...], Meta(min_length=1, max_length=3)]
_Number = Annotated[float, Meta(ge=0)]
_Numbers = Annotated[list[_Number], Meta(min_length=1)]
_Words = Annotated[str, Meta(min_length=1)]


class WorstInputDocument(Struct, frozen=True, forbid_unknown_fields=True):
    """The fields of a worst input."""

    size: _Sizes
    pixels: tuple[Annotated[tuple[_Index, ...], Meta(min_length=1)], ...]
    signs: Annotated[
        tuple[Annotated[str, Meta(pattern="^[0+-]+$")], ...], Meta(min_length=1)
    ]
    channel: _Index
    output: tuple[_Index, ...]
    attained: _Number


class CertificateDocument(Struct, frozen=True, forbid_unknown_fields=True):
    """The fields of a certificate, in the order in which they are written."""

    format: Literal["expressivity-certificate"]
    layer: _Words
    convolution: _Words
    input_bound: Annotated[float, Meta(gt=0)]
    size: _Sizes | None
    dtype: Literal["float16", "bfloat16", "float32", "float64"]
    strategy: _Words
    exact_part: _Numbers
    layer_rounding: _Numbers
    convolution_rounding: _Numbers
    worst: WorstInputDocument
    assumptions: tuple[_Words, ...]
    fingerprint: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
    made_by: _Words
    bound: _Numbers
    attained: _Number


def parse(content: object) -> CertificateDocument:
    """Return the fields of a document; a ``FileError`` says what does not fit."""
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise FileError(f"a certificate needs the format {FORMAT!r}")
    try:
        document = msgspec.convert(content, CertificateDocument)
    except msgspec.ValidationError as error:
        raise FileError(f"the certificate is incomplete or damaged: {error}") from error
    for fault in _faults(document):
        raise FileError(f"the certificate is damaged: {fault}")
    return document


def _faults(document: CertificateDocument) -> list[str]:
    """Return what does not fit together."""
    worst, faults = document.worst, []
    numbers = [document.input_bound, document.attained, worst.attained, *document.bound]
    numbers += [number for name in PARTS for number in getattr(document, name)]
    if not all(map(math.isfinite, numbers)):
        faults.append("its numbers need to be finite")
    lengths = {len(getattr(document, name)) for name in (*PARTS, "bound")}
    if len(lengths) != 1:
        faults.append(
            f"{', '.join(PARTS)} and bound need one number an output channel each"
        )
    axes = len(worst.size)
    if not len(worst.pixels) == len(worst.output) == axes:
        faults.append(f"pixels and output need one entry for each of {axes} axes")
    elif document.size is not None and document.size != worst.size:
        faults.append(f"the worst input needs the size {document.size}")
    if any(
        p >= n
        for pixels, n in zip(worst.pixels, worst.size, strict=False)
        for p in pixels
    ):
        faults.append("pixels of the worst input need to lie within its size")
    area = math.prod(map(len, worst.pixels))
    if any(len(word) != area for word in worst.signs):
        faults.append(f"the signs of every channel need one for each of {area} pixels")
    if worst.channel >= max(lengths):
        faults.append("the channel of the worst input needs to be an output channel")
    texts = (document.layer, document.convolution, document.strategy, document.made_by)
    if not all(text.isprintable() for text in (*texts, *document.assumptions)):
        faults.append("its texts need to be printable")
    return faults


def read(path: Path) -> object:
    """Read JSON from a regular file."""
    if path.exists() and not path.is_file():
        raise FileError(f"{path} is no regular file: pass a file that holds JSON")
    try:
        return msgspec.json.decode(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise FileError(f"{path} cannot be read as JSON: {error}") from error


def choose(content: object, layer: str | None, size: Sequence[int] | None) -> object:
    """Return one certificate from a file, which may hold those of a whole model.

    Args:
        content: A certificate, or what ``expressivity certify --output`` wrote.
        layer: Name of the layer in the model; ``None`` if there is one only.
        size: Pixels per axis; ``None`` if the layer was certified for one size only.

    Returns:
        The document of one certificate.

    Raises:
        FileError: If there is none that fits, or more than one.
    """
    if not isinstance(content, dict) or "layers" not in content:
        if layer is not None or size is not None:
            raise FileError(
                "the file holds one certificate: load it without layer= and size="
            )
        return content
    rows = content["layers"]
    try:
        every = msgspec.convert(rows, list[_CertifiedLayer])
    except msgspec.ValidationError as error:
        raise FileError(f"the list of layers is damaged: {error}") from error
    matching = [
        row
        for row in every
        if row.certificate is not None
        and (layer is None or row.name == layer)
        and (size is None or row.certificate.get("size") == list(size))
    ]
    if len(matching) == 1:
        return matching[0].certificate
    choices = ", ".join(
        f"{row.name!r} of size {row.certificate.get('size')}"
        for row in every
        if row.certificate is not None
    )
    raise FileError(
        f"the file needs to hold one certificate of {layer=} and {size=}, it holds "
        f"{len(matching)}: choose by layer= and size= among {choices or 'none'}"
    )


class _CertifiedLayer(Struct, frozen=True):
    name: str
    certificate: dict[str, Any] | None
