"""Networks of Hugging Face's transformers: a few layers of each, on small inputs.

Every network has its own default configuration, made shallow: as wide as in the
library, and through the same code.
"""

import importlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import nn

from tests.model_zoo.network import Network, Sizes
from tests.model_zoo.shallow import SIDE, shallow


@dataclass(frozen=True)
class Special:
    """What one network needs that others do not.

    Attributes:
        sizes: Of its inputs; an image of three channels if empty.
        changes: Of its configuration.
        options: Further arguments of the call.
    """

    sizes: Sizes = field(default_factory=dict)
    changes: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)


def _patches(
    channels: int, grid: str = "grid_thw", name: str = "pixel_values"
) -> Special:
    """Return flat patches of one picture, and how they lie in it."""
    return Special({name: (64, channels)}, {}, {grid: torch.tensor([[1, 8, 8]])})


def _one(name: str, *size: int, **changes: Any) -> Special:
    return Special({name: size}, changes)


def _mel(*size: int, mask: bool = False, **changes: Any) -> Special:
    masks = {"input_features_mask": (size[0], size[2])} if mask else {}
    return Special({"input_features": size} | masks, changes)


_TEXT = Special({"input_ids": (1, 9)})
# Language models are wide and have large vocabularies.
_NARROW = {
    "hidden_size": 64,
    "intermediate_size": 64,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "vocab_size": 100,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
_SMALL_TEXT = Special({"input_ids": (1, 9)}, _NARROW)
_EXPERTS = Special(
    {"input_ids": (1, 9)},
    _NARROW | {"num_experts": 2, "num_experts_per_tok": 1},
)
_FEW_QUERIES = Special({}, {"num_queries": 10})

# These take one image.
IMAGES = (
    "Aimv2VisionModel",
    "AlignVisionModel",
    "AltCLIPVisionModel",
    "BeitModel",
    "BitModel",
    "Blip2VisionModel",
    "BlipVisionModel",
    "CHMv2ForDepthEstimation",
    "CLIPSegVisionModel",
    "CLIPVisionModel",
    "ChineseCLIPVisionModel",
    "ConditionalDetrModel",
    "ConvNextModel",
    "ConvNextV2Model",
    "CvtModel",
    "DINOv3ConvNextModel",
    "DINOv3ViTModel",
    "DPTModel",
    "DabDetrModel",
    "Data2VecVisionModel",
    "DeformableDetrModel",
    "DeiTModel",
    "DepthAnythingForDepthEstimation",
    "DetrForSegmentation",
    "DetrModel",
    "Dinov2Model",
    "Dinov2WithRegistersModel",
    "EfficientNetModel",
    "FlavaImageCodebook",
    "FlavaImageModel",
    "FocalNetModel",
    "GLPNForDepthEstimation",
    "GitVisionModel",
    "GroupViTVisionModel",
    "HGNetV2Backbone",
    "HieraModel",
    "IJepaModel",
    "InstructBlipVideoVisionModel",
    "InstructBlipVisionModel",
    "InternVLVisionModel",
    "JanusVisionModel",
    "Kosmos2_5VisionModel",
    "LevitModel",
    "MLCDVisionModel",
    "Mask2FormerModel",
    "MaskFormerModel",
    "MaskFormerSwinModel",
    "MetaClip2VisionModel",
    "MgpstrForSceneTextRecognition",
    "MobileNetV1Model",
    "MobileNetV2ForSemanticSegmentation",
    "MobileNetV2Model",
    "MobileViTForSemanticSegmentation",
    "MobileViTModel",
    "MobileViTV2ForSemanticSegmentation",
    "MobileViTV2Model",
    "OwlViTVisionModel",
    "Owlv2VisionModel",
    "PPFormulaNetVisionModel",
    "PPLCNetBackbone",
    "PPLCNetV3Backbone",
    "PPLCNetV4Backbone",
    "PPOCRV5MobileDetForObjectDetection",
    "PPOCRV5ServerRecModel",
    "PPOCRV6SmallRecModel",
    "PPOCRV6TinyRecModel",
    "PixioModel",
    "PixtralVisionModel",
    "PoolFormerModel",
    "PvtModel",
    "PvtV2Model",
    "QianfanOCRVisionModel",
    "RTDetrResNetBackbone",
    "RegNetModel",
    "ResNetModel",
    "Sam2HieraDetModel",
    "Sam3ViTModel",
    "SamHQVisionModel",
    "SamVisionModel",
    "Sapiens2Model",
    "SegformerForSemanticSegmentation",
    "SegformerModel",
    "SiglipVisionModel",
    "SuperPointForKeypointDetection",
    "SwiftFormerModel",
    "Swin2SRForImageSuperResolution",
    "Swinv2Model",
    "TableTransformerModel",
    "TextNetModel",
    "Tipsv2DptForDensePrediction",
    "Tipsv2VisionModel",
    "UVDocBackbone",
    "UperNetForSemanticSegmentation",
    "ViTMAEModel",
    "ViTMSNModel",
    "ViTModel",
    "VitDetModel",
    "VitPoseBackbone",
    "VitPoseForPoseEstimation",
    "YolosModel",
    "ZoeDepthForDepthEstimation",
)

SPECIAL: dict[str, Special] = {
    "DFineModel": _FEW_QUERIES,
    "Deimv2Model": _FEW_QUERIES,
    "PPDocLayoutV2Model": _FEW_QUERIES,
    "PPDocLayoutV3Model": _FEW_QUERIES,
    "PPDocLayoutV4Model": _FEW_QUERIES,
    "RTDetrModel": _FEW_QUERIES,
    "RTDetrV2Model": _FEW_QUERIES,
    "RfDetrModel": _FEW_QUERIES,
    "DonutSwinModel": Special({"pixel_values": (1, 3, 224, 224)}, {"image_size": 224}),
    "GroundingDinoModel": Special(
        {"pixel_values": (1, 3, 64, 64), "input_ids": (1, 9)}, {"num_queries": 10}
    ),
    "MMGroundingDinoModel": Special(
        {"pixel_values": (1, 3, 64, 64), "input_ids": (1, 9)}, {"num_queries": 10}
    ),
    "PPOCRV5MobileRecModel": Special({"pixel_values": (1, 3, 96, 320)}),
    "EfficientLoFTRModel": Special({"pixel_values": (1, 2, 3, 64, 64)}),
    "Florence2VisionBackbone": Special({"hidden_states": (1, 3, 64, 64)}),
    "GlmImageVisionModel": _patches(3 * 16 * 16),
    "HYV4VLVisionModel": _patches(3 * 16 * 16),
    "HunYuanVLVisionTransformer": _patches(3 * 16 * 16),
    "MiniMaxM3VLVisionModel": _patches(3 * 2 * 14 * 14),
    "Qwen2VisionTransformerPretrainedModel": _patches(
        3 * 2 * 14 * 14, name="hidden_states"
    ),
    "Phi4MultimodalVisionModel": Special(
        {"pixel_values": (1, 3, 56, 56)}, {"image_size": 56}
    ),
    "SegGptModel": Special(
        {
            "pixel_values": (1, 3, 64, 64),
            "prompt_pixel_values": (1, 3, 64, 64),
            "prompt_masks": (1, 3, 64, 64),
        },
        {"image_size": [128, 64]},
    ),
    "SwinModel": Special({"pixel_values": (1, 3, 224, 224)}, {"image_size": 224}),
    "VideoLlama3VisionModel": Special(
        {"pixel_values": (16, 3 * 16 * 16)},
        {},
        {"grid_thw": torch.tensor([[1, 4, 4]]), "merge_sizes": torch.tensor([1])},
    ),
    "XCLIPVisionModel": Special({"pixel_values": (8, 3, 64, 64)}),
    "SLANetBackbone": Special({"hidden_states": (1, 3, 64, 64)}),
    "SLANeXtBackbone": Special({"hidden_states": (1, 3, 64, 64)}),
    "TimesformerModel": _one("pixel_values", 1, 2, 3, 64, 64, num_frames=2),
    "VJEPA2Model": _one(
        "pixel_values_videos", 1, 2, 3, 64, 64, crop_size=64, frames_per_clip=2
    ),
    "VideoMAEModel": _one("pixel_values", 1, 2, 3, 64, 64, num_frames=2),
    "VideoPrismVisionModel": _one(
        "pixel_values_videos", 1, 2, 3, 72, 72, image_size=72, num_frames=2
    ),
    "VideomtForUniversalSegmentation": _one("pixel_values_videos", 1, 2, 3, 64, 64),
    "VivitModel": _one("pixel_values", 1, 4, 3, 64, 64, num_frames=4),
    "EomtDinov3ForUniversalSegmentation": Special({}, {"num_hidden_layers": 5}),
    "EomtForUniversalSegmentation": Special({}, {"num_hidden_layers": 5}),
    "MiniCPMOcrVisionModel": Special({}, {}, {"target_sizes": torch.tensor([[4, 4]])}),
    "MiniCPMV4_7VisionModel": Special({}, {}, {"target_sizes": torch.tensor([[4, 4]])}),
    "PaddleOCRVisionModel": Special(
        {"pixel_values": (1, 64, 3, 14, 14)},
        {},
        {"grid_thw": torch.tensor([[1, 8, 8]])},
    ),
    "ViltModel": Special({"input_ids": (1, 9), "pixel_values": (1, 3, 64, 64)}),
    "ASTModel": _one("input_values", 1, 1024, 128),
    "AudioFlamingo3Encoder": _mel(1, 128, 100, mask=True, max_source_positions=50),
    "ClapAudioModel": _mel(1, 1, 1001, 64),
    "DacModel": _one("input_values", 1, 1, 4000),
    "Data2VecAudioModel": _one("input_values", 1, 4000),
    "EncodecModel": _one("input_values", 1, 1, 4000),
    "FastSpeech2ConformerHifiGan": Special({"spectrogram": (1, 9, 80)}),
    "FunAsrNanoEncoder": Special({
        "input_features": (1, 100, 560),
        "input_features_mask": (1, 100),
    }),
    "Gemma4AudioModel": _mel(1, 100, 128),
    "GlmAsrEncoder": _mel(1, 128, 100, max_position_embeddings=50),
    "GraniteSpeech5Encoder": _mel(1, 100, 320),
    "HubertModel": _one("input_values", 1, 4000),
    "LasrEncoder": _mel(1, 100, 128),
    "MimiModel": _one("input_values", 1, 1, 4000),
    "MoonshineModel": Special({"input_values": (1, 4000), "decoder_input_ids": (1, 4)}),
    "ParakeetEncoder": _mel(1, 100, 80),
    "PocketTTSAudioTokenizerEncoderModel": _one("input_values", 1, 1, 4000),
    "Qwen2AudioEncoder": _mel(1, 128, 100, max_source_positions=50),
    "Qwen3ASREncoder": _mel(1, 128, 100, mask=True),
    "SEWDModel": _one("input_values", 1, 4000),
    "SEWModel": _one("input_values", 1, 4000),
    "SeamlessM4TCodeHifiGan": Special({
        "input_ids": (1, 9),
        "spkr_id": (1, 1),
        "lang_id": (1, 1),
    }),
    "Speech2TextModel": Special({
        "input_features": (1, 100, 80),
        "decoder_input_ids": (1, 4),
    }),
    "SpeechT5HifiGan": Special({"spectrogram": (1, 9, 80)}),
    "UniSpeechModel": _one("input_values", 1, 4000),
    "UniSpeechSatModel": _one("input_values", 1, 4000),
    "UnivNetModel": Special({
        "input_features": (1, 9, 100),
        "noise_sequence": (1, 9, 64),
    }),
    "VibeVoiceAcousticTokenizerEncoderModel": _one("hidden_states", 1, 1, 6400),
    "VitsModel": Special({"input_ids": (1, 9)}),
    "VoxtralEncoder": _mel(1, 128, 100, max_source_positions=50),
    "VoxtralRealtimeEncoder": _mel(1, 128, 100),
    "Wav2Vec2BertModel": _mel(1, 100, 160),
    "Wav2Vec2ConformerModel": _one("input_values", 1, 4000),
    "Wav2Vec2Model": _one("input_values", 1, 4000),
    "WavLMModel": _one("input_values", 1, 4000),
    "WavTokenizerEncoderModel": _one("input_values", 1, 1, 4000),
    "WhisperModel": Special(
        {"input_features": (1, 80, 100), "decoder_input_ids": (1, 4)},
        {"max_source_positions": 50, "vocab_size": 60000},
    ),
    "XcodecModel": _one("input_values", 1, 1, 4000),
    "ConvBertModel": _TEXT,
    "DebertaV2Model": Special({"input_ids": (1, 9)}, {"conv_kernel_size": 3}),
    "FalconMambaModel": _TEXT,
    "JambaModel": Special(
        {"input_ids": (1, 9)},
        _NARROW | {"num_experts": 2, "attn_layer_period": 2, "attn_layer_offset": 1},
    ),
    "Lfm2Model": Special(
        {"input_ids": (1, 9)}, _NARROW | {"layer_types": ["conv", "full_attention"]}
    ),
    "Mamba2Model": Special(
        {"input_ids": (1, 9)},
        {"hidden_size": 64, "num_heads": 8, "head_dim": 16, "vocab_size": 100},
    ),
    "MambaModel": _TEXT,
    "Qwen3NextModel": replace(_EXPERTS, options={"use_cache": False}),
    "SqueezeBertModel": _TEXT,
}


def networks() -> Iterator[Network]:
    """Yield those that the installed version has."""
    library = importlib.import_module("transformers")
    for name in sorted({*IMAGES, *SPECIAL}):
        kind = getattr(library, name, None)
        if kind is not None:
            special = SPECIAL.get(name, Special())
            sizes = special.sizes or {"pixel_values": (1, 3, SIDE, SIDE)}
            yield Network(
                f"transformers {name}",
                lambda kind=kind, changes=special.changes: _build(kind, changes),
                sizes,
                special.options,
            )


def _build(kind: Any, changes: Mapping[str, Any]) -> nn.Module:
    configuration = kind.config_class
    options = shallow(configuration().to_dict()) | dict(changes)
    network: nn.Module = kind(configuration.from_dict(options))
    return network
