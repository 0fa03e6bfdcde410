"""Tests of ``expressivity.attention``."""
