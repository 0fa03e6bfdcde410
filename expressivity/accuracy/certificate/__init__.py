"""Rigorous statements about one layer, for every input."""

from expressivity.accuracy.certificate.certificate import Certificate, Layer, certify
from expressivity.accuracy.certificate.worst_input import WorstInput

__all__ = ["Certificate", "Layer", "WorstInput", "certify"]
