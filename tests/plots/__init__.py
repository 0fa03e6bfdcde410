"""Tests of ``expressivity.plots``."""
