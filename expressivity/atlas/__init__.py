"""What every family of layers can and cannot express, with weights or a witness.

``layers`` has the layers as their papers define them, ``families`` the verdicts under
the same names; ``evidence`` computes live what they rest on.

Example:
    >>> import torch
    >>> FAMILIES["quadratic"].verdict, FAMILIES["content"].verdict
    ('yes', 'no')
    >>> witness = FAMILIES["content"].refute(torch.nn.Conv2d(1, 1, 3, padding=1))
    >>> witness.bound > 0
    True
"""

from expressivity.atlas.catalogue import FAMILIES
from expressivity.atlas.family import Claim, Family
from expressivity.atlas.witness import Witness

__all__ = ["FAMILIES", "Claim", "Family", "Witness"]
