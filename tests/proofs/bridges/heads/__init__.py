"""Bridges to the statements of ``proofs/statements/heads``."""
