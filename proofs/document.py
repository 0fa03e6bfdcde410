"""Placeholder to be replaced."""

FORMATS = ("markdown", "latex", "html")


def write(outcomes, style):
    raise NotImplementedError
