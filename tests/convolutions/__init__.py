"""Tests of ``expressivity.convolutions``."""
