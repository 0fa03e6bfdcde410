"""Networks of Hugging Face's transformers: a few layers of each, on small inputs.

Every network has its own default configuration, made shallow: as wide as in the
library, and through the same code.
"""

import importlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tests.model_zoo.network import Network, Sizes

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
_SIDE = 64  # pixels


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


def _sound(*size: int, name: str = "input_values", **changes: Any) -> Special:
    return Special({name: size}, changes)


def _mel(*size: int, mask: bool = False, **changes: Any) -> Special:
    masks = {"input_features_mask": (size[0], size[2])} if mask else {}
    return Special({"input_features": size} | masks, changes)


def _video(*size: int, name: str = "pixel_values", **changes: Any) -> Special:
    return Special({name: size}, changes)


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
    "PPOCRV5MobileDetModel",
    "PPOCRV5ServerDetModel",
    "PPOCRV5ServerRecModel",
    "PPOCRV6MediumDetModel",
    "PPOCRV6SmallRecModel",
    "PPOCRV6TinyRecModel",
    "PixioModel",
    "PixtralVisionModel",
    "PoolFormerModel",
    "PromptDepthAnythingForDepthEstimation",
    "PvtModel",
    "PvtV2Model",
    "QianfanOCRVisionModel",
    "RTDetrResNetBackbone",
    "RegNetModel",
    "ResNetModel",
    "SLANeXtBackbone",
    "SLANetBackbone",
    "Sam2HieraDetModel",
    "Sam3ViTModel",
    "SamHQVisionModel",
    "SamVisionModel",
    "Sapiens2Model",
    "SegGptModel",
    "SegformerForSemanticSegmentation",
    "SegformerModel",
    "SiglipVisionModel",
    "SuperPointForKeypointDetection",
    "SwiftFormerModel",
    "Swin2SRForImageSuperResolution",
    "SwinModel",
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
    "VideoLlama3VisionModel",
    "VitDetModel",
    "VitMatteForImageMatting",
    "VitPoseBackbone",
    "VitPoseForPoseEstimation",
    "XCLIPVisionModel",
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
    "PPOCRV5MobileRecModel": Special({"pixel_values": (1, 3, 48, 320)}),
    "EfficientLoFTRModel": Special({"pixel_values": (1, 2, 3, 64, 64)}),
    "Florence2VisionBackbone": Special({"hidden_states": (1, 3, 64, 64)}),
    "GlmImageVisionModel": _patches(3 * 16 * 16),
    "HYV4VLVisionModel": _patches(3 * 16 * 16),
    "HunYuanVLVisionTransformer": _patches(3 * 16 * 16),
    "MiniMaxM3VLVisionModel": _patches(3 * 2 * 14 * 14),
    "Qwen2VisionTransformerPretrainedModel": _patches(
        3 * 2 * 14 * 14, name="hidden_states"
    ),
    "Siglip2VisionModel": Special(
        {"pixel_values": (1, 16, 768), "pixel_attention_mask": (1, 16)},
        {},
        {"spatial_shapes": torch.tensor([[4, 4]])},
    ),
    "Phi4MultimodalVisionModel": Special(
        {"pixel_values": (1, 3, 56, 56)}, {"image_size": 56}
    ),
    "TimesformerModel": _video(1, 2, 3, 64, 64, num_frames=2),
    "VJEPA2Model": _video(
        1, 2, 3, 64, 64, name="pixel_values_videos", crop_size=64, frames_per_clip=2
    ),
    "VideoMAEModel": _video(1, 2, 3, 64, 64, num_frames=2),
    "VideoPrismVisionModel": _video(
        1, 2, 3, 72, 72, name="pixel_values_videos", image_size=72, num_frames=2
    ),
    "VideomtForUniversalSegmentation": _video(
        1, 2, 3, 64, 64, name="pixel_values_videos"
    ),
    "VivitModel": _video(1, 4, 3, 64, 64, num_frames=4),
    "EomtDinov3ForUniversalSegmentation": Special({}, {"num_hidden_layers": 5}),
    "EomtForUniversalSegmentation": Special({}, {"num_hidden_layers": 5}),
    "Molmo2VisionModel": Special(
        {"pixel_values": (1, 16, 3 * 14 * 14)}, {"image_size": [56, 56]}
    ),
    "MiniCPMOcrVisionModel": Special({}, {}, {"target_sizes": torch.tensor([[4, 4]])}),
    "MiniCPMV4_7VisionModel": Special({}, {}, {"target_sizes": torch.tensor([[4, 4]])}),
    "PaddleOCRVisionModel": Special(
        {"pixel_values": (1, 64, 3, 14, 14)},
        {},
        {"grid_thw": torch.tensor([[1, 8, 8]])},
    ),
    "Inkling2VisionModel": _patches(3 * 20 * 20, "image_grid_thw"),
    "MuseSparkVisionModel": Special(),
    "Kosmos2ForConditionalGeneration": Special(),
    "OneFormerModel": Special({
        "pixel_values": (1, 3, 64, 64),
        "task_inputs_ids": (1, 77),
    }),
    "Sam2VisionModel": Special({"pixel_values": (1, 3, 256, 256)}, {}),
    "Sam3VisionModel": Special(),
    "VideoLlama3VisionModel": Special(
        {"pixel_values": (16, 3 * 14 * 14)},
        {},
        {"grid_thw": torch.tensor([[1, 4, 4]]), "merge_sizes": torch.tensor([1])},
    ),
    "LayoutLMv3Model": Special(
        {"input_ids": (1, 9), "pixel_values": (1, 3, 64, 64)}, {"input_size": 64}
    ),
    "ViltModel": Special({"input_ids": (1, 9), "pixel_values": (1, 3, 64, 64)}),
    "BridgeTowerVisionModel": Special(),
    "LayoutLMv2Model": Special(),
    "Idefics3VisionTransformer": Special(),
    "Qwen2_5_VisionTransformerPretrainedModel": _patches(
        3 * 2 * 14 * 14, name="hidden_states"
    ),
    "Qwen3VLVisionModel": _patches(3 * 2 * 16 * 16, name="hidden_states"),
    "Glm4vVisionModel": _patches(3 * 2 * 14 * 14, name="hidden_states"),
    "SmolVLMVisionTransformer": Special(),
    "MllamaVisionModel": Special(),
    "Lfm3VlVisionModel": Special(),
    "GotOcr2VisionEncoder": Special(),
    "Step3p7VisionModel": Special(),
    "Kimi_K25VisionModel": _patches(3 * 14 * 14),
    "PerceiverForImageClassificationConvProcessing": Special({
        "inputs": (1, 3, 224, 224)
    }),
    "ASTModel": _sound(1, 1024, 128),
    "AudioFlamingo3Encoder": _mel(1, 128, 100, mask=True, max_source_positions=50),
    "ClapAudioModel": _mel(1, 1, 1001, 64),
    "DacModel": _sound(1, 1, 4000),
    "Data2VecAudioModel": _sound(1, 4000),
    "EncodecModel": _sound(1, 1, 4000),
    "FastSpeech2ConformerHifiGan": Special({"spectrogram": (1, 9, 80)}),
    "FunAsrNanoEncoder": Special({
        "input_features": (1, 100, 560),
        "input_features_mask": (1, 100),
    }),
    "Gemma4AudioModel": _mel(1, 100, 128),
    "GlmAsrEncoder": _mel(1, 128, 100, max_position_embeddings=50),
    "GraniteSpeech5Encoder": _mel(1, 100, 320),
    "HubertModel": _sound(1, 4000),
    "LasrEncoder": _mel(1, 100, 128),
    "MimiModel": _sound(1, 1, 4000),
    "MoonshineModel": Special({"input_values": (1, 4000), "decoder_input_ids": (1, 4)}),
    "NemotronAsrStreamingEncoder": _mel(1, 100, 128),
    "OmniASRAudioModel": _sound(1, 4000),
    "ParakeetEncoder": _mel(1, 100, 80),
    "PeAudioEncoder": _sound(1, 1, 4000),
    "PocketTTSAudioTokenizerEncoderModel": _sound(1, 1, 4000),
    "Qwen2AudioEncoder": _mel(1, 128, 100, max_source_positions=50),
    "Qwen3ASREncoder": _mel(1, 128, 100, mask=True),
    "SEWDModel": _sound(1, 4000),
    "SEWModel": _sound(1, 4000),
    "SeamlessM4TCodeHifiGan": Special({
        "input_ids": (1, 9),
        "speaker_id": (1, 1),
        "lang_id": (1, 1),
    }),
    "Speech2TextModel": Special({
        "input_features": (1, 100, 80),
        "decoder_input_ids": (1, 4),
    }),
    "SpeechT5HifiGan": Special({"spectrogram": (1, 9, 80)}),
    "UniSpeechModel": _sound(1, 4000),
    "UniSpeechSatModel": _sound(1, 4000),
    "UnivNetModel": Special({
        "input_features": (1, 9, 100),
        "noise_sequence": (1, 9, 64),
    }),
    "VibeVoiceAcousticTokenizerEncoderModel": _sound(1, 1, 6400),
    "VitsModel": Special({"input_ids": (1, 9)}),
    "VoxtralEncoder": _mel(1, 128, 100, max_source_positions=50),
    "VoxtralRealtimeEncoder": _mel(1, 128, 100),
    "Wav2Vec2BertModel": _mel(1, 100, 160),
    "Wav2Vec2ConformerModel": _sound(1, 4000),
    "Wav2Vec2Model": _sound(1, 4000),
    "WavLMModel": _sound(1, 4000),
    "WavTokenizerEncoderModel": _sound(1, 1, 4000),
    "WhisperModel": Special(
        {"input_features": (1, 80, 100), "decoder_input_ids": (1, 4)},
        {"max_source_positions": 50, "vocab_size": 60000},
    ),
    "XcodecModel": _sound(1, 1, 4000),
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
    "Qwen3NextModel": _EXPERTS,
    "RecurrentGemmaModel": _SMALL_TEXT,
    "SqueezeBertModel": _TEXT,
}


