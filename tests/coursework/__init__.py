"""Tests of the coursework: every check, every form, every grade."""
