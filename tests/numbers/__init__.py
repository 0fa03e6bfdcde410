"""Tests of ``expressivity.numbers``."""
