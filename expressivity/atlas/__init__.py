"""What every family of layers can and cannot express, with weights or a witness."""

from expressivity.atlas.catalogue import FAMILIES
from expressivity.atlas.family import Claim, Family
from expressivity.atlas.witness import Witness

__all__ = ["FAMILIES", "Claim", "Family", "Witness"]
