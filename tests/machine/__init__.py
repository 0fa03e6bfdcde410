"""Tests of ``expressivity.machine``."""
