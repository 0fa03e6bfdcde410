"""All statements, in reading order."""

from importlib import import_module

NAMES = (
    "quadratic_identity",
    "softmax_limit",
    "separability",
    "smoothing_identity",
    "leak",
    "first_order",
    "worst_case",
    "replicate_border",
    "zero_padding",
    "absolute_factorisation",
    "head_rank",
    "head_count",
    "nonsingular_smoothing",
    "saturation",
    "swap_symmetry",
    "silent_query",
    "mirror_symmetry",
    "shared_bucket",
    "normaliser",
    "receptive_field",
    "minimal_heads",
    "gelu_identity",
    "repmlp_matrix",
    "patch_count",
    "rotary_maximum",
    "soft_rings",
)
MODULES = tuple(import_module(f"proofs.{name}") for name in NAMES)
STATEMENTS = tuple(module.STATEMENT for module in MODULES)
