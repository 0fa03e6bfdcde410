"""Bridges to the statements of ``proofs/statements/attention``."""
