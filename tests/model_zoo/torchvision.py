"""Networks of torchvision, one of each kind: others are larger ones of the same."""

from collections.abc import Iterator
from importlib import import_module
from typing import Any

from tests.model_zoo.network import Network

CLASSIFIERS = (
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
    "swin_v2_t",
    "vgg11_bn",
    "vit_b_32",
)
SEGMENTATION = (
    "deeplabv3_mobilenet_v3_large",
    "fcn_resnet50",
    "lraspp_mobilenet_v3_large",
)
DETECTION = (
    "fasterrcnn_mobilenet_v3_large_320_fpn",
    "fasterrcnn_resnet50_fpn_v2",
    "fcos_resnet50_fpn",
    "keypointrcnn_resnet50_fpn",
    "maskrcnn_resnet50_fpn",
    "retinanet_resnet50_fpn",
    "ssd300_vgg16",
    "ssdlite320_mobilenet_v3_large",
)
# MViT takes 16 frames of 224 pixels only, minutes in float64.
VIDEO = ("mc3_18", "r2plus1d_18", "r3d_18", "s3d", "swin3d_t")
_SIDES = {"inception_v3": 96, "maxvit_t": 224, "vit_b_32": 224}
_CLIPS = {"s3d": (16, 224)}


def networks() -> Iterator[Network]:
    """Yield them; none has weights that would be downloaded."""
    models = import_module("torchvision.models")
    no_backbone = {"weights_backbone": None}
    for name in CLASSIFIERS:
        side = _SIDES.get(name, 64)
        options: dict[str, Any] = {}
        if name in ("googlenet", "inception_v3"):
            options = {"init_weights": False, "aux_logits": False}
        yield _network(models, name, {"x": (1, 3, side, side)}, options)
    for name in SEGMENTATION:
        sizes = {"input" if "lraspp" in name else "x": (1, 3, 64, 64)}
        yield _network(models.segmentation, name, sizes, no_backbone)
    for name in DETECTION:
        # Images would be scaled up, and no score is high without training. Large
        # heads choose otherwise in float64 if every box counts.
        small = {} if name.startswith("ssd") else {"min_size": 96, "max_size": 128}
        score = {"box_score_thresh" if "rcnn" in name else "score_thresh": 0.0}
        options = no_backbone | small | ({} if "rcnn_resnet50" in name else score)
        yield _network(models.detection, name, {"images": (1, 3, 96, 128)}, options)
    for name in VIDEO:
        frames, side = _CLIPS.get(name, (4, 32))
        yield _network(models.video, name, {"x": (1, 3, frames, side, side)}, {})
    for name in ("raft_small", "raft_large"):
        size = (1, 3, 128, 128)
        sizes = {"image1": size, "image2": size}
        updates = {"num_flow_updates": 2}
        yield _network(models.optical_flow, name, sizes, {}, updates)


def _network(
    family: Any,
    name: str,
    sizes: dict[str, tuple[int, ...]],
    options: dict[str, Any],
    call: dict[str, Any] | None = None,
) -> Network:
    build = getattr(family, name)
    return Network(
        f"torchvision {name}", lambda: build(weights=None, **options), sizes, call or {}
    )
