"""Random layers and states of a page, and what the package says of them."""

import random
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from expressivity.atlas import FAMILIES
from expressivity.conversion import head_count
from expressivity.convolutions import build_convolution
from expressivity.explorer.arrays import encoded
from expressivity.explorer.document import to_json
from expressivity.explorer.reference import READINGS, State, learned_head
from expressivity.explorer.subject import Subject

FAMILIES_SHOWN = ("content", "sagan", "external", "standalone", "t5", "alibi")
# Each of these is compared with what it is relative to.
TOLERANCE = 1e-12


@dataclass(frozen=True)
class Case:
    """A layer in a state, as the page has them, and what the package says of it."""

    layer: dict[str, Any]
    state: dict[str, Any]
    reading: str
    expected: dict[str, float]

    @property
    def level(self) -> float:
        """What numbers count as zero below, relative to the tolerance."""
        if self.reading == "twoPaths":  # their gap is below 1e-13 of the output
            return 0.1 * self.expected["heads"]
        # The error of heads that are exact is rounding, and rows of the package leave
        # out attention that is below rounding beside what the head leaks.
        return 1e-2 if self.reading == "fewerHeads" else 1e-12

    def to_dict(self) -> dict[str, Any]:
        return vars(self) | {"level": self.level}


def random_subject(rng: random.Random) -> Subject:
    """Return a small convolution with any options, and an image."""
    axes = rng.choice([1, 2, 2, 2, 2])
    groups = rng.choice([1, 1, 2])
    inputs, outputs = groups * rng.choice([1, 2]), groups * rng.choice([1, 2, 3])
    kernel = [rng.choice([1, 2, 3]) for _ in range(axes)]
    dilation = [rng.choice([1, 1, 2]) for _ in range(axes)]
    reach = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
    padding = [rng.randint(0, 2) for _ in range(axes)]
    mode = rng.choice(["zeros", "reflect", "replicate", "circular"])
    size = [max(3, r + 1) + rng.randint(0, 2) for r in reach]
    dtype = rng.choice([torch.float32, torch.float64])
    weight = torch.randn(outputs, inputs // groups, *kernel, dtype=dtype)
    bias = torch.randn(outputs, dtype=dtype) if rng.random() < 0.5 else None
    conv = build_convolution(
        nn.Parameter(weight),
        None if bias is None else nn.Parameter(bias),
        stride=[rng.choice([1, 1, 2]) for _ in range(axes)],
        padding=padding,
        dilation=dilation,
        groups=groups,
        padding_mode=mode,
    )
    image = 0.4 * torch.randn(inputs, *size, dtype=dtype)
    return Subject.of("random", "Random", conv, image)


def random_state(rng: random.Random, subject: Subject) -> State:
    geometry = subject.kernel.geometry
    taps = geometry.centers().tolist()
    outputs = geometry.output_size(subject.size)
    # With one axis, the first of two has a single output.
    query = [rng.randrange(n) for n in (1, *outputs)[-2:]]
    moved = {}
    for head in rng.sample(range(len(taps)), rng.randint(0, min(3, len(taps)))):
        change = [
            rng.choice([0.0, 1.0, -0.5, 1.5, rng.uniform(-1.6, 1.6)]) for _ in outputs
        ]
        center = [tap + step for tap, step in zip(taps[head], change, strict=True)]
        moved[head] = tuple([0.0, *center][-2:])
    return State(
        alpha=rng.choice([rng.uniform(0.05, 1), rng.uniform(1, 20)]),
        output=rng.randrange(subject.conv.out_channels),
        head=rng.randrange(len(taps)),
        query=tuple(query),
        pixel=tuple(rng.randrange(n) for n in (1, *subject.size)[-2:]),
        moved=moved,
        mode=rng.choice(["zeros", "reflect", "replicate", "circular"]),
    )


def to_state(state: State) -> dict[str, Any]:
    return vars(state) | {"moved": dict(state.moved)}


def of_layers(count: int, seed: int = 0) -> list[Case]:
    """Return cases of every reading that looks at a layer and a state."""
    rng, cases = random.Random(seed), []
    torch.manual_seed(seed)
    for _ in range(count):
        subject = random_subject(rng)
        drawn = random_state(rng, subject)
        layer = to_json(subject)
        for reading, compute in READINGS.items():
            state = drawn
            if reading in ("errorCurves", "twoPaths", "border", "painted"):
                state = State(**{**vars(drawn), "moved": {}})
            if reading == "border":
                state = within(subject, state)
                if state is None:
                    continue
            document = to_state(state)
            drawn_on = subject
            if reading == "painted":
                image = 2 * torch.rand_like(subject.image) - 1
                document["image"] = encoded(
                    image.unsqueeze(1) if image.dim() == 2 else image
                )
                drawn_on = replace(subject, image=image)
            cases.append(Case(layer, document, reading, compute(drawn_on, state)))
        center = [rng.uniform(-3, 3), rng.uniform(-3, 3)]
        if subject.kernel.geometry.axes == 1:
            center[0] = 0.0
        cases.append(
            Case(
                layer,
                {"alpha": drawn.alpha, "center": center},
                "learnedHead",
                learned_head(subject, drawn.alpha, center),
            )
        )
    return cases


def within(subject: Subject, state: State) -> State | None:
    """Return the state with a query of the padded layer; nothing if it takes none."""
    geometry = subject.kernel.geometry
    widths = geometry.same_padding
    if any(before != after for before, after in widths):
        return None
    if any(max(w) >= n for w, n in zip(widths, subject.size, strict=True)):
        return None
    outputs = subject.padded_as(state.mode).kernel.geometry.output_size(subject.size)
    query = tuple(
        place % n for place, n in zip(state.query, (1, *outputs)[-2:], strict=True)
    )
    return State(**{**vars(state), "query": query})


def of_heads(count: int, seed: int = 0) -> list[Case]:
    """Return cases about fewer heads."""
    cases = []
    torch.manual_seed(seed)
    for _ in range(count):
        conv = nn.Conv2d(2, 3, 3).double()
        counted = head_count(conv)
        curve = counted.curve()
        for heads, error in zip(curve.heads, curve.errors, strict=True):
            found = counted.minimal(heads)
            kernel = conv.weight.detach().flatten(2).flatten(0, 1)
            state = {
                "tables": encoded(found.tables),
                "matrices": encoded(found.matrices.flatten(1)),
                "kernel": encoded(kernel),
            }
            cases.append(Case({}, state, "fewerHeads", {"error": error}))
    return cases


def of_witnesses() -> list[Case]:
    """Return a case for the witness of each family that a page shows."""
    cases = []
    for name in FAMILIES_SHOWN:
        family = FAMILIES[name]
        sample = family.fails()
        witness = family.refute(sample.conv, sample.size)
        images = [x.unsqueeze(1) if x.dim() == 2 else x for x in witness.inputs]
        subject = Subject.of(name, name, sample.conv, witness.inputs[0])
        state = {
            "images": [encoded(image) for image in images],
            "queries": [[0, *place][-2:] for place in witness.query],
        }
        expected = {"half": witness.bound}
        cases.append(Case(to_json(subject), state, "halfDifference", expected))
    return cases
