"""What a page knows: layers, quoted numbers, witnesses, and reference values."""

import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

from expressivity.checks import Progress
from expressivity.explorer import document, reference
from expressivity.explorer.learned import Learned, learned
from expressivity.explorer.quoted import Quote, Settings, fewer_heads, quotes, seal
from expressivity.explorer.reference import State
from expressivity.explorer.subject import Subject
from expressivity.explorer.witnesses import STATEMENTS, witnesses
from expressivity.machine.threads import one_thread

_SETTINGS = Settings()
_TRAINED = 1000  # weights of a layer whose heads are trained for a page


@dataclass(frozen=True, eq=False)
class LayerScene:
    """One layer of a page.

    Attributes:
        whole: The layer and its image.
        start: The α that the page starts at, 1/pixel².
        quotes: What the package says of them.
        heads: Heads with free tables, as JSON; ``None`` where there are too many.
        training: Heads during training; ``None`` where nobody trained any.
    """

    whole: Subject
    start: float
    quotes: tuple[Quote, ...]
    heads: dict[str, Any] | None
    training: Learned | None

    @classmethod
    def of(cls, subject: Subject, settings: Settings = _SETTINGS) -> Self:
        """Compute what a page quotes of a layer."""
        part = subject.part
        heads = fewer_heads(part)
        return cls(
            subject,
            settings.start(subject),
            quotes(subject, settings),
            heads,
            learned(part) if _is_identifiable(part, heads) else None,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the layer as JSON has it."""
        part, whole = self.whole.part, self.whole
        return {
            **document.to_json(part),
            "live": part.is_live,
            "whole": {
                "convolution": str(whole.conv),
                "outputs": whole.conv.out_channels,
                "size": list(whole.size),
            },
            "quotes": [asdict(quote) for quote in self.quotes],
            "heads": self.heads,
            "training": None if self.training is None else self.training.to_dict(),
            "references": references(part) if part.is_live else [],
        }


@dataclass(frozen=True, eq=False)
class Scene:
    """Everything that a page knows.

    Attributes:
        layers: The layers.
        witnesses: What families cannot do, as JSON.
    """

    layers: tuple[LayerScene, ...]
    witnesses: Sequence[dict[str, Any]]

    @classmethod
    def of(
        cls,
        subjects: Sequence[Subject],
        progress: Progress = iter,
        families: Sequence[str] = tuple(STATEMENTS),
        settings: Settings = _SETTINGS,
    ) -> Self:
        """Compute everything that a page needs.

        Args:
            subjects: Layers with an image each.
            progress: Wraps an iterable, as ``tqdm`` does; by default nothing.
            families: Families of the atlas whose witness to show.
            settings: Where the page starts, and how layers are evaluated.

        Returns:
            The scene.

        Raises:
            ArgumentError: If a family is not one that a page shows, or a tolerance
                needs an α that no page has.
        """
        attacks = witnesses(families, progress)
        layers = tuple(LayerScene.of(each, settings) for each in progress(subjects))
        return cls(layers, attacks)

    def to_dict(self) -> dict[str, Any]:
        """Return the scene as JSON has it."""
        return {
            "made_by": seal(),
            "alpha": self.layers[0].start,
            "layers": [layer.to_dict() for layer in self.layers],
            "witnesses": list(self.witnesses),
        }


def _is_identifiable(part: Subject, heads: dict[str, Any] | None) -> bool:
    """Return whether heads that compute it have to find its taps, and soon do."""
    small = part.conv.weight.numel() <= _TRAINED
    return small and heads is not None and heads["rank"] == heads["taps"]


@one_thread()
def references(part: Subject) -> list[dict[str, Any]]:
    """Return numbers of some states of a layer, for the page to recompute.

    Args:
        part: A part that a page can hold.

    Returns:
        A reading, a state and the package's numbers, each.
    """
    rng = random.Random(0)
    geometry = part.kernel.geometry
    outputs, taps = geometry.output_size(part.size), geometry.centers().tolist()
    rows = []
    for alpha in (1.5, 6.0):
        head = rng.randrange(len(taps))
        query = [0, *(rng.randrange(n) for n in outputs)][-2:]
        output = rng.randrange(part.conv.out_channels)
        center = tuple([0.0, *(tap + 0.25 for tap in taps[head])][-2:])
        state = State(alpha=alpha, output=output, head=head, query=tuple(query))
        off = replace(state, moved={head: center})
        for name, each in (
            ("oneHead", state),
            ("allHeads", off),
            ("errorCurves", state),
            ("twoPaths", state),
        ):
            numbers = reference.READINGS[name](part, each)
            numbers.pop("gap", None)  # rounding, which is nobody's to agree on
            rows.append({"reading": name, "state": asdict(each), "expected": numbers})
    return rows
