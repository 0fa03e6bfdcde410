"""The pictures: error against α, attention maps, the two together, and cost.

They draw on matplotlib ``Figure`` objects without pyplot: no window, no global state.
matplotlib is an optional dependency. It is imported with the first picture.

Example:
    >>> import torch
    >>> from expressivity import error_sweep
    >>> sweep = error_sweep(torch.nn.Conv1d(1, 1, 3), torch.rand(1, 1, 9), [2.0, 4.0])
    >>> plot_error_vs_alpha(sweep).savefig("error.png")  # doctest: +SKIP
"""

from expressivity.plots.error_curve import plot_error_vs_alpha
from expressivity.plots.evidence import plot_evidence
from expressivity.plots.growth import plot_growth
from expressivity.plots.head_centers import plot_heads
from expressivity.plots.head_curve import plot_head_curve
from expressivity.plots.inputs import plot_counterexample, plot_witness
from expressivity.plots.layer_maps import plot_attention_maps
from expressivity.plots.network_maps import attention_maps
from expressivity.plots.overview import plot_overview

__all__ = [
    "attention_maps",
    "plot_attention_maps",
    "plot_counterexample",
    "plot_error_vs_alpha",
    "plot_evidence",
    "plot_growth",
    "plot_head_curve",
    "plot_heads",
    "plot_overview",
    "plot_witness",
]
