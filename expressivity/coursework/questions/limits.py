"""What can attention not do?"""

from flint import arb

from expressivity.conversion.head_count import head_count
from expressivity.coursework.construct import Construct
from expressivity.coursework.draw import Draw, conv_of
from expressivity.coursework.exercise import Exercise
from expressivity.coursework.indistinguishable import FindWitness
from expressivity.coursework.prediction import Predict
from expressivity.geometry.convolution import Convolution


def exercises(draw: Draw) -> list[Exercise]:
    """Return the exercises of notebook 6."""
    shared = _shared(draw)
    edge = draw.weights("6.2", (1, 1, 3, 3))
    edge[0, 0, 0, 0], edge[0, 0, 2, 2] = edge[0, 0, 0, 0].abs(), -1.0
    other = conv_of(draw.weights("6.3", (1, 1, 3, 3)), padding=1)
    return [
        Predict(
            number="6.1",
            title="How few heads?",
            minutes=15,
            points=3,
            misconception="A convolution needs a head for every tap.",
            statement="minimal_heads",
            quantity="the number of heads with free tables that the kernel needs",
            widest=1.0,
            given={"conv": shared},
            _truth=lambda: arb(head_count(shared).needed),
        ),
        Construct(
            number="6.2",
            title="Two heads",
            minutes=20,
            points=5,
            misconception="Attention weights are positive, so differences are out.",
            statement="minimal_heads",
            conv=conv_of(edge, padding=1),
            size=(6, 6),
            tolerance=1e-6,
            most_heads=2,
        ),
        FindWitness(
            number="6.3",
            title="Without positions",
            minutes=15,
            points=4,
            misconception="Enough heads and width make up for missing positions.",
            statement="swap_symmetry",
            family="content",
            conv=other,
            size=(5, 5),
        ),
        FindWitness(
            number="6.4",
            title="Left and right",
            minutes=15,
            points=4,
            misconception="A bias of distances is an encoding of positions.",
            statement="mirror_symmetry",
            family="alibi",
            conv=_lopsided(draw),
            size=(7,),
        ),
    ]


def _shared(draw: Draw) -> Convolution:
    """Return a kernel whose nine taps span two dimensions, with a zero in the sum."""
    factors = draw.weights("6.1 factors", (9, 2))
    basis = draw.weights("6.1 basis", (2, 2, 2))
    if draw.integer("6.1 balanced", 0, 1):
        factors[-1] -= factors.sum(0)
    weight = (factors @ basis.flatten(1)).reshape(3, 3, 2, 2).permute(2, 3, 0, 1)
    return conv_of(weight, padding=1)


def _lopsided(draw: Draw) -> Convolution:
    """Return a kernel over one axis that weighs left and right differently."""
    weight = draw.weights("6.4", (1, 1, 3))
    weight[0, 0, 2] = -weight[0, 0, 0]
    return conv_of(weight, padding=1)
