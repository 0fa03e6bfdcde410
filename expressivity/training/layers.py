"""The attention layers of a model, by name."""

from torch import nn

from expressivity.attention import RelativeSelfAttention
from expressivity.checks import check_instance
from expressivity.errors import UnsupportedModuleError


def attention_layers(model: nn.Module) -> dict[str, RelativeSelfAttention]:
    """Return every attention layer of a model once, by its first name.

    Args:
        model: A network, or a layer by itself, whose name is then empty.

    Returns:
        The layers, in the order of the model.

    Raises:
        UnsupportedModuleError: If it is no module, or holds no attention layer.

    Example:
        >>> from expressivity import attention_from_conv
        >>> layer = attention_from_conv(nn.Conv1d(1, 1, 3))
        >>> list(attention_layers(nn.Sequential(nn.ReLU(), layer)))
        ['1']
    """
    advice = "Pass the converted network, conversion.model"
    check_instance("model", model, nn.Module, advice)
    found = {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, RelativeSelfAttention)
    }
    if not found:
        raise UnsupportedModuleError(
            "model needs a RelativeSelfAttention, got "
            f"{type(model).__name__} without any: convert it with convert(model).model"
        )
    return found
