"""Tests of ``expressivity.conversion.network``."""
