"""The layer: multi-head self-attention over relative positions."""

from expressivity.attention.layer import RelativeSelfAttention, explain

__all__ = ["RelativeSelfAttention", "explain"]
