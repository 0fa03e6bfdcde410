"""``expressivity show``: what a saved folder holds, with all numbers computed again."""

from collections.abc import Sequence

from expressivity.cli.arguments import Show
from expressivity.cli.report import Claim, Report
from expressivity.errors import CertificateError
from expressivity.listing import Listing
from expressivity.saved.card import BEGIN, END, numbers_block
from expressivity.saved.reading import Saved
from expressivity.saved.reference import Numbers


def run(arguments: Show) -> Report:
    """Read the folder, compute every number again, and compare."""
    saved = Saved.read(arguments.folder)
    document = saved.document
    try:
        numbers: list[Numbers] = saved.numbers()
    except CertificateError as error:
        claims, numbers = [Claim(f"every certificate holds: {error}", False)], []
    else:
        claims = _claims(saved, numbers)
    kept = [record for record in document.records if record.status == "kept"]
    return Report(
        "show",
        claims,
        {
            "folder": arguments.folder,
            "kind": document.kind,
            "model": document.model,
            "made_by": document.made_by,
            "format_version": document.format_version,
            "layers": [
                {
                    **each.to_dict(),
                    "kernel_size": each.kernel_size,
                    "num_heads": each.num_heads,
                    "alpha": each.alpha,
                    "worst_case_error": each.worst_case,
                }
                for each in numbers
            ],
            "kept": [{"name": r.name, "reason": r.reason} for r in kept],
            "program": "program.pt2" in document.files,
        },
        [
            f"{document.kind} {document.model}, saved by {document.made_by}",
            *([_table(numbers)] if numbers else []),
            *(f"{each.name}: {each.reason}" for each in numbers if each.reason),
            *(f"{record.name}: kept, {record.reason}" for record in kept),
            *(claim.line() for claim in claims),
        ],
    )


def _claims(saved: Saved, numbers: Sequence[Numbers]) -> list[Claim]:
    certified = sum(each.certificate is not None for each in numbers)
    claims = [
        Claim(
            f"{certified} of {len(numbers)} layers have a certificate, and every one "
            "came out again",
            True,
        )
    ]
    card = saved.card()
    if BEGIN in card and END in card:
        stated = card[card.index(BEGIN) : card.index(END) + len(END)]
        claims.append(
            Claim(
                "the numbers of the model card came out again",
                stated == numbers_block(numbers),
            )
        )
    return claims


def _table(numbers: Sequence[Numbers]) -> Listing:
    return Listing.of(
        ["layer"],
        ["kernel", "heads", "α", "worst case", "certified"],
        [
            (
                each.name or "(the layer)",
                "×".join(map(str, each.kernel_size)),
                str(each.num_heads),
                f"{each.alpha:.4g}",
                "" if each.worst_case is None else f"{each.worst_case:.1e}",
                ""
                if each.certificate is None
                else f"{float(each.certificate.bound.max()):.1e}",
            )
            for each in numbers
        ],
        caption="worst case: in exact arithmetic, for inputs of the layer within ±1; "
        "certified: with rounding, for the inputs that the certificate names",
    )
