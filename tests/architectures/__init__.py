"""Networks of the kinds in use, written out small, to be converted whole."""

from tests.architectures.architecture import Architecture
from tests.architectures.classifiers import convnext, inception, mobilenet
from tests.architectures.images import SharedOverScales, UNet, deeplab, generator
from tests.architectures.readers import (
    AudioEncoder,
    WeightIfAny,
    adapted,
    padded_like_tensorflow,
    state_space,
    vision_transformer,
)
from tests.architectures.residual import (
    residual_basic,
    residual_bottleneck,
    residual_grouped,
)
from tests.architectures.sequences import WaveNet, video
from tests.architectures.subclasses import (
    harmless_subclasses,
    tensorflow_same,
    weight_standardised,
)

__all__ = ["ARCHITECTURES", "Architecture"]

IMAGE = (3, 21, 18)
DIFFERS = "does not compute what a plain convolution"
SHAPES = "could not be compared with a plain convolution"

ARCHITECTURES = {
    "residual_basic": Architecture(residual_basic, IMAGE),
    "residual_bottleneck": Architecture(residual_bottleneck, IMAGE),
    "residual_grouped": Architecture(residual_grouped, IMAGE),
    "convnext": Architecture(convnext, (3, 24, 17)),
    "mobilenet": Architecture(mobilenet, IMAGE),
    "inception": Architecture(inception, (3, 9, 8)),
    "deeplab": Architecture(deeplab, IMAGE),
    "shared": Architecture(SharedOverScales, (4, 9, 12)),
    "wavenet": Architecture(WaveNet, (1, 30)),
    "video": Architecture(video, (2, 5, 8, 7)),
    "unet": Architecture(UNet, (1, 12, 8), {"up": "transposed"}),
    "generator": Architecture(generator, (3, 9, 8)),
    "weight_standardised": Architecture(weight_standardised, IMAGE, {"0": DIFFERS}),
    "tensorflow_same": Architecture(tensorflow_same, IMAGE, {"0": SHAPES, "2": SHAPES}),
    "harmless_subclasses": Architecture(harmless_subclasses, IMAGE),
    "vision_transformer": Architecture(vision_transformer, (3, 16, 12)),
    "audio_encoder": Architecture(AudioEncoder, (3, 16)),
    "state_space": Architecture(state_space, (2, 11)),
    "padded_like_tensorflow": Architecture(padded_like_tensorflow, IMAGE),
    "adapted": Architecture(adapted, IMAGE),
    "weight_if_any": Architecture(WeightIfAny, IMAGE),
}
