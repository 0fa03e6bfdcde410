"""All families, in reading order."""

import warnings
from collections.abc import Iterator, Mapping

from expressivity.atlas.families import (
    alibi,
    augmented,
    content,
    convit,
    external,
    gaussian,
    mixer,
    patches,
    quadratic,
    repmlp,
    rope,
    sagan,
    sink,
    sinusoidal,
    standalone,
    swin,
    t5,
    tables,
    vit,
)
from expressivity.atlas.family import Family

# A file holds families that differ in one term.
_FILES = (
    quadratic,
    gaussian,
    tables,
    convit,
    content,
    sagan,
    external,
    augmented,
    standalone,
    vit,
    sinusoidal,
    rope,
    patches,
    swin,
    t5,
    alibi,
    sink,
    mixer,
    repmlp,
)
_RENAMED = {
    "gated": "convit",
    "windows": "swin",
    "buckets": "t5",
    "linear-bias": "alibi",
}


class Catalogue(Mapping[str, Family]):
    """Families by name; the names of earlier releases work, with a warning."""

    def __init__(self, families: Mapping[str, Family]) -> None:
        """List families by their names."""
        self._families = dict(families)

    def __getitem__(self, name: str) -> Family:
        """Return the family of a name."""
        if name in _RENAMED:
            warnings.warn(
                f"the family {name!r} is now called {_RENAMED[name]!r}: use the "
                "new name, as the old one goes with the next release",
                FutureWarning,
                stacklevel=2,
            )
        return self._families[_RENAMED.get(name, name)]

    def __contains__(self, name: object) -> bool:
        """Say whether a name is one of a family, today or in an earlier release."""
        return name in self._families or name in _RENAMED

    def __iter__(self) -> Iterator[str]:
        """Go through today's names."""
        return iter(self._families)

    def __len__(self) -> int:
        """Count the families."""
        return len(self._families)


FAMILIES = Catalogue({
    family.name: family for file in _FILES for family in file.FAMILIES
})
