"""Tests of ``expressivity.training``."""
