"""How to spoil a saved folder: change its documents, its tensors or its bytes."""

import json
import os
import pickle
import struct
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

MARK = "it was executed"
Change = Callable[[Path], object]


class Malicious:
    """Runs code when it is unpickled."""

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return os.mkdir, (MARK,)


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
