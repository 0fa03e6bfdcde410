"""The same attention, evaluated several ways: pure functions below the layer."""

from expressivity.strategies.base import ContentTerms, Heads, Strategy
from expressivity.strategies.dense import attention_scores
from expressivity.strategies.memo import Memo
from expressivity.strategies.placement import Placement
from expressivity.strategies.select import (
    AUTO,
    STRATEGIES,
    Explanation,
    check_name,
    explain,
    select,
)

__all__ = [
    "AUTO",
    "STRATEGIES",
    "ContentTerms",
    "Explanation",
    "Heads",
    "Memo",
    "Placement",
    "Strategy",
    "attention_scores",
    "check_name",
    "explain",
    "select",
]
