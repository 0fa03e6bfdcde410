"""What is written: weights, structure, certificates and a card, all files or none."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import cast

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from expressivity.accuracy.certificate import Layer
from expressivity.attention import RelativeSelfAttention
from expressivity.attention.description import LayerDescription
from expressivity.attention.gate import plain_attention
from expressivity.checks import (
    Progress,
    check_flag,
    check_instance,
    check_positive,
    check_progress,
)
from expressivity.convolutions import Kernel
from expressivity.errors import ArgumentError, FileError, UnsupportedModuleError
from expressivity.geometry.convolution import Convolution
from expressivity.machine.files import folder_for_files, written_together
from expressivity.saved.card import model_card
from expressivity.saved.document import (
    FORMAT,
    VERSION,
    Document,
    FileEntry,
    LayerEntry,
    RecordEntry,
)
from expressivity.saved.names import (
    CARD,
    CERTIFICATES,
    CONFIG,
    CONVOLUTIONS,
    PROGRAM,
    WEIGHTS,
    written,
)
from expressivity.saved.program import Example, exported, input_sizes
from expressivity.saved.reading import Saved, digest
from expressivity.saved.reference import differing, named_convolution, numbers
from expressivity.stock.multihead import ImageMultihead
from expressivity.version import __version__


@dataclass
class Content:
    """A layer or a network, on its way into a folder.

    Attributes:
        model: The layer, or a network with attention layers.
        single: Whether it is a layer by itself.
        original: Where to find the convolutions that the layers came from: a network
            with convolutions at the same names. By default each layer is compared with
            the convolution that its heads name.
        records: What became of the convolutions of a network.
        remarks: Code of the network that attention does not suit.
        ruled_out: Convolutions that stay because of what happened in a run.
        example: Inputs of the network: certificates are then for the sizes of each
            layer's inputs, and a program can be stored.
        with_program: Whether the network is stored as a program of torch.export.
        input_bound: Largest absolute value of the inputs of any layer.
        about: Paragraphs for the model card, in Markdown.
        progress: Wraps the iterable of layers that are certified.
    """

    model: nn.Module
    single: bool = False
    original: nn.Module | None = None
    records: Sequence[Mapping[str, object]] = ()
    remarks: Sequence[str] = ()
    ruled_out: Sequence[str] = ()
    example: Example | None = None
    with_program: bool = False
    input_bound: float = 1.0
    about: str = ""
    progress: Progress | None = None
    _files: dict[str, FileEntry] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        progress = check_progress(self.progress)
        check_positive("input_bound", self.input_bound)
        check_instance("about", self.about, str, "Give text in Markdown")
        if check_flag("program", self.with_program) and self.example is None:
            raise ArgumentError(
                "program=True needs inputs=, which the network is traced on, got none"
            )
        self._entries = _entries(self.model)
        self._layers = {
            entry.places[0]: cast("Layer", self.model.get_submodule(entry.places[0]))
            for entry in self._entries
        }
        if not self._layers:
            raise UnsupportedModuleError(
                "save needs a network with attention layers, got "
                f"{type(self.model).__name__} without any"
            )
        self._shared, self._tensors = _tensors_of(self.model)
        self._convolutions = self._references()
        sizes = {} if self.example is None else input_sizes(self.model, self.example)
        self._numbers = [
            numbers(
                name,
                layer,
                self._convolutions.get(name),
                input_bound=float(self.input_bound),
                size=sizes.get(name),
            )
            for name, layer in progress(self._layers.items())
        ]

    def writers(self, folder: str) -> dict[str, Callable[[Path], None]]:
        """Return what writes each file, to be called in the order of ``written``.

        Args:
            folder: The name of the folder, for the examples of the card.
        """
        named = {
            name: conv for name, conv in self._convolutions.items() if conv is not None
        }
        stored = differing(named, self._layers)
        rows = {"layers": [each.to_dict() for each in self._numbers]}
        text = json.dumps(rows, indent=1, allow_nan=False) + "\n"
        writers: dict[str, Callable[[Path], None]] = {
            WEIGHTS: partial(_write_tensors, self._tensors),
            CONVOLUTIONS: partial(_write_tensors, stored),
            CERTIFICATES: partial(_write_text, text),
        }
        if self.with_program and self.example is not None:
            program = exported(self.model, self.example)
            writers[PROGRAM] = partial(torch.export.save, program)
        recorded = {
            name: partial(self._recorded, name, write)
            for name, write in writers.items()
        }
        return {
            **recorded,
            CARD: lambda draft: _write_text(self._card(folder), draft),
            CONFIG: lambda draft: _write_text(
                self._document().to_json().decode(), draft
            ),
        }

    def save(self, folder: str | Path, *, force: bool = False) -> None:
        """Write all files or none.

        Args:
            folder: Made if it is missing.
            force: Whether files of these names may be replaced.

        Raises:
            FileError: If a file exists and ``force`` is not given, or one cannot be
                written.
        """
        check_flag("force", force)
        path = _folder(folder)
        writers = self.writers(path.name)
        names = written(program=self.with_program)
        targets = [path / name for name in names]
        with folder_for_files(path), written_together(targets, force=force) as drafts:
            for name, draft in zip(names, drafts, strict=True):
                writers[name](draft)

    def _references(self) -> dict[str, Convolution | None]:
        if self.original is None:
            return {name: named_convolution(l) for name, l in self._layers.items()}
        return {
            name: Kernel.of(_submodule_of(self.original, name)).conv
            for name in self._layers
        }

    def _recorded(self, name: str, write: Callable[[Path], None], draft: Path) -> None:
        write(draft)
        size, sha256 = digest(draft)
        self._files[name] = FileEntry(size, sha256)

    def _card(self, folder: str) -> str:
        return model_card(
            self._document(), self._numbers, about=self.about, folder=folder
        )

    def _document(self) -> Document:
        return Document(
            format=FORMAT,
            format_version=VERSION,
            kind="layer" if self.single else "network",
            made_by=f"expressivity {__version__}",
            torch=str(torch.__version__),
            model=type(self.model).__name__,
            layers=self._entries,
            records=tuple(RecordEntry(**record) for record in self.records),  # type: ignore[arg-type]
            remarks=tuple(self.remarks),
            ruled_out=tuple(self.ruled_out),
            shared=self._shared,
            files=dict(self._files),  # type: ignore[arg-type]
        )


def save_layer(
    attention: RelativeSelfAttention,
    folder: str | Path,
    *,
    conv: Convolution | None = None,
    input_bound: float = 1.0,
    about: str = "",
    force: bool = False,
) -> None:
    """Write what :meth:`RelativeSelfAttention.save` documents."""
    model = plain_attention(attention)
    content = Content(
        model, single=True, original=conv, input_bound=input_bound, about=about
    )
    content.save(folder, force=force)


def load_layer(folder: str | Path) -> RelativeSelfAttention:
    """Read a folder that holds a single layer.

    Args:
        folder: What :func:`save_layer` wrote.

    Returns:
        The layer, in evaluation mode.

    Raises:
        FileError: If it is missing, damaged, of another kind or newer.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from expressivity.geometry import ConvGeometry
        >>> layer = RelativeSelfAttention(2, 3, ConvGeometry.create((3,)))
        >>> with TemporaryDirectory() as folder:
        ...     save_layer(layer, folder)
        ...     again = load_layer(folder)
        >>> torch.equal(again(torch.ones(1, 2, 5)), layer(torch.ones(1, 2, 5)))
        True
    """
    return Saved.read(_folder(folder)).layer


def _folder(folder: str | Path) -> Path:
    if not isinstance(folder, (str, Path)) or not str(folder):
        raise ArgumentError(f"folder needs a path, got {folder!r}")
    return Path(folder).absolute()


def _entries(model: nn.Module) -> tuple[LayerEntry, ...]:
    """Return every attention layer of a model once, with all its names."""
    places: dict[int, list[str]] = {}
    layers: dict[int, Layer] = {}
    for name, module in model.named_modules(remove_duplicate=False):
        if isinstance(module, Layer):
            places.setdefault(id(module), []).append(name)
            layers[id(module)] = module
    return tuple(_entry(layers[key], names) for key, names in places.items())


def _entry(layer: Layer, names: Sequence[str]) -> LayerEntry:
    if isinstance(layer, ImageMultihead):
        return LayerEntry(tuple(names), layer.description, layer.size)
    try:
        plain_attention(layer)
    except UnsupportedModuleError as error:
        raise UnsupportedModuleError(f"{names[0]}: {error}") from error
    entry = LayerEntry(tuple(names), LayerDescription.of(layer))
    entry.layer.filled(layer.state_dict())  # what cannot be loaded is not saved
    return entry


def _tensors_of(model: nn.Module) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Return which names share a tensor, and the tensors under the other names."""
    first: dict[object, str] = {}
    shared: dict[str, str] = {}
    tensors: dict[str, Tensor] = {}
    for name, value in model.state_dict().items():
        if not isinstance(value, Tensor) or value.layout != torch.strided:
            raise FileError(
                f"{name} needs to be a dense tensor to be saved, got "
                f"{type(value).__name__}: keep such a state in a file of its own"
            )
        if value.is_meta or value.is_quantized:
            raise FileError(
                f"{name} needs plain numbers to be saved, got a tensor that is "
                f"{'on the meta device' if value.is_meta else 'quantised'}"
            )
        key = (value.data_ptr(), value.dtype, tuple(value.shape), value.stride())
        if value.numel() and key in first:
            shared[name] = first[key]
            continue
        first[key] = name
        tensors[name] = value.detach().cpu().contiguous().clone()
    return shared, tensors


def _submodule_of(original: nn.Module, name: str) -> nn.Module:
    advice = "Pass the network that was converted"
    check_instance("original", original, nn.Module, advice)
    try:
        return original.get_submodule(name)
    except AttributeError as error:
        raise ArgumentError(
            f"original needs a convolution {name!r}, got {type(original).__name__} "
            "without it: pass the network that was converted"
        ) from error


def _write_tensors(tensors: Mapping[str, Tensor], draft: Path) -> None:
    try:
        save_file(dict(tensors), draft, {"format": "pt", "expressivity": __version__})
    except (RuntimeError, ValueError) as error:
        raise FileError(f"the weights cannot be written: {error}") from error


def _write_text(text: str, draft: Path) -> None:
    draft.write_text(text, encoding="utf-8")
