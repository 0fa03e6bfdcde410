"""What attention costs is counted, whichever kernel runs."""

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import expressivity as ex
from expressivity.machine.flops import FLOP_RULES, FVCORE_RULES

CONV = nn.Conv2d(8, 8, 3, padding=1)
X = torch.randn(2, 8, 6, 6)
TOKENS, QUERIES, HEADS = 8 * 8, 6 * 6, 9


def count(layer: nn.Module) -> int:
    with (
        torch.no_grad(),
        FlopCounterMode(custom_mapping=FLOP_RULES, display=False) as counter,
    ):
        layer(X)
    return counter.get_total_flops()


def test_saturated_heads_cost_the_convolution() -> None:
    assert count(ex.attention_from_conv(CONV)) == count(CONV) > 0


@pytest.mark.parametrize("strategy", ["dense", "fused"])
def test_attention_costs_queries_times_keys(strategy: str) -> None:
    attention = ex.attention_from_conv(CONV, alpha=1.0, strategy=strategy)
    values = 2 * 2 * HEADS * QUERIES * TOKENS * 8  # a product and a sum; two images
    assert count(attention) >= values


def test_stock_attention_costs_tokens_squared() -> None:
    layer = ex.to_multihead(ex.attention_from_conv(CONV), size=(6, 6)).train()
    scores = 2 * 2 * HEADS * TOKENS * TOKENS * layer.attention.head_dim
    projections = 2 * 2 * TOKENS * layer.width**2 * 4
    assert count(layer) == 2 * scores + projections


def traced(layer: nn.Module) -> int:
    """Add up what fvcore is told of the attention in a trace."""
    graph = torch.jit.trace(layer, X).inlined_graph
    nodes = [n for kind in FVCORE_RULES for n in graph.findAllNodes(kind)]
    rules = [FVCORE_RULES[node.kind()] for node in nodes]
    return sum(
        rule(list(node.inputs()), list(node.outputs()))
        for rule, node in zip(rules, nodes, strict=True)
    )


@pytest.mark.filterwarnings("ignore")  # of the tracer
@torch.no_grad()
def test_attention_in_a_trace_is_counted() -> None:
    layer = ex.to_multihead(ex.attention_from_conv(CONV), size=(6, 6))
    assert traced(layer) == 2 * 2 * HEADS * TOKENS**2 * layer.attention.head_dim
    attention = ex.attention_from_conv(CONV, alpha=1.0, strategy="fused")
    assert traced(attention) >= 2 * HEADS * QUERIES * TOKENS * 8
    assert traced(CONV) == 0
