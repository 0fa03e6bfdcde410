"""How do I train it on? Groups of parameters, what heads do, penalties, initialisers.

A converted network is an ordinary ``nn.Module``. Converted at a soft α its positions
learn with everything else:

Example:
    >>> import torch
    >>> from expressivity import convert
    >>> model = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3), torch.nn.ReLU())
    >>> soft = convert(model, alpha=4.0, content=8).model
    >>> groups = parameter_groups(soft, lr=1e-3, positions_lr=1e-2, weight_decay=0.05)
    >>> [(group["name"], group["weight_decay"]) for group in groups]
    [('projections', 0.05), ('positions', 0.0), ('content', 0.05)]
    >>> optimizer = torch.optim.AdamW(groups)
    >>> round(head_report(soft).layers[0].heads[0].content_share, 3)
    0.018
"""

from expressivity.training.groups import clamp_alpha, parameter_groups
from expressivity.training.penalties import sharpness_penalty, tap_penalty
from expressivity.training.report import (
    HeadRecord,
    HeadReport,
    LayerHeads,
    head_report,
)

__all__ = [
    "HeadRecord",
    "HeadReport",
    "LayerHeads",
    "clamp_alpha",
    "head_report",
    "parameter_groups",
    "sharpness_penalty",
    "tap_penalty",
]
