"""Every kind of bad folder, and what is said of it."""

import os
from pathlib import Path

import torch

from tests.saved.damage import (
    PICKLED,
    WEIGHTS,
    Change,
    Malicious,
    certificate,
    certificates,
    config,
    content,
    entry,
    field,
    flipped,
    header,
    layer,
    listed,
    missing,
    record,
    replaced,
    tensors,
)

KINDS: dict[str, tuple[Change, str]] = {
    # The folder and the document as files.
    "no folder": (
        lambda folder: folder.rename(folder.with_name("gone")),
        r"config.json cannot be read: No such file",
    ),
    "a file": (
        lambda folder: (folder.rename(folder.with_name("gone")), folder.touch()),
        r"is a file, and a folder",
    ),
    "empty folder": (
        lambda folder: [path.unlink() for path in folder.iterdir()],
        r"config.json cannot be read: No such file",
    ),
    "no document": (missing("config.json"), r"No such file"),
    "document is a folder": (replaced("config.json", Path.mkdir), r"Is a directory"),
    "document is a pipe": (replaced("config.json", os.mkfifo), r"pipe or a device"),
    "document leads nowhere": (
        replaced("config.json", lambda path: path.symlink_to("nowhere")),
        r"No such file",
    ),
    "document leads to itself": (
        replaced("config.json", lambda path: path.symlink_to(path)),
        r"cannot be read",
    ),
    "document is empty": (content("config.json", lambda _: b""), r"read as JSON"),
    "document is cut off": (content("config.json", lambda d: d[:200]), r"as JSON"),
    "document is binary": (
        content("config.json", lambda _: bytes(range(256))),
        r"read as JSON",
    ),
    "document is a pickle": (content("config.json", lambda _: PICKLED), r"as JSON"),
    "document in UTF-16": (
        content("config.json", lambda d: d.decode().encode("utf-16")),
        r"read as JSON",
    ),
    "document has NaN": (
        content("config.json", lambda d: d.replace(b'"alpha": 0.5', b'"alpha": NaN')),
        r"read as JSON",
    ),
    "document is deep": (
        content("config.json", lambda _: b"[" * 10**6 + b"]" * 10**6),
        r"config.json",
    ),
    "document is a list": (content("config.json", lambda _: b"[]"), r"got a list"),
    "document is a number": (content("config.json", lambda _: b"7"), r"got a int"),
    # Foreign and newer ones.
    "foreign": (field("format", "onnx"), r"needs the format"),
    "of transformers": (
        content("config.json", lambda _: b'{"model_type": "vit"}'),
        r"transformers, which from_pretrained reads",
    ),
    "a certificate": (
        content("config.json", lambda _: b'{"format": "expressivity-certificate"}'),
        r"got format 'expressivity-certificate'",
    ),
    "newer": (field("format_version", 2), r"update expressivity"),
    "version zero": (field("format_version", 0), r"needs a number from 1 on"),
    "version in words": (field("format_version", "1"), r"needs a number from 1 on"),
    "version true": (field("format_version", True), r"needs a number from 1 on"),
    # Fields.
    "missing field": (config(lambda d: d.pop("layers")), r"missing required field"),
    "unknown field": (field("code", "import os"), r"unknown field"),
    "unknown kind": (field("kind", "recipe"), r"Invalid enum value"),
    "number for words": (field("model", 3), r"Expected `str`"),
    "no files": (field("files", {}), r"needs an entry for model.safetensors"),
    "file elsewhere": (
        field("files", {"../../secret": {"bytes": 1, "sha256": "0" * 64}}),
        r"Invalid enum value '../../secret'",
    ),
    "digest in words": (
        field("files", {WEIGHTS: {"bytes": 1, "sha256": "none"}}),
        r"regex",
    ),
    "single layer with a name": (field("kind", "layer"), r"one layer without a name"),
    "layers of one name": (entry("places", ["2"]), r"two layers are called '2'"),
    "layer without a name": (entry("places", []), r"length >= 1"),
    "layer with an empty name": (entry("places", ["a..b"]), r"no name of a module"),
    "shared with itself": (field("shared", {"a": "a"}), r"is not stored"),
    "shared with nothing": (field("shared", {"a": "b"}), r"needs 'b', which 'a'"),
    "stored and shared": (
        field("shared", {"0.bias": "2.bias"}),
        r"which '0.bias' shares",
    ),
    "negative worst case": (record("worst_case_error", -1.0), r"not negative"),
    "infinite worst case": (record("worst_case_error", 1e999), r"Infinity|finite|JSON"),
    # Layers that cannot be.
    "no channels": (layer("in_channels", 0), r">= 1"),
    "channels in words": (layer("in_channels", "many"), r"Expected `int`"),
    "more heads than numbers": (layer("num_heads", 2**40), r"<= 2147483647"),
    "more heads than memory": (layer("num_heads", 2**31 - 1), r"2147483647\), got"),
    "more taps than memory": (layer("kernel_size", [30000, 30000]), r"taps"),
    "four axes": (layer("kernel_size", [3, 3, 3, 3]), r"length <= 3"),
    "two numbers of axes": (layer("stride", [1]), r"stride needs 2 integers"),
    "groups that do not divide": (layer("groups", 3), r"groups needs to divide"),
    "other groups": (layer("groups", 7), r"groups needs to divide"),
    "padding of one side": (layer("padding", [[1], [1]]), r"length 2"),
    "unknown padding mode": (layer("padding_mode", "mirror"), r"Invalid enum value"),
    "unknown strategy": (layer("strategy", "quantum"), r"update it"),
    "strategy that is a path": (layer("strategy", "os.system"), r"is not known"),
    "unknown dtype": (layer("dtype", "int8"), r"Invalid enum value"),
    "parameters that it lacks": (
        layer("parameters", ["alpha", "centers", "hooks"]),
        r"needs the parameters",
    ),
    "frozen ones that it lacks": (layer("frozen", ["gamma"]), r"needs the parameters"),
    "content terms without tensors": (layer("key_dim", 4), r"needs the parameters"),
    "table without tensors": (
        layer("window", {"low": [0, 0], "size": [1, 1], "step": [1, 1]}),
        r"needs the parameters",
    ),
    # Weights.
    "no weights": (missing(WEIGHTS), r"model.safetensors cannot be read"),
    "weights are a folder": (replaced(WEIGHTS, Path.mkdir), r"Is a directory"),
    "weights are a pipe": (replaced(WEIGHTS, os.mkfifo), r"pipe or a device"),
    "weights are empty": (content(WEIGHTS, lambda _: b""), r"it is cut off"),
    "weights are cut off": (content(WEIGHTS, lambda d: d[:-7]), r"it is cut off"),
    "weights go on": (content(WEIGHTS, lambda d: d + b"more"), r"bytes, got"),
    "one bit is wrong": (content(WEIGHTS, flipped), r"sha256 differs"),
    "weights are a pickle": (
        listed(WEIGHTS, content(WEIGHTS, lambda _: PICKLED)),
        r"damaged or no safetensors file",
    ),
    "weights are of torch.save": (
        listed(WEIGHTS, replaced(WEIGHTS, lambda p: torch.save(Malicious(), p))),
        r"damaged or no safetensors file",
    ),
    "header is too long": (
        listed(WEIGHTS, content(WEIGHTS, lambda d: b"\xff" * 8 + d[8:])),
        r"damaged or no safetensors file",
    ),
    "header is no JSON": (
        listed(WEIGHTS, content(WEIGHTS, lambda d: d[:8] + b"{" * 40 + d[48:])),
        r"damaged or no safetensors file",
    ),
    "header reaches beyond the end": (
        listed(
            WEIGHTS,
            content(
                WEIGHTS,
                lambda d: header(
                    d, lambda h: h["0.bias"].update(data_offsets=[0, 2**40])
                ),
            ),
        ),
        r"damaged or no safetensors file",
    ),
    "header has an unknown dtype": (
        listed(
            WEIGHTS,
            content(
                WEIGHTS, lambda d: header(d, lambda h: h["0.bias"].update(dtype="Q7"))
            ),
        ),
        r"damaged or no safetensors file",
    ),
    "a tensor is missing": (
        tensors(WEIGHTS, lambda t: t.pop("0.alpha")),
        r"alpha needs float32 \(9,\), got none",
    ),
    "a tensor is too many": (
        tensors(WEIGHTS, lambda t: t.update({"0.code": torch.ones(1)})),
        r"code is no parameter",
    ),
    "a tensor has another shape": (
        tensors(WEIGHTS, lambda t: t.update({"0.bias": torch.ones(3)})),
        r"bias needs float32 \(2,\), got float32 \(3,\)",
    ),
    "a tensor has another dtype": (
        tensors(WEIGHTS, lambda t: t.update({"0.bias": torch.ones(2).double()})),
        r"got float64",
    ),
    "weights of something else": (
        tensors(WEIGHTS, lambda t: (t.clear(), t.update(w=torch.ones(2)))),
        r"got none",
    ),
    # Certificates and convolutions.
    "no certificates": (missing("certificates.json"), r"certificates.json cannot be"),
    "certificates were changed": (
        content("certificates.json", lambda d: d.replace(b"0", b"1", 1)),
        r"sha256 differs",
    ),
    "certificates are not listed": (
        config(lambda d: d["files"].pop("certificates.json")),
        r"holds no certificates.json",
    ),
    "certificates are no JSON": (
        listed("certificates.json", content("certificates.json", lambda d: d[:99])),
        r"read as JSON",
    ),
    "certificates of other layers": (
        certificates(lambda d: d["layers"][0].update(name="7")),
        r"one entry for each of 0, 2",
    ),
    "certificates without layers": (
        certificates(lambda d: d.pop("layers")),
        r"missing required field",
    ),
    "certificate without a bound": (
        certificates(lambda d: d["layers"][0]["certificate"].pop("bound")),
        r"missing required field",
    ),
    "certificate of another format": (certificate("format", "x"), r"needs the format"),
    "certificate below zero": (certificate("attained", -1.0), r"incomplete or damaged"),
    "certificate that does not follow": (
        certificate("attained", 3.0),
        r"need to follow",
    ),
    "certificate for a size that nobody waits for": (
        certificates(
            lambda d: d["layers"][0]["certificate"].update(size=[2**30, 2**30])
        ),
        r"Expected `int` <= 1048576 - at `\$\.size",
    ),
    "certificate in control characters": (
        certificate("made_by", "\x1b[2J"),
        r"printable",
    ),
    "no convolutions": (missing("convolutions.safetensors"), r"cannot be read"),
    "convolution of another shape": (
        tensors(
            "convolutions.safetensors",
            lambda t: t.update({"0.weight": torch.ones(2, 1, 5, 5)}),
        ),
        r"needs a weight \(2, 1, 3, 3\)",
    ),
    "convolution of another layer": (
        tensors(
            "convolutions.safetensors",
            lambda t: t.update({"7.weight": torch.ones(1)}),
        ),
        r"belongs to no layer",
    ),
    # Programs and cards.
    "card is no text": (content("README.md", lambda _: b"\xff\xfe"), r"read as text"),
}


def program(folder: Path, data: bytes = b"no program") -> None:
    (folder / "program.pt2").write_bytes(data)


PROGRAMS: dict[str, tuple[Change, str]] = {
    "none": (missing("README.md"), r"holds no program"),
    "cut off": (
        lambda f: (listed("program.pt2", program)(f), program(f, b"PK\x03\x04")),
        r"it is cut off",
    ),
    "no archive": (listed("program.pt2", program), r"cannot be loaded"),
}
