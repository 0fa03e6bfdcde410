"""The model card: what a reader of a model hub is told of a saved folder."""

from collections.abc import Sequence

from expressivity.accuracy.certificate import Certificate
from expressivity.saved.document import Document
from expressivity.saved.reference import Numbers
from expressivity.version import __version__

BEGIN, END = "<!-- expressivity: numbers -->", "<!-- /expressivity -->"

_COLUMNS = (
    "layer",
    "kernel",
    "heads",
    "α [1/px²]",
    "strategy",
    "worst case",
    "certified",
    "for inputs of",
)
_HEADER = """\
---
library_name: expressivity
tags:
  - self-attention
  - convolution
  - certified
  - pytorch
---
"""
_LAYER_USE = """\
```python
import expressivity as ex

attention = ex.load("FOLDER")        # a torch.nn.Module, in evaluation mode
y = attention(x)                     # x: SHAPE
conv = ex.conv_from_attention(attention)     # the way back, if heads are one-hot
```
"""
_NETWORK_USE = """\
```python
import expressivity as ex

model = ex.load("FOLDER", into=YourModel()).model   # the network around the layers
layers = ex.load("FOLDER").model                    # the layers alone: no code of yours
attention = layers.get_submodule("LAYER")
```
"""
_PROGRAM_USE = """\
The whole network is also stored as a program of `torch.export`, which needs none of its
code. Loading a program runs what is in the file: do it with folders that you trust.

```python
model = ex.load("FOLDER", program=True).model
```
"""
_CHECK = """\
## How to check

```sh
expressivity show FOLDER
```

The command reads the layers without running any code of the folder. It computes every
number of the table again, compares, and checks each certificate.
"""
_LIMITS = """\
## Limits

- The numbers are about each layer by itself, for inputs of that layer within the bound
  that is stated. They do not add up to a bound for the outputs of a network.
- A certificate rests on the arithmetic that it names (`certificates.json`), in the
  dtype that it names. Another dtype, a compiled or a quantised layer needs another.
- Certificates speak of the weights in this folder. After training they no longer hold;
  save again for new ones.
- One pixel that is NaN or infinite may reach every output: attention is global.
"""


def model_card(
    document: Document, numbers: Sequence[Numbers], *, about: str, folder: str
) -> str:
    """Return the card as Markdown, with the header that model hubs read.

    Args:
        document: The structure of what is saved.
        numbers: What is stated of each layer.
        about: Paragraphs of the author's, in Markdown.
        folder: The name of the folder, for the examples.

    Returns:
        The text of ``README.md``.
    """
    single = document.kind == "layer"
    title = "A convolution" if single else document.model
    use = _LAYER_USE if single else _NETWORK_USE
    if not single and "program.pt2" in document.files:
        use += f"\n{_PROGRAM_USE}"
    if single:
        entry = document.layers[0].layer
        axes = ", ".join(("height", "width", "depth")[: len(entry.kernel_size)])
        shape = f"(batch, {entry.in_channels}, {axes}), {entry.dtype}"
        use = use.replace("SHAPE", shape)
    else:
        names = [entry.places[0] for entry in document.layers]
        use = use.replace("LAYER", names[0] if names else "")
    parts = [
        _HEADER,
        f"# {_text(title)} as self-attention\n",
        *([f"{about.strip()}\n"] if about.strip() else []),
        _summary(document, numbers),
        f"## Layers\n\n{numbers_block(numbers)}\n",
        _explained(numbers),
        *_left_out(document, numbers),
        f"## How to load\n\n{use}",
        _CHECK,
        _LIMITS,
        _ORIGIN.replace("VERSION", f"{__version__}, torch {document.torch}"),
    ]
    return "\n".join(parts).replace("FOLDER", folder)


