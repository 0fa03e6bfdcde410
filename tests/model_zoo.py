"""Networks of the libraries that people take them from, with random weights.

None of these libraries is a dependency: what cannot be imported is left out. Networks
of transformers are made small by their configurations, which changes no line of their
code.
"""

import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

TINY = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 37,
}
IMAGE = {"pixel_values": (2, 3, 64, 64)}


@dataclass(frozen=True)
class Network:
    """One network of a library.

    Attributes:
        name: Library and name.
        build: Makes it.
        sizes: The size of each input, by its name; integers where the name says so.
        options: Further arguments of the call.
    """

    name: str
    build: Callable[[], nn.Module]
    sizes: dict[str, tuple[int, ...]]
    options: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.name

    def inputs(self) -> dict[str, Any]:
        """Return inputs by name."""
        generator = torch.Generator().manual_seed(0)
        drawn: dict[str, Any] = {}
        for name, size in self.sizes.items():
            if name.endswith("_ids"):
                drawn[name] = torch.randint(1, 20, size, generator=generator)
            elif name.endswith("_mask"):
                drawn[name] = torch.ones(size, dtype=torch.bool)
            else:
                drawn[name] = torch.rand(size, generator=generator)
        return drawn | self.options


# Class of the model, its configuration, and inputs where they are no image.
HUGGING_FACE: dict[str, tuple[dict[str, Any], dict[str, tuple[int, ...]]]] = {
    "ViTModel": ({**TINY, "image_size": 64, "patch_size": 16}, IMAGE),
    "DeiTModel": ({**TINY, "image_size": 64, "patch_size": 16}, IMAGE),
    "BeitModel": ({**TINY, "image_size": 64, "patch_size": 16}, IMAGE),
    "Data2VecVisionModel": ({**TINY, "image_size": 64, "patch_size": 16}, IMAGE),
    "Dinov2Model": ({**TINY, "image_size": 64, "patch_size": 16}, IMAGE),
    "Dinov2WithRegistersModel": ({**TINY, "image_size": 64, "patch_size": 16}, IMAGE),
    "DINOv3ViTModel": ({**TINY, "image_size": 64, "patch_size": 16}, IMAGE),
    "CLIPVisionModel": ({**TINY, "image_size": 64, "patch_size": 16}, IMAGE),
    "SiglipVisionModel": ({**TINY, "image_size": 64, "patch_size": 16}, IMAGE),
    "ViTMAEModel": ({**TINY, "image_size": 64, "patch_size": 16}, IMAGE),
    "ViTMSNModel": ({**TINY, "image_size": 64, "patch_size": 16}, IMAGE),
    "IJepaModel": ({**TINY, "image_size": 64, "patch_size": 16}, IMAGE),
    "YolosModel": ({**TINY, "image_size": [64, 64], "patch_size": 16}, IMAGE),
    "ConvNextModel": ({"hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 1, 1]}, IMAGE),
    "ConvNextV2Model": (
        {"hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 1, 1]},
        IMAGE,
    ),
    "ResNetModel": (
        {
            "embedding_size": 8,
            "hidden_sizes": [8, 16, 24, 32],
            "depths": [1, 1, 1, 1],
        },
        IMAGE,
    ),
    "RegNetModel": (
        {
            "embedding_size": 8,
            "hidden_sizes": [8, 16, 24, 32],
            "depths": [1, 1, 1, 1],
            "groups_width": 8,
        },
        IMAGE,
    ),
    "BitModel": (
        {"embedding_size": 32, "hidden_sizes": [32, 64], "depths": [1, 1]},
        IMAGE,
    ),
    "MobileNetV1Model": ({"depth_multiplier": 0.25}, IMAGE),
    "MobileNetV2Model": ({"depth_multiplier": 0.35}, IMAGE),
    "MobileViTModel": ({"image_size": 64}, IMAGE),
    "MobileViTV2Model": ({"image_size": 64, "width_multiplier": 0.5}, IMAGE),
    "EfficientNetModel": ({"image_size": 64}, IMAGE),
    "SwinModel": (
        {"image_size": 64, "embed_dim": 16, "depths": [1, 1], "num_heads": [2, 2]},
        IMAGE,
    ),
    "Swinv2Model": (
        {"image_size": 64, "embed_dim": 16, "depths": [1, 1], "num_heads": [2, 2]},
        IMAGE,
    ),
    "SegformerModel": ({"depths": [1, 1, 1, 1]}, IMAGE),
    "PvtModel": ({"depths": [1, 1, 1, 1], "image_size": 64}, IMAGE),
    "PvtV2Model": ({"depths": [1, 1, 1, 1], "image_size": 64}, IMAGE),
    "FocalNetModel": (
        {"image_size": 64, "embed_dim": 16, "depths": [1, 1, 1, 1]},
        IMAGE,
    ),
    "CvtModel": ({"embed_dim": [16, 32, 48], "depth": [1, 1, 1]}, IMAGE),
    "PoolFormerModel": ({"depths": [1, 1, 1, 1]}, IMAGE),
    "LevitModel": ({"image_size": 64, "depths": [1, 1, 1]}, IMAGE),
    "HieraModel": ({"image_size": [64, 64]}, IMAGE),
    "SwiftFormerModel": ({"depths": [1, 1, 1, 1]}, IMAGE),
    "TextNetModel": ({}, IMAGE),
    "DPTModel": ({**TINY, "image_size": 64, "patch_size": 16}, IMAGE),
    "GLPNModel": ({"depths": [1, 1, 1, 1]}, IMAGE),
    "SuperPointForKeypointDetection": ({}, IMAGE),
    "TimesformerModel": (
        {**TINY, "image_size": 64, "patch_size": 16, "num_frames": 2},
        {"pixel_values": (1, 2, 3, 64, 64)},
    ),
    "VideoMAEModel": (
        {**TINY, "image_size": 64, "patch_size": 16, "num_frames": 2},
        {"pixel_values": (1, 2, 3, 64, 64)},
    ),
    "VivitModel": (
        {
            **TINY,
            "image_size": 64,
            "num_frames": 4,
            "tubelet_size": [2, 16, 16],
        },
        {"pixel_values": (1, 4, 3, 64, 64)},
    ),
    "WhisperModel": (
        {
            "d_model": 32,
            "encoder_layers": 1,
            "decoder_layers": 1,
            "encoder_attention_heads": 2,
            "decoder_attention_heads": 2,
            "encoder_ffn_dim": 32,
            "decoder_ffn_dim": 32,
            "max_source_positions": 30,
            "vocab_size": 50,
            "pad_token_id": 0,
            "bos_token_id": 1,
            "eos_token_id": 2,
            "decoder_start_token_id": 1,
        },
        {"input_features": (1, 80, 60), "decoder_input_ids": (1, 4)},
    ),
    "Wav2Vec2Model": (TINY, {"input_values": (1, 4000)}),
    "HubertModel": (TINY, {"input_values": (1, 4000)}),
    "MambaModel": (
        {"hidden_size": 32, "num_hidden_layers": 2, "vocab_size": 50, "state_size": 4},
        {"input_ids": (1, 9)},
    ),
    "Mamba2Model": (
        {
            "hidden_size": 32,
            "num_hidden_layers": 2,
            "vocab_size": 50,
            "state_size": 4,
            "head_dim": 8,
            "num_heads": 8,
            "n_groups": 1,
        },
        {"input_ids": (1, 9)},
    ),
    "EncodecModel": (
        {"num_filters": 4, "hidden_size": 16, "codebook_dim": 16, "codebook_size": 8},
        {"input_values": (1, 1, 2000)},
    ),
    "SpeechT5HifiGan": ({"upsample_initial_channel": 32}, {"spectrogram": (1, 9, 80)}),
}

# One network of each kind; all others of torchvision are larger ones of the same code.
TORCHVISION = (
    "alexnet",
    "convnext_tiny",
    "densenet121",
    "efficientnet_b0",
    "efficientnet_v2_s",
    "googlenet",
    "inception_v3",
    "maxvit_t",
    "mnasnet0_5",
    "mobilenet_v2",
    "mobilenet_v3_small",
    "regnet_x_400mf",
    "regnet_y_400mf",
    "resnet18",
    "resnet50",
    "resnext50_32x4d",
    "shufflenet_v2_x0_5",
    "squeezenet1_1",
    "swin_t",
    "vgg11_bn",
    "vit_b_16",
    "segmentation.fcn_resnet50",
    "segmentation.deeplabv3_mobilenet_v3_large",
    "segmentation.lraspp_mobilenet_v3_large",
    "video.r3d_18",
    "video.mc3_18",
    "video.r2plus1d_18",
    "video.mvit_v1_b",
    "video.swin3d_t",
    "optical_flow.raft_small",
)
TORCHVISION_SIZES = {
    "inception_v3": 128,
    "maxvit_t": 224,
    "vit_b_16": 224,
}


def hugging_face() -> Iterator[Network]:
    """Yield the networks of transformers that this version has."""
    try:
        library = importlib.import_module("transformers")
    except ImportError:
        return
    for name, (options, sizes) in HUGGING_FACE.items():
        kind = getattr(library, name, None)
        if kind is not None:
            yield Network(
                f"transformers {name}",
                lambda kind=kind, options=options: kind(kind.config_class(**options)),
                sizes,
            )


def torchvision() -> Iterator[Network]:
    """Yield networks of torchvision."""
    try:
        models = importlib.import_module("torchvision.models")
    except (ImportError, RuntimeError):  # made for another torch
        return
    for name in TORCHVISION:
        *path, leaf = name.split(".")
        family = models if not path else getattr(models, path[0])
        build = getattr(family, leaf)
        side = TORCHVISION_SIZES.get(name, 64)
        sizes: dict[str, tuple[int, ...]] = {"x": (1, 3, side, side)}
        options: dict[str, Any] = {"weights": None}
        if path in (["segmentation"],):
            options["weights_backbone"] = None
            sizes = {"x": (1, 3, 64, 64)}
        if path == ["video"]:
            side = 224 if leaf.startswith("mvit") else 32
            frames = 16 if leaf.startswith("mvit") else 4
            sizes = {"x": (1, 3, frames, side, side)}
        if path == ["optical_flow"]:
            sizes = {"image1": (1, 3, 128, 128), "image2": (1, 3, 128, 128)}
        if name in ("googlenet", "inception_v3"):
            options |= {"init_weights": False, "aux_logits": False}
        yield Network(
            f"torchvision {name}",
            lambda build=build, options=options: build(**options),
            sizes,
            {"num_flow_updates": 2} if path == ["optical_flow"] else {},
        )


def timm() -> Iterator[Network]:
    """Yield the smallest network of every file of timm."""
    try:
        library = importlib.import_module("timm")
    except (ImportError, RuntimeError):
        return
    registry = importlib.import_module("timm.models._registry")
    for module in sorted(registry._module_to_models):
        names = sorted(registry._module_to_models[module])
        yield Network(
            f"timm {module}",
            lambda names=names: _smallest(library, names),
            {"x": (1, 3, 0, 0)},
        )


def _smallest(library: Any, names: list[str]) -> nn.Module:
    """Return the network with the fewest parameters, counted without memory."""

    def parameters(name: str) -> int:
        try:
            with torch.device("meta"):
                model = library.create_model(name, pretrained=False)
        except Exception:  # some cannot be made on the meta device
            return 2**62
        return sum(p.numel() for p in model.parameters())

    # Looking at a few is enough: names begin alike and sort by size.
    best = min(names[:12], key=parameters)
    model: nn.Module = library.create_model(best, pretrained=False)
    return model


def tensors(output: Any) -> Iterator[Tensor]:
    """Yield every tensor of an output, whatever holds it."""
    if isinstance(output, Tensor):
        yield output
    elif isinstance(output, dict):
        for value in output.values():
            yield from tensors(value)
    elif isinstance(output, (list, tuple)):
        for value in output:
            yield from tensors(value)


NETWORKS = (*hugging_face(), *torchvision(), *timm())
