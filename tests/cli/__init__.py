"""Tests of ``expressivity.cli``."""
