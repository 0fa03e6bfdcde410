"""What families of the atlas cannot do: witness, attack and control."""

from collections.abc import Sequence
from functools import cache
from typing import Any

from expressivity.atlas import FAMILIES
from expressivity.atlas.evidence import attacked
from expressivity.checks import Progress, check_choice, shown
from expressivity.errors import ArgumentError
from expressivity.explorer.arrays import encoded
from expressivity.explorer.document import to_json
from expressivity.explorer.subject import Subject
from expressivity.machine.threads import one_thread

# Families whose witness is a pair of images that they treat alike, with the statement
# that proves it.
STATEMENTS = {
    "content": "swap_symmetry",
    "sagan": "swap_symmetry",
    "external": "swap_symmetry",
    "standalone": "silent_query",
    "t5": "shared_bucket",
    "alibi": "mirror_symmetry",
}
_STEPS = 120


def witnesses(
    names: Sequence[str] = tuple(STATEMENTS), progress: Progress = iter
) -> list[dict[str, Any]]:
    """Attack the witness of each family.

    Args:
        names: Of families, each among ``STATEMENTS``.
        progress: Wraps the names, as ``tqdm`` does; by default nothing.

    Returns:
        One document a family.

    Raises:
        ArgumentError: If a name is another one.
    """
    if not isinstance(names, Sequence) or isinstance(names, str):
        raise ArgumentError(f"families needs a list of names, got {shown(names)}")
    for name in names:
        check_choice("families", name, tuple(STATEMENTS))
    return [_witness(name) for name in progress(names)]


@cache
@one_thread()
def _witness(name: str) -> dict[str, Any]:
    """Attack the family's own example, once a process: it takes seconds."""
    family = FAMILIES[name]
    attack = attacked(family, family.fails(), steps=_STEPS)
    witness, conv = attack.witness, attack.sample.conv
    images = [x.unsqueeze(1) if x.dim() == 2 else x for x in witness.inputs]
    subject = Subject.of(name, family.title, conv, witness.inputs[0])
    return {
        "name": name,
        "title": family.title,
        "claim": family.claim.statement,
        "source": family.source,
        "kind": witness.kind,
        "symmetry": witness.symmetry,
        "statement": STATEMENTS[name],
        "bound": attack.bound,
        "attack": encoded_trace(attack.reached),
        "control": encoded_trace(attack.control),
        "layer": to_json(subject),
        "images": [encoded(image) for image in images],
        "queries": [[0, *place][-2:] for place in witness.query],
    }


def encoded_trace(errors: Sequence[float]) -> list[float]:
    """Return errors in six digits, rounded upward in the last: they are pictures."""
    return [float(f"{error:.6g}") for error in errors]
