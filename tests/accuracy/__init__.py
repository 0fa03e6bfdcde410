"""Tests of ``expressivity.accuracy``."""
