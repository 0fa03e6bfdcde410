"""The same attention, evaluated several ways: pure functions below the layer."""

from expressivity.strategies.base import Strategy
from expressivity.strategies.dense import attention_probabilities, attention_scores
from expressivity.strategies.select import (
    AUTO,
    STRATEGIES,
    Explanation,
    attend,
    check_name,
    explain,
    select,
)

__all__ = [
    "AUTO",
    "STRATEGIES",
    "Explanation",
    "Strategy",
    "attend",
    "attention_probabilities",
    "attention_scores",
    "check_name",
    "explain",
    "select",
]