_ORIGIN = """\
## Origin

Written by expressivity VERSION. The construction is Theorem 1 of Cordonnier, Loukas and
Jaggi, [*On the Relationship between Self-Attention and Convolutional
Layers*](https://arxiv.org/abs/1911.03584), ICLR 2020: one head a kernel tap, whose
quadratic relative positional scores single out the pixel that the tap multiplies.

```bibtex
@inproceedings{cordonnier2020relationship,
  title     = {On the Relationship between Self-Attention and Convolutional Layers},
  author    = {Cordonnier, Jean-Baptiste and Loukas, Andreas and Jaggi, Martin},
  booktitle = {International Conference on Learning Representations},
  year      = {2020},
  url       = {https://arxiv.org/abs/1911.03584}
}
```
"""


def numbers_block(numbers: Sequence[Numbers]) -> str:
    """Return the table of the card between its marks, as ``show`` computes it again."""
    lines = [
        f"| {' | '.join(_COLUMNS)} |",
        f"| {' | '.join(['---'] * len(_COLUMNS))} |",
    ]
    for each in numbers:
        certificate = each.certificate
        how = each.strategy if certificate is None else certificate.strategy
        cells = [
            f"`{_name(each.name)}`" if each.name else "(the layer)",
            "×".join(map(str, each.kernel_size)),
            str(each.num_heads),
            f"{each.alpha:.4g}",
            f"`{how}`",
            "–" if each.worst_case is None else f"{each.worst_case:.1e}",
            "–" if certificate is None else f"{float(certificate.bound.max()):.1e}",
            _inputs(certificate),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([BEGIN, *lines, END])


_ALPHA = """\
- **α**: how sharply the softest head attends to its pixel. The attention that it gives
  to other pixels falls like e<sup>−α</sup>."""
_CERTIFIED = """\
- **certified**: a bound of the same difference as computed, with all that rounding adds
  on both sides, for every input that the last column describes."""
_WORST_CASE = """\
- **strategy**: how the layer is evaluated; all of them compute the same attention.
- **worst case**: the largest difference |attention(x) − convolution(x)| in any output
  over *all* inputs of the layer within ±1, in exact arithmetic."""


def _inputs(certificate: Certificate | None) -> str:
    if certificate is None:
        return "–"
    size = certificate.size
    pixels = "any size" if size is None else f"{'×'.join(map(str, size))} pixels"
    return f"{pixels}, within ±{certificate.input_bound:g}"


def _summary(document: Document, numbers: Sequence[Numbers]) -> str:
    certified = sum(each.certificate is not None for each in numbers)
    if document.kind == "layer":
        entry = document.layers[0].layer
        what = (
            f"One multi-head self-attention layer of {entry.num_heads} heads, from "
            f"{entry.in_channels} to {entry.out_channels} channels in {entry.dtype}, "
            "which computes a convolution."
        )
    else:
        total = len(document.records)
        converted = sum(record.status == "converted" for record in document.records)
        what = (
            f"{converted} of {total} convolutions of a `{_name(document.model)}` are "
            "multi-head self-attention layers here."
        )
    return (
        f"{what} How far each can be from its convolution is stated below, for every "
        f"input: {certified} of {len(numbers)} layers have a certificate.\n"
    )


def _explained(numbers: Sequence[Numbers]) -> str:
    lines = [_ALPHA, _WORST_CASE]
    if any(each.certificate is not None for each in numbers):
        lines.append(_CERTIFIED)
    return "\n".join(lines) + "\n"


def _left_out(document: Document, numbers: Sequence[Numbers]) -> list[str]:
    """Return a section on what is not attention or not certified, if there is any."""
    lines = [
        f"- `{_name(record.name)}` is no attention: {_text(record.reason)}"
        for record in document.records
        if record.status == "kept"
    ]
    lines += [
        f"- `{_name(each.name)}` has no certificate: {_text(each.reason)}"
        for each in numbers
        if each.certificate is None
    ]
    lines += [f"- {_text(remark)}" for remark in document.remarks]
    return ["## What is left out\n\n" + "\n".join(lines) + "\n"] if lines else []


def _name(text: str) -> str:
    """Return a name that cannot leave its code span."""
    return " ".join(text.split()).replace("`", "'").replace("|", "¦")


def _text(text: str) -> str:
    """Return words that cannot leave their line."""
    return _name(text).replace("<", "&lt;").replace(">", "&gt;")