def networks() -> Iterator[Network]:
    """Yield those that the installed version has."""
    library = importlib.import_module("transformers")
    for name in sorted({*IMAGES, *SPECIAL}):
        kind = getattr(library, name, None)
        if kind is not None:
            special = SPECIAL.get(name, Special())
            sizes = special.sizes or {"pixel_values": (1, 3, _SIDE, _SIDE)}
            yield Network(
                f"transformers {name}",
                lambda kind=kind, changes=special.changes: _build(kind, changes),
                sizes,
                special.options,
            )


def _build(kind: Any, changes: Mapping[str, Any]) -> nn.Module:
    configuration = kind.config_class
    shallow = _shallow(configuration().to_dict())
    for name, value in changes.items():
        shallow[name] = value
    network: nn.Module = kind(configuration.from_dict(shallow))
    return network


def _shallow(options: dict[str, Any]) -> dict[str, Any]:
    """Return a configuration, and those within it, with few layers and small images."""
    small = {
        name: _shallow(value) if isinstance(value, dict) else _small(name, value)
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
    if name in ("depths",) and isinstance(value, (list, tuple)):
        return [1 if isinstance(each, int) else each for each in value]
    if name in ("layer_types", "layers_block_type") and isinstance(
        value, (list, tuple)
    ):
        return list(value)[:_FEW]
    if name == "image_size":
        return _SIDE if isinstance(value, int) else value and [_SIDE] * len(value)
    return value


def vision_files() -> dict[str, list[str]]:
    """Return the networks that take an image or a video, by the file that has them.

    Only files with convolutions of their own count, and only public networks.
    """
    library = importlib.import_module("transformers")
    files = {}
    for path in sorted(Path(library.__file__).parent.glob("models/*/modeling_*.py")):
        if "nn.Conv" in path.read_text():
            name = f"transformers.models.{path.parent.name}.{path.stem}"
            try:
                module = importlib.import_module(name)
            except ImportError:  # of a library that is missing
                continue
            files[path.stem.removeprefix("modeling_")] = [
                name
                for name, kind in vars(module).items()
                if isinstance(kind, type)
                and issubclass(kind, library.PreTrainedModel)
                and kind.__module__ == module.__name__
                and kind.main_input_name in ("pixel_values", "pixel_values_videos")
                and hasattr(library, name)
            ]
    return {file: names for file, names in files.items() if names}
