"""Rigorous statements about one layer, for every input."""

from expressivity.accuracy.certificate.certificate import Certificate, certify
from expressivity.accuracy.certificate.worst_input import WorstInput

__all__ = ["Certificate", "WorstInput", "certify"]
