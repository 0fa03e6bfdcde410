"""All families, in reading order."""

from collections.abc import Mapping
from types import MappingProxyType

from expressivity.atlas import (
    absolute,
    augmented,
    buckets,
    content,
    external,
    gated,
    gaussian,
    linear_bias,
    mixer,
    patches,
    quadratic,
    repmlp,
    rotary,
    sink,
    sinusoidal,
    standalone,
    tables,
    windows,
)
from expressivity.atlas.family import Family

# A file holds families that differ in one term.
_FILES = (
    quadratic,
    gaussian,
    tables,
    gated,
    content,
    external,
    augmented,
    standalone,
    absolute,
    sinusoidal,
    rotary,
    patches,
    windows,
    buckets,
    linear_bias,
    sink,
    mixer,
    repmlp,
)

FAMILIES: Mapping[str, Family] = MappingProxyType({
    family.name: family for file in _FILES for family in file.FAMILIES
})
