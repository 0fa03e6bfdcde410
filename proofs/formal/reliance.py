"""What a public function rests on: statements, and theorems that cover it.

Names of the package are text here: the proofs import nothing from it, and the tests see
that every public function is named.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Reliance:
    """What is relied on.

    Attributes:
        statements: Names of statements.
        theorems: Names of theorems about what it computes.
    """

    statements: tuple[str, ...]
    theorems: tuple[str, ...]


_SMOOTHING = ("quadratic_identity", "separability", "smoothing_identity")
_BORDERS = ("leak", "replicate_border", "zero_padding")
_SMOOTHED = (
    "smoothing_identity",
    "smoothing_strengths",
    "gaussian_separable",
    "probability_powers",
)
_CONVERTED = (
    "attention_expresses_convolution",
    "attention_error_any_size",
    "padded_smoothing",
    "bare_smoothing",
    "grouped_row",
    "conv_zeros",
    "conv_reflect",
    "conv_circular",
    "conv_replicate",
    "conv_converges",
    "conv_replicate_converges",
)
_CONVERSION = (*_SMOOTHING, *_BORDERS, "saturation")
_WORST = (*_SMOOTHING, *_BORDERS, "worst_case")

FUNCTIONS: dict[str, Reliance] = {
    "RelativeSelfAttention": Reliance(
        (*_SMOOTHING, "absolute_factorisation", "saturation", "minimal_heads"),
        (*_SMOOTHED, "absolute_factorisation", "table_probability_tap"),
    ),
    "attention_from_conv": Reliance(
        (*_CONVERSION, "head_rank", "minimal_heads", "soft_rings"),
        (*_CONVERTED, "leak_saturation", "rank_suffices", "heads_suffice"),
    ),
    "conv_from_attention": Reliance(
        ("smoothing_identity", "softmax_limit", "replicate_border"),
        ("softmax_limit", "attention_error"),
    ),
    "convert": Reliance((*_CONVERSION, "worst_case"), (*_CONVERTED, "leak_saturation")),
    "to_multihead": Reliance(
        ("absolute_factorisation", "softmax_limit"),
        ("absolute_factorisation", "softmax_limit"),
    ),
    "head_report": Reliance(
        ("leak", "worst_case"),
        ("leak_theta", "worst_case_any_size", "worst_case_bound"),
    ),
    "init_vit": Reliance(
        ("absolute_factorisation", "leak", "replicate_border"),
        ("absolute_factorisation", "leak_any_size"),
    ),
    "leak": Reliance(("leak",), ("leak_theta", "leak_any_size")),
    "saturation_alpha": Reliance(("leak", "saturation"), ("leak_saturation",)),
    "worst_case_error": Reliance(
        (*_WORST, "minimal_heads"),
        (
            "error_exact",
            "worst_case_any_size",
            "worst_case_one_tap",
            "worst_case_bound",
            "worst_case_attained",
        ),
    ),
    "alpha_for": Reliance(_WORST, ("worst_case_any_size", "leak_saturation")),
    "certify": Reliance(
        _WORST, ("worst_case_bound", "worst_case_attained", "error_exact", "row_norm")
    ),
    "first_order_error": Reliance((*_SMOOTHING, "first_order"), ("first_order_error",)),
    "error_sweep": Reliance(
        (*_WORST, "first_order"),
        ("first_order_error", "error_exact", "worst_case_any_size"),
    ),
    "explore": Reliance(
        (*_WORST, "first_order", "smoothing_identity", "minimal_heads"),
        ("error_exact", "worst_case_attained", "first_order_error", "heads_suffice"),
    ),
    "truncation_error": Reliance(("head_rank",), ("rank_suffices", "rank_needed")),
    "head_count": Reliance(
        ("head_count", "minimal_heads"),
        ("heads_needed", "heads_suffice", "one_head", "two_heads", "rho_too_few"),
    ),
}
"""By the name of a public function or class."""

FAMILIES: dict[str, Reliance] = {
    "quadratic": Reliance(
        (*_SMOOTHING, *_BORDERS), (*_CONVERTED, "no_zero_padding", "only_center_tap")
    ),
    "content": Reliance(("swap_symmetry",), ("off_center_error", "no_off_center_tap")),
    "augmented-attention": Reliance(("silent_query",), ("silent_query_error",)),
    "standalone": Reliance(("silent_query",), ("silent_query_error",)),
    "swin": Reliance(("zero_padding",), ("no_zero_padding", "only_center_tap")),
    "t5": Reliance(
        ("shared_bucket",), ("shared_encoding_error", "shared_encoding_exact")
    ),
    "alibi": Reliance(("mirror_symmetry",), ("mirror_error", "mirror_exact")),
}
"""By the name of a family of the atlas, where a theorem speaks of its layer."""

MAIN: dict[str, str] = {
    "attention_error": r"$|\mathrm{Attn}_\alpha(X) - \mathrm{Conv}_W(X)|$ is at most "
    r"the sum of $|W_\Delta| \cdot 2B \cdot \lambda$ over the taps, $\lambda$ the leak "
    "of the tap's head",
    "attention_error_tokens": r"so at most $\Sigma|W| \cdot 2B \cdot (N - 1)\,"
    r"\varepsilon$ on $N$ pixels",
    "attention_error_any_size": r"and at most $\Sigma|W| \cdot 2B \cdot "
    r"2d\varepsilon/(1 + \varepsilon)$, whatever the size",
    "attention_converges": r"the limit of large $\alpha$, uniform over canvases, "
    "bounded images, queries and channels",
    "attention_expresses_convolution": "for every convolution and tolerance there are "
    "heads that are as close as that, with no more dimensions than taps have rank",
    "conv_converges": "the limit for kernel, stride, dilation and padding tokens "
    "spelled as in torch",
    "attention_expresses_convolution_reals": "the theorem for the exponential of "
    "Coq's standard library",
    "attention_expresses_convolution_analysis": "and for that of MathComp Analysis",
}
"""What the theorems say that put all statements together."""
