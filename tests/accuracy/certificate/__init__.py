"""Tests of ``expressivity.accuracy.certificate``."""
