"""What every command prints with ``--json``: the fields, their types and meanings.

The tests hold every document that a command prints for them against these types.
"""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from expressivity.accuracy.certificate.document import CertificateDocument
from expressivity.bench.document import Measurement
from expressivity.conversion.network import LayerRecord

# JSON has no numbers for NaN and the infinities: they are spelled out.
Number = float | Literal["nan", "inf", "-inf"]
Size = list[int]


class Claim(Struct, forbid_unknown_fields=True):
    """A statement with numbers in it, and whether it is true."""

    statement: str
    holds: bool


class Report(Struct, forbid_unknown_fields=True, kw_only=True):
    """What the documents of all commands but ``bench`` have in common."""

    command: Annotated[str, Meta(description="Name of the command.")]
    holds: Annotated[bool, Meta(description="Whether every claim holds: status 0.")]
    claims: Annotated[list[Claim], Meta(description="What is claimed, in words.")]
    environment: Annotated[
        dict[str, str | int],
        Meta(
            description="Versions of expressivity, torch and Python; platform; threads."
        ),
    ]
    files: Annotated[list[str], Meta(description="Files that were written.")]


class Model(Report, kw_only=True):
    """What documents about a model of the user have in common."""

    factory: Annotated[str | None, Meta(description="What made the model.")]
    weights: Annotated[str | None, Meta(description="File of its weights.")]
    seed: Annotated[int, Meta(description="Decides all random numbers.")]


Options = Annotated[
    dict[str, float | int | str | list[str] | None],
    Meta(description="Of the conversion: alpha, tolerance, head_dim, where, strategy."),
]


class Agreement(Struct, forbid_unknown_fields=True):
    """How far apart the model and the converted model were."""

    inputs: str
    count: int
    largest_difference: Number
    output_scale: Number
    relative_difference: Number


class ConvertDocument(Model, kw_only=True):
    """``expressivity convert``."""

    options: Options
    max_difference: Annotated[
        float, Meta(description="Largest relative difference allowed.")
    ]
    agreements: Annotated[
        list[Agreement],
        Meta(description="Model against converted model, for each set of inputs."),
    ]
    layers: Annotated[
        list[LayerRecord],
        Meta(
            description="One record a convolution: status, reason, heads, α, 1/pixel², "
            "worst case (absolute, inputs within ±1)."
        ),
    ]
    remarks: Annotated[list[str], Meta(description="Code that attention may not suit.")]
    load_back: Annotated[
        list[str], Meta(description="Lines of Python that load the result.")
    ]


class CertifiedLayer(Struct, forbid_unknown_fields=True):
    """One layer on one size."""

    name: str
    reason: str
    alpha: float
    measured: float | None
    certificate: CertificateDocument | None


class CertifyDocument(Model, kw_only=True):
    """``expressivity certify``."""

    attention: Annotated[str | None, Meta(description="File of fine-tuned weights.")]
    options: Options
    input: Annotated[Size | None, Meta(description="Shape of a batch.")]
    input_bound: Annotated[
        float, Meta(description="Largest absolute value of any input.")
    ]
    layers: Annotated[
        list[CertifiedLayer],
        Meta(
            description="Certificate of every layer, or the reason why there is none; "
            "the largest error measured on its worst input."
        ),
    ]


class FamilyDocument(Struct, forbid_unknown_fields=True):
    """The evidence for one family."""

    family: str
    title: str
    verdict: Literal["yes", "no", "conditional"]
    statement: str
    conditions: list[str]
    heads: str
    source: str
    holds: bool
    strength: dict[str, float]
    error: float | None
    bound: float | None
    input_bound: float | None
    attack: float | None
    control: float | None
    witness: str | None
    symmetry: str | None
    remarks: list[str]


class AtlasDocument(Report, kw_only=True):
    """``expressivity atlas``."""

    factory: Annotated[str | None, Meta(description="What made the model.")]
    layer: Annotated[str | None, Meta(description="Name of the convolution in it.")]
    size: Annotated[Size | None, Meta(description="Pixels of its input.")]
    steps: Annotated[int, Meta(description="Steps of every attack.")]
    seed: Annotated[int, Meta(description="Decides all random numbers.")]
    families: Annotated[
        list[FamilyDocument],
        Meta(
            description="Verdict, error of weights (relative), bound of the witness "
            "(absolute), attack and control of every family."
        ),
    ]


class SweepDocument(Model, kw_only=True):
    """``expressivity sweep``."""

    layer: Annotated[
        str | None, Meta(description="Name of the convolution in the model.")
    ]
    convolution: Annotated[str, Meta(description="The convolution, in words.")]
    size: Annotated[Size, Meta(description="Pixels of the input.")]
    alphas: Annotated[list[float], Meta(description="Locality strengths, 1/pixel².")]
    measured: Annotated[
        list[Number], Meta(description="Largest absolute error measured.")
    ]
    predicted: Annotated[
        list[Number], Meta(description="The first order of that error.")
    ]
    worst_case: Annotated[
        list[Number],
        Meta(description="What no input of this size and magnitude exceeds."),
    ]
    rounding_floor: Annotated[
        float, Meta(description="One rounding of the largest output.")
    ]
    dtype: Annotated[str, Meta(description="Dtype of the layer.")]


