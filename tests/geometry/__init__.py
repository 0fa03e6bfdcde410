"""Tests of ``expressivity.geometry``."""
