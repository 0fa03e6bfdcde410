"""Rules for torch's counter of floating-point operations, where it counts none.

``torch.utils.flop_counter.FlopCounterMode`` knows the attention kernels of GPUs. That
of a CPU counts as nothing, without a word: ``fused`` layers and
``nn.MultiheadAttention`` then look as if they never attended.
"""

from collections.abc import Callable, Sequence

import torch


def _attention(
    query: Sequence[int],
    key: Sequence[int],
    value: Sequence[int],
    *_: object,
    out_shape: object = None,
    **__: object,
) -> int:
    """Count queries times keys, and probabilities times values: two each."""
    batch, heads, queries, width = query
    keys, values = key[2], value[3]
    return 2 * batch * heads * queries * keys * (width + values)


FLOP_RULES: dict[object, Callable[..., int]] = {
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention,
}
"""For ``FlopCounterMode(custom_mapping=FLOP_RULES)``.

Example:
    >>> from torch.utils.flop_counter import FlopCounterMode
    >>> q = torch.ones(1, 2, 8, 16)
    >>> with FlopCounterMode(custom_mapping=FLOP_RULES, display=False) as counter:
    ...     _ = torch.nn.functional.scaled_dot_product_attention(q, q, q)
    >>> counter.get_total_flops() == 2 * 2 * 8 * 8 * (16 + 16)
    True
"""
