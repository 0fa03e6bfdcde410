"""Write the table of certified and measured errors of the page on certificates.

    python -m benchmarks.certified

It also prints how far the network's convolutions are from stock attention.

Trains the demonstration's network and certifies the conversion of its last convolution
at several α, in float32 with every query against every key. The bound of the input is
its largest value on the test images. The error is measured on the worst input of the
certificate and on the test images.
"""

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

import expressivity as ex
from benchmarks.documents import ROOT, publish, write_section
from expressivity.digits import DigitsCNN, load_digit_images, train

PAGE = ROOT / "docs" / "understand" / "certificates.md"
ALPHAS = (2.0, 4.0, 6.0, 8.0, 10.0, 12.0, 15.0, None)


@torch.no_grad()
def trained_layers() -> list[tuple[nn.Conv2d, Tensor]]:
    """Return the convolutions of the trained network, each with its input."""
    images, model = load_digit_images(), DigitsCNN()
    with torch.enable_grad():
        train(model, images)
    layers, x = [], images.test_images
    for module in model.features:
        if isinstance(module, nn.Conv2d):
            layers.append((module, x))
        x = module(x)
    return layers


@torch.no_grad()
def stock_difference(layers: list[tuple[nn.Conv2d, Tensor]]) -> float:
    """Return the largest difference to ``nn.MultiheadAttention``, relative."""
    family, worst = ex.atlas.FAMILIES["vit"], 0.0
    for conv, x in layers:
        expected = conv(x)
        gap = (family.construct(conv, x.shape[2:])(x) - expected).abs().max()
        worst = max(worst, float(gap / expected.abs().max()))
    return worst


@torch.no_grad()
def row(conv: nn.Conv2d, x: Tensor, alpha: float | None) -> tuple[float, list[str]]:
    """Return the α of a conversion, and its row of the table."""
    attention = ex.attention_from_conv(conv, alpha=alpha, strategy="dense")
    bound = float(x.abs().max())
    certificate = ex.certify(attention, conv, bound, size=x.shape[2:])
    certificate.check()
    numbers = [
        certificate.bound,
        certificate.exact_part,
        certificate.rounding_part,
        *((attention(z) - conv(z)).abs() for z in (certificate.worst_input, x)),
    ]
    return float(attention.alpha[0]), [f"{float(n.max()):.2e}" for n in numbers]


def table(conv: nn.Conv2d, x: Tensor) -> str:
    """Return the table of one layer, as Markdown."""
    lines = [
        (
            f"`{conv}`, the last convolution of the network of `make demo`, on "
            f"{'×'.join(map(str, x.shape[2:]))} pixels; ‖x‖∞ ≤ "
            f"{float(x.abs().max()):.3g}, the largest that {len(x)} test images bring "
            "about; float32, `dense`:"
        ),
        "",
        (
            "| α | certified, for every input | of it exact | of it rounding "
            "| measured, worst input | measured, test images |"
        ),
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for alpha in ALPHAS:
        strength, cells = row(conv, x, alpha)
        name = f"{strength:.1f} (default)" if alpha is None else f"{strength:g}"
        lines.append(f"| {' | '.join([name, *cells])} |")
    return "\n".join(lines)


def main() -> Iterator[Path]:
    """Write the table and yield the name of the file; print the difference."""
    torch.set_num_threads(1)
    layers = trained_layers()
    yield write_section(PAGE, "certified", table(*layers[-1]))
    print(
        f"{len(layers)} trained convolutions in nn.MultiheadAttention, float32: "
        f"relative difference at most {stock_difference(layers):.1e}"
    )


if __name__ == "__main__":
    publish(__doc__, main)
