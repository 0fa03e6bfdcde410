"""Tests of ``expressivity.strategies``."""
