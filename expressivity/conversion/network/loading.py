"""From a folder back to a layer, or to a network around its layers."""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from expressivity.accuracy.certificate import Layer
from expressivity.attention import RelativeSelfAttention
from expressivity.checks import check_flag, check_instance
from expressivity.conversion.network.copying import independent_copy
from expressivity.conversion.network.records import Conversion, LayerRecord
from expressivity.errors import (
    ArgumentError,
    FileError,
    InputError,
    UnsupportedModuleError,
)
from expressivity.machine.weights import fill
from expressivity.saved.names import WEIGHTS
from expressivity.saved.reading import Saved, unfilled


class SavedLayers(nn.Module):
    """The attention layers of a saved network under their names, and nothing else."""

    def forward(self, *inputs: object, **options: object) -> Tensor:
        """Refuse to run: what lies between the layers is code that is not here.

        Raises:
            UnsupportedModuleError: Always.
        """
        raise UnsupportedModuleError(
            "these are the attention layers of a network without the network: take one "
            "by get_submodule(name), load the folder into the network, "
            "load(folder, into=model), or its program, load(folder, program=True)"
        )


def load(
    folder: str | Path, *, into: nn.Module | None = None, program: bool = False
) -> RelativeSelfAttention | Conversion:
    """Read what ``save`` wrote: a layer, or a converted network.

    Weights, structure and certificates are data: nothing of them is executed. A
    program is not: torch builds it by code that the file names, so load one only from
    a folder that you trust.

    Args:
        folder: What :meth:`RelativeSelfAttention.save`, ``Conversion.save`` or
            ``expressivity convert`` wrote.
        into: A network to put the layers into: the one that was converted, with any
            weights, or a conversion of it. It does not change; a copy is filled.
        program: Whether to take the network from the program of ``torch.export`` that
            is stored beside, which needs no code of the network.

    Returns:
        For a single layer the layer, in evaluation mode. For a network a conversion,
        whose ``model`` is the filled copy of ``into``, or the program, or otherwise a
        module that holds the layers under their names.

    Raises:
        FileError: If a file is missing, damaged, of another kind or of a newer
            version, or does not fit the network.
        ArgumentError: If ``folder`` is no path, both ``into`` and ``program`` are
            given, or one of them for a single layer.
        InputError: If the network is on the meta device.
        UnsupportedModuleError: If ``into`` is no module or cannot be copied.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> import torch
        >>> from expressivity import convert
        >>> model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten())
        >>> with TemporaryDirectory() as folder:
        ...     convert(model).save(folder)
        ...     layers = load(folder).model
        ...     again = load(folder, into=model).model
        >>> layers.get_submodule("0").num_heads
        9
        >>> x = torch.ones(1, 1, 4, 4)
        >>> bool((again(x) - model(x)).abs().max() < 1e-6)
        True
    """
    if not isinstance(folder, (str, Path)) or not str(folder):
        raise ArgumentError(f"folder needs a path, got {folder!r}")
    check_flag("program", program)
    if into is not None:
        check_instance("into", into, nn.Module, "Pass the network that was converted")
        if program:
            raise ArgumentError("give into= or program=True, not both: got both")
    saved = Saved.read(Path(folder))
    if saved.document.kind == "layer":
        if into is not None or program:
            raise ArgumentError(
                f"{folder} holds a single layer: load it without into= and program="
            )
        return saved.layer
    if program:
        model = saved.program()
    else:
        model = _layers_of(saved) if into is None else _filled(into, saved)
    records = (
        LayerRecord(**{f: getattr(entry, f) for f in entry.__struct_fields__})
        for entry in saved.document.records
    )
    document = saved.document
    return Conversion(model, tuple(records), document.remarks, document.ruled_out)


def _layers_of(saved: Saved) -> nn.Module:
    """Return a tree of modules that holds the layers at their places."""
    root: nn.Module = SavedLayers()
    for entry in saved.document.layers:
        layer = saved.layers[entry.places[0]]
        for place in entry.places:
            if not place:
                return layer
            *parents, name = place.split(".")
            module = root
            for parent in parents:
                if parent not in module._modules:
                    module.add_module(parent, nn.Module())
                module = module.get_submodule(parent)
            module.add_module(name, layer)
    return root.eval()


def _filled(into: nn.Module, saved: Saved) -> nn.Module:
    """Return a copy of a network with the saved layers and weights."""
    if any(tensor.is_meta for tensor in (*into.parameters(), *into.buffers())):
        raise InputError(
            "into needs a network with numbers, got one on the meta device: build it "
            "on the CPU"
        )
    model = independent_copy(into)
    for place, layer in unfilled(saved.document.layers).items():
        layer.to_empty(device="cpu")
        layer.train(model.training)
        model = _put(model, place, layer, saved.folder)
    _cast(model, saved.tensors)
    fill(model, saved.tensors, saved.folder / WEIGHTS)
    _tie(model, saved.document.shared)
    return model


def _put(model: nn.Module, place: str, layer: nn.Module, folder: Path) -> nn.Module:
    """Put a layer in the place of a module, and return the network."""
    try:
        replaced = model.get_submodule(place)
    except AttributeError as error:
        raise FileError(
            f"{folder} has a layer {place!r}, and {type(model).__name__} has no such "
            "module: pass the network that was converted"
        ) from error
    if not place:
        return layer
    if not isinstance(replaced, Layer) and any(True for _ in replaced.children()):
        raise FileError(
            f"{folder} has a layer {place!r}, where {type(model).__name__} has a "
            f"{type(replaced).__name__} with modules of its own: pass the network that "
            "was converted"
        )
    parent, _, name = place.rpartition(".")
    model.get_submodule(parent)._modules[name] = layer
    return model


def _cast(model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Give floating-point tensors the dtype of those that will fill them."""
    named = (*model.named_parameters(), *model.named_buffers())
    for name, tensor in named:
        other = tensors.get(name)
        if (
            other is not None
            and tensor.is_floating_point()
            and (other.is_floating_point() and other.dtype != tensor.dtype)
        ):
            tensor.data = tensor.data.to(other.dtype)


def _tie(model: nn.Module, shared: Mapping[str, str]) -> None:
    """Make parameters one that were one."""
    for name, other in shared.items():
        owner, _, role = name.rpartition(".")
        source, _, other_role = other.rpartition(".")
        parameter = model.get_submodule(source)._parameters.get(other_role)
        module = model.get_submodule(owner)
        if parameter is not None and role in module._parameters:
            setattr(module, role, parameter)
