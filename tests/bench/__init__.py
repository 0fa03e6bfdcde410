"""Tests of ``expressivity.bench``."""
