"""Tests of ``expressivity.heads``."""
