"""Configurations of transformers with few layers and small images."""

from typing import Any

_LAYERS = (
    "num_hidden_layers",
    "num_layers",
    "n_layers",
    "depth",
    "encoder_layers",
    "decoder_layers",
    "num_encoder_layers",
    "num_decoder_layers",
)
_FEW = 2
SIDE = 64  # pixels


def shallow(options: dict[str, Any]) -> dict[str, Any]:
    """Return a configuration, and those within it, with few layers and small images."""
    small = {
        name: shallow(value) if isinstance(value, dict) else _small(name, value)
        for name, value in options.items()
    }
    layers = small.get("num_hidden_layers")
    if layers is not None and small.get("out_features"):
        # A backbone whose stages are its layers: heads count on so many of them.
        used = len(small["out_features"])
        small["num_hidden_layers"] = max(used, layers)
        small["out_features"] = [f"stage{i + 1}" for i in range(used)]
        small["out_indices"] = list(range(1, used + 1))
        small.pop("stage_names", None)
    return small


def _small(name: str, value: Any) -> Any:
    if name in _LAYERS and isinstance(value, int):
        return min(value, _FEW)
    if name == "depths" and isinstance(value, (list, tuple)):
        return [1 if isinstance(each, int) else each for each in value]
    if name in ("layer_types", "layers_block_type") and isinstance(
        value, (list, tuple)
    ):
        return list(value)[:_FEW]
    if name == "image_size":
        return SIDE if isinstance(value, int) else value and [SIDE] * len(value)
    return value
