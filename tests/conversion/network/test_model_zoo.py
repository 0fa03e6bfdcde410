"""Networks of transformers, torchvision and timm equal what they are converted to."""

import importlib
from collections.abc import Callable, Iterator
from importlib.util import find_spec

import pytest
import torch

from expressivity.convolutions.plain import TRANSPOSED
from tests.model_zoo import hugging_face, timm, torchvision
from tests.model_zoo.comparison import CONVOLUTIONS, compare
from tests.model_zoo.network import Network
from tests.model_zoo.vision_files import vision_files

LIBRARIES: dict[str, Callable[[], Iterator[Network]]] = {
    "transformers": hugging_face.networks,
    "torchvision": torchvision.networks,
    "timm": timm.networks,
}
MISSING = [name for name in LIBRARIES if find_spec(name) is None]
if MISSING:
    pytest.skip(f"make zoo installs {', '.join(MISSING)}", allow_module_level=True)

pytestmark = [
    pytest.mark.zoo,
    # What other libraries warn of is not ours to mend.
    pytest.mark.filterwarnings("default"),
]

# Part of the reason why convolutions of a network stay, transposed ones apart.
STANDARDISED = "does not compute what a plain convolution with its weight does"
SCALED = "it has state that a plain convolution would drop: gain"
SAME = "could not be compared with a plain convolution: the two modules return outputs"
ASKED_FOR = "while the network runs on inputs=, "
KEPT: dict[str, str | tuple[str, ...]] = {
    "timm dm_nfnet_f0": SCALED,
    "timm nasnetalarge": SAME,
    "timm nf_resnet26": SCALED,
    "timm pnasnet5large": SAME,
    "timm test_nfnet": SCALED,
    "timm tf_efficientnet_b0": SAME,
    "timm tf_efficientnet_cc_b0_4e": (SAME, "nn.Conv2d or nn.Conv3d is required"),
    "timm tf_mixnet_s": SAME,
    "timm tf_mobilenetv3_small_minimal_100": SAME,
    "timm vit_tiny_r_s16_p8_224": SAME,
    "transformers BitModel": STANDARDISED,
    "transformers Gemma4AudioModel": SAME,
    "transformers ParakeetEncoder": ASKED_FOR,
    "transformers MaskFormerModel": "which is no registered submodule",
    "transformers VoxtralRealtimeEncoder": "takes more than an input: padding_cache",
    "transformers XcodecModel": ASKED_FOR,
}
# They cut images into patches by reshaping.
NO_CONVOLUTIONS = {"timm gemma4_vit_167m", "timm naflexvit_base_patch16_gap"}
# Files of transformers with convolutions and vision of which no network runs here: why
# the first attempt did not, as far as that is known.
LEFT_OUT = {
    "apertus1p5": "it encodes and decodes, and has no forward",
    "depth_pro": "its patches of 384 pixels make one run take minutes",
    "dinat": "it needs natten",
    "dots3_note": "its default configuration names layers up to the fortieth",
    "edgetam": "its default configuration does not suit its backbone",
    "edgetam_video": "it runs on a session, not on tensors",
    "emu3": "it encodes and decodes, and has no forward",
    "inkling2": "not tried",
    "kosmos2": "not tried",
    "muse_spark": "not tried",
    "lw_detr": "its default configuration does not suit a shallow backbone",
    "omdet_turbo": "it needs a language model",
    "oneformer": "it needs a tokenizer",
    "pe_video": "it needs images of 336 pixels and a backbone of timm",
    "pp_ocrv5_server_det": "its default configuration has no backbone",
    "pp_ocrv6_medium_det": "its default configuration has no backbone",
    "prompt_depth_anything": "with random weights its depth is zero everywhere",
    "vitmatte": "its default configuration does not suit its backbone",
    "pp_ocrv6_small_det": "its default configuration does not suit its backbone",
    "sam2_video": "it runs on a session, not on tensors",
    "sam3_lite_text": "it needs prompts",
    "sam3_tracker": "it needs images of 1008 pixels",
    "sam3_tracker_video": "it runs on a session, not on tensors",
    "siglip2": "its images come as patches with a mask of their own",
}
NETWORKS = [network for networks in LIBRARIES.values() for network in networks()]


@pytest.mark.parametrize("case", NETWORKS, ids=str)
def test_converts_runs_and_equals_the_original(case: Network):
    network = case.network()
    convolutions = {
        name: module
        for name, module in network.named_modules()
        if isinstance(module, CONVOLUTIONS)
    }
    comparison = compare(network, case.inputs())
    records = {record.name: record for record in comparison.conversion.layers}
    assert bool(records) == (case.name not in NO_CONVOLUTIONS)
    assert convolutions.keys() <= records.keys()
    reasons = {
        record.reason
        for record in comparison.conversion.kept
        if not isinstance(convolutions.get(record.name), TRANSPOSED)
    }
    assert bool(reasons) == (case.name in KEPT), reasons
    allowed = KEPT.get(case.name, ())
    allowed = (allowed,) if isinstance(allowed, str) else allowed
    for reason in reasons:
        assert any(fragment in reason for fragment in allowed), reason
    for record in comparison.conversion.kept:
        if isinstance(convolutions.get(record.name), TRANSPOSED):
            assert "transposed convolution" in record.reason
    assert comparison.deviation <= comparison.tolerance
    assert comparison.independent
    if comparison.conversion.converted:
        # ... and an error would have shown.
        assert comparison.effect > 10 * comparison.tolerance


def test_every_file_of_transformers_with_vision_and_convolutions_is_here():
    listed = {case.name.removeprefix("transformers ") for case in NETWORKS}
    files = vision_files()
    missing = {file for file, names in files.items() if not listed & set(names)}
    assert missing == LEFT_OUT.keys() & files.keys()


def test_every_file_of_timm_is_here():
    library = importlib.import_module("timm")
    listed = {case.name.removeprefix("timm ") for case in NETWORKS}
    missing = [
        module
        for module in library.list_modules()
        if not listed & set(library.list_models(module=module))
    ]
    assert not missing


def test_a_speech_encoder_masks_alike():
    case = next(each for each in NETWORKS if each.name.endswith("ParakeetEncoder"))
    mask = (torch.arange(100) < 60).long()[None]  # the rest of the sound is padding
    comparison = compare(case.network(), case.inputs() | {"attention_mask": mask})
    # Its forward masks after layers of the class nn.Conv2d only.
    assert any("asks whether it" in each.reason for each in comparison.conversion.kept)
    assert comparison.deviation <= comparison.tolerance