class ShownLayer(Struct, forbid_unknown_fields=True):
    """One layer of a saved folder."""

    name: str
    reason: str
    certificate: CertificateDocument | None
    kernel_size: Size
    num_heads: int
    alpha: float
    worst_case_error: float | None


class Kept(Struct, forbid_unknown_fields=True):
    """A convolution that stays."""

    name: str
    reason: str


class ShowDocument(Report, kw_only=True):
    """``expressivity show``."""

    folder: Annotated[str, Meta(description="The folder.")]
    kind: Annotated[str, Meta(description="A network or a layer.")]
    model: Annotated[str, Meta(description="Class of what was saved.")]
    made_by: Annotated[
        str, Meta(description="The package that saved it, and its version.")
    ]
    format_version: Annotated[int, Meta(description="Version of the format.")]
    layers: Annotated[
        list[ShownLayer], Meta(description="Every number, computed again.")
    ]
    kept: Annotated[list[Kept], Meta(description="Convolutions that stay, and why.")]
    program: Annotated[
        bool, Meta(description="Whether there is a torch.export program.")
    ]


class ExploredLayer(Struct, forbid_unknown_fields=True):
    """One layer of the page."""

    name: str
    convolution: str
    size: Size
    shown: str
    shown_size: Size
    live: bool


class ExploreDocument(Model, kw_only=True):
    """``expressivity explore``."""

    layer: Annotated[
        str | None, Meta(description="Name of the convolution in the model.")
    ]
    image: Annotated[str | None, Meta(description="File of the input.")]
    alpha: Annotated[
        float | None, Meta(description="α that the page starts at, 1/pixel².")
    ]
    tolerance: Annotated[
        float | None, Meta(description="The error that decides about α instead.")
    ]
    strategy: Annotated[
        str, Meta(description="How the layer that is certified is evaluated.")
    ]
    layers: Annotated[
        list[ExploredLayer], Meta(description="What the page shows of each.")
    ]
    bytes: Annotated[int, Meta(description="Length of the page.")]


class DemoLayerDocument(Struct, forbid_unknown_fields=True):
    """One layer of the demonstration."""

    name: str
    kind: str
    status: Literal["converted", "kept"]
    reason: str
    kernel_size: Size | None
    num_heads: int | None
    alpha: float | None
    worst_case_error: Number | None
    measured_error: Number | None


class DemoDocument(Report, kw_only=True):
    """``expressivity demo``."""

    seed: Annotated[int, Meta(description="Decides all random numbers.")]
    epochs: Annotated[int, Meta(description="Passes of the training.")]
    alpha: Annotated[float | None, Meta(description="Locality strength, 1/pixel².")]
    tolerance: Annotated[float | None, Meta(description="Largest error of any layer.")]
    test_images: Annotated[int, Meta(description="Number of test images.")]
    accuracy_before: Annotated[float, Meta(description="Share of them, as a CNN.")]
    accuracy_after: Annotated[float, Meta(description="Share of them, as attention.")]
    largest_logit: Annotated[float, Meta(description="Largest absolute logit.")]
    largest_logit_difference: Annotated[Number, Meta(description="Between the two.")]
    layers: Annotated[
        list[DemoLayerDocument],
        Meta(
            description="One record a convolution, with the error measured on test "
            "images over the largest input."
        ),
    ]


class TrainDocument(Report, kw_only=True, forbid_unknown_fields=False):
    """``expressivity train``; each experiment adds fields of its own."""

    settings: Annotated[
        dict[str, Any],
        Meta(
            description="What the run depends on; the results of the experiment "
            "stand beside it."
        ),
    ]


class BenchDocument(Struct, forbid_unknown_fields=True, kw_only=True):
    """``expressivity bench``: the raw numbers and nothing else."""

    version: Annotated[int, Meta(description="Version of the format.")]
    setting: Annotated[str, Meta(description="quick or full.")]
    device: Annotated[str, Meta(description="cpu or cuda.")]
    dtype: Annotated[str, Meta(description="Dtype of weights and inputs.")]
    environment: Annotated[
        dict[str, Any], Meta(description="Versions, processor, threads.")
    ]
    measurements: Annotated[
        list[Measurement],
        Meta(
            description="One a contender and case: seconds (median and quartiles), "
            "ratio to the baseline in the same race, bytes."
        ),
    ]
    facts: Annotated[dict[str, float], Meta(description="Single numbers by name.")]


DOCUMENTS: dict[str, type[Struct]] = {
    "demo": DemoDocument,
    "convert": ConvertDocument,
    "show": ShowDocument,
    "sweep": SweepDocument,
    "certify": CertifyDocument,
    "atlas": AtlasDocument,
    "explore": ExploreDocument,
    "train": TrainDocument,
    "bench": BenchDocument,
}
"""By the name of the command."""
