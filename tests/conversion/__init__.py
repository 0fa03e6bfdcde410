"""Tests of ``expressivity.conversion``."""
