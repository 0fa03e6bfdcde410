"""Rules for counters of floating-point operations, where they count none.

``torch.utils.flop_counter.FlopCounterMode`` knows the attention kernels of GPUs. That
of a CPU counts as nothing, without a word: ``fused`` layers and
``nn.MultiheadAttention`` then look as if they never attended. fvcore counts no fused
attention at all.
"""

from collections.abc import Callable, Sequence
from typing import Any

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


def _traced(inputs: Sequence[Any], outputs: Sequence[Any]) -> int:
    """Count multiplications that are added up, as fvcore does: half as many."""
    query, key, value = (each.type().sizes() for each in inputs[:3])
    return _attention(query, key, value) // 2


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

FVCORE_RULES: dict[str, Callable[..., int]] = {
    "aten::scaled_dot_product_attention": _traced
}
"""For ``FlopCountAnalysis(model, x).set_op_handle(**FVCORE_RULES)``.

fvcore counts a multiplication and the addition of its product once, and what a trace
does: one that is traced takes α for an input, so that no head is saturated.

Example:
    >>> q = torch.ones(1, 2, 8, 16)
    >>> attend = torch.nn.functional.scaled_dot_product_attention
    >>> graph = torch.jit.trace(lambda q: attend(q, q, q), q).inlined_graph
    >>> node = graph.findNode("aten::scaled_dot_product_attention")
    >>> rule = FVCORE_RULES[node.kind()]
    >>> rule(list(node.inputs()), list(node.outputs())) == 2 * 8 * 8 * (16 + 16)
    True
"""
