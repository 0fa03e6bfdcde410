"""All families, in reading order."""

from importlib import import_module
from types import MappingProxyType

from expressivity.atlas.family import Family

# A file holds families that differ in one term.
_FILES = (
    "quadratic",
    "gaussian",
    "tables",
    "gated",
    "content",
    "external",
    "augmented",
    "standalone",
    "absolute",
    "sinusoidal",
    "rotary",
    "patches",
    "windows",
    "buckets",
    "linear_bias",
    "sink",
    "mixer",
    "repmlp",
)


def _families() -> dict[str, Family]:
    found: dict[str, Family] = {}
    from pathlib import Path

    for file in _FILES:
        if not (Path(__file__).parent / f"{file}.py").exists():
            continue
        for family in import_module(f"expressivity.atlas.{file}").FAMILIES:
            found[family.name] = family
    return found


FAMILIES = MappingProxyType(_families())
