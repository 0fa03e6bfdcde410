"""Rigorous statements about one layer, for every input."""

from expressivity.certificate.certificate import Certificate, certify
from expressivity.certificate.worst_input import WorstInput

__all__ = ["Certificate", "WorstInput", "certify"]
