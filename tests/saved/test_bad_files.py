"""Whatever a folder holds: it is read, or a FileError says what is wrong with it.

Nothing of it is executed: every kind that can carry code carries some, which leaves a
mark if it ever runs.
"""

import json
import os
import pickle
import random
import struct
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from typer.testing import CliRunner

import expressivity as ex
from expressivity.cli import app
from expressivity.errors import ExpressivityError, FileError
from expressivity.saved.reading import Saved

MARK = "it was executed"
Change = Callable[[Path], object]


class Malicious:
    """Runs code when it is unpickled."""

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return os.mkdir, (MARK,)


def network() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Conv2d(2, 2, 1))


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved") / "folder"
    model = network()
    ex.convert(model, alpha=0.5).save(folder, original=model)
    return folder


@pytest.fixture
def folder(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    copied = tmp_path / "folder"
    copied.mkdir()
    for path in template.iterdir():
        (copied / path.name).write_bytes(path.read_bytes())
    monkeypatch.chdir(tmp_path)
    return copied


def config(change: Callable[[dict[str, Any]], object]) -> Change:
    """Edit the document."""

    def edit(folder: Path) -> None:
        path = folder / "config.json"
        document = json.loads(path.read_text())
        change(document)
        path.write_text(json.dumps(document))

    return edit


def field(name: str, value: object) -> Change:
    return config(lambda document: document.update({name: value}))


def layer(name: str, value: object) -> Change:
    return config(lambda document: document["layers"][0]["layer"].update({name: value}))


def entry(name: str, value: object) -> Change:
    return config(lambda document: document["layers"][0].update({name: value}))


def record(name: str, value: object) -> Change:
    return config(lambda document: document["records"][0].update({name: value}))


def content(name: str, make: Callable[[bytes], bytes]) -> Change:
    """Replace a file."""

    def edit(folder: Path) -> None:
        path = folder / name
        path.write_bytes(make(path.read_bytes()))

    return edit


def listed(name: str, change: Change) -> Change:
    """Replace a file, and let the document say that this is what was saved."""

    def edit(folder: Path) -> None:
        change(folder)
        data = (folder / name).read_bytes()
        digest = {"bytes": len(data), "sha256": sha256(data).hexdigest()}
        config(lambda document: document["files"].update({name: digest}))(folder)

    return edit


def tensors(name: str, change: Callable[[dict[str, torch.Tensor]], object]) -> Change:
    def edit(folder: Path) -> None:
        held = load_file(folder / name)
        change(held)
        save_file(held, folder / name)

    return listed(name, edit)


def missing(name: str) -> Change:
    return lambda folder: (folder / name).unlink()


def replaced(name: str, make: Callable[[Path], object]) -> Change:
    def edit(folder: Path) -> None:
        (folder / name).unlink()
        make(folder / name)

    return edit


def header(data: bytes, change: Callable[[dict[str, Any]], object]) -> bytes:
    """Edit the header of a safetensors file."""
    (length,) = struct.unpack("<Q", data[:8])
    document = json.loads(data[8 : 8 + length])
    change(document)
    text = json.dumps(document).encode()
    return struct.pack("<Q", len(text)) + text + data[8 + length :]


def certificates(change: Callable[[dict[str, Any]], object]) -> Change:
    def edit(folder: Path) -> None:
        path = folder / "certificates.json"
        document = json.loads(path.read_text())
        change(document)
        path.write_text(json.dumps(document))

    return listed("certificates.json", edit)


def certificate(name: str, value: object) -> Change:
    return certificates(lambda d: d["layers"][0]["certificate"].update({name: value}))


def flipped(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


PICKLED = pickle.dumps(Malicious())
WEIGHTS = "model.safetensors"
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


def read_all(folder: Path) -> None:
    """Read everything that data can say: layers, network, statements and card."""
    ex.load(folder)
    ex.load(folder, into=network())
    saved = Saved.read(folder)
    saved.numbers()
    saved.card()


def test_the_folder_is_good_before_it_is_changed(folder: Path) -> None:
    assert len(KINDS) >= 40
    assert read_all(folder) is None


@pytest.mark.skipif(sys.platform == "win32", reason="pipes and links")
@pytest.mark.parametrize("kind", KINDS)
def test_a_bad_folder_is_named(kind: str, folder: Path) -> None:
    change, message = KINDS[kind]
    change(folder)
    with pytest.raises(FileError, match=message):
        read_all(folder)
    shown = CliRunner().invoke(app, ["show", str(folder)])
    assert shown.exit_code == 2, shown.output
    assert shown.stderr.startswith("error: ")
    assert shown.stderr.count("\n") == 1
    assert not Path(MARK).exists()


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


@pytest.mark.parametrize("kind", PROGRAMS)
def test_a_bad_program_is_named(kind: str, folder: Path) -> None:
    change, message = PROGRAMS[kind]
    change(folder)
    with pytest.raises(FileError, match=message):
        ex.load(folder, program=True)


def test_a_program_is_not_touched_unless_it_is_asked_for(folder: Path) -> None:
    listed("program.pt2", lambda f: program(f, PICKLED))(folder)
    read_all(folder)
    assert not Path(MARK).exists()


@pytest.mark.parametrize("name", ["config.json", "certificates.json", WEIGHTS])
def test_random_damage_ends_in_an_error_or_in_a_folder(name: str, folder: Path) -> None:
    """Flip, drop and double bytes; what the document says of the file is kept true."""
    generator, whole = random.Random(0), (folder / name).read_bytes()
    document = (folder / "config.json").read_bytes()
    ended = 0
    for _ in range(150):
        data = bytearray(whole)
        for _ in range(generator.randint(1, 3)):
            place = generator.randrange(len(data))
            kind = generator.choice(("flip", "drop", "cut", "double"))
            if kind == "flip":
                data[place] ^= 1 << generator.randrange(8)
            elif kind == "drop":
                del data[place]
            elif kind == "cut":
                del data[max(place, 1) :]
            else:
                data[place:place] = data[place : place + 20]
        (folder / "config.json").write_bytes(document)
        (folder / name).write_bytes(bytes(data))
        if name != "config.json":
            listed(name, lambda _: None)(folder)
        try:
            ex.load(folder)
            Saved.read(folder).numbers()
        except ExpressivityError:
            ended += 1
    assert ended > 50
    assert not Path(MARK).exists()
