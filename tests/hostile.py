"""What a hostile user hands to the command line: arguments and files, as data.

Every case has to end with status 2 and one line; ``test_hostile`` is the law.
"""

import json
import os
import pickle
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from tests.bench.test_bench import MADE_UP
from tests.hostile_models import ORDERS

MODELS = "tests.hostile_models"
ESCAPE = "\x1b[31m"
HUGE = "99999999999999999999"

# Arguments that would be accepted; an option that is given again replaces the first.
COMMANDS: dict[str, list[str]] = {
    "convert": [
        *("convert", f"{MODELS}:build", "--input", "1x3x6x6"),
        *("--output", "out.safetensors"),
    ],
    "certify": ["certify", f"{MODELS}:build", "--output", "out.json"],
    "sweep": ["sweep", "--points", "1", "--output", "out.png"],
    "model": ["sweep", f"{MODELS}:build", "--points", "1", "--size", "6x6"],
    "atlas": ["atlas", f"{MODELS}:build", "--family", "quadratic", "--html", "a.html"],
    "demo": ["demo", "--epochs", "1"],
    "bench": ["bench", "--read", "made-up.json", "--output", "out.json"],
}

WORDS = ["", "x", "1.5.1", "--", HUGE + "x", ESCAPE, "[/red]", "１x"]
WHOLE = {
    "convert": ["--head-dim", "--seed"],
    "certify": ["--head-dim", "--seed"],
    "sweep": ["--points", "--in-channels", "--out-channels", "--groups", "--seed"],
    "atlas": ["--steps", "--seed"],
    "demo": ["--epochs", "--seed"],
}
REAL = {
    "convert": ["--alpha", "--tolerance", "--max-difference"],
    "certify": ["--alpha", "--tolerance", "--input-bound"],
    "sweep": ["--alpha-min", "--alpha-max"],
    "demo": ["--alpha", "--tolerance"],
}
SIZES = {
    "convert": ["--input"],
    "certify": ["--input"],
    "sweep": ["--size", "--kernel-size", "--stride", "--padding", "--dilation"],
    "atlas": ["--size"],
}
CHOICES = {
    "convert": ["--strategy", "--where"],
    "certify": ["--strategy", "--where"],
    "sweep": ["--padding-mode", "--dtype", "--layer", "--weights"],
    "model": ["--layer", "--dtype", "--kernel-size", "--groups"],
    "atlas": ["--family", "--layer"],
    "bench": ["--nonsense"],
    "demo": ["--device"],
}


def option_cases() -> Iterator[tuple[str, list[str]]]:
    """Yield options with values that they do not take."""
    for options, values in (
        (WHOLE, [*WORDS, "-1", "1.5", "1e3", "nan", HUGE, "0x10"]),
        (REAL, [*WORDS, "-1", "0", "nan", "inf", "1e999", "-1e-320"]),
        (SIZES, [*WORDS, "-1", "1,,2", "3.5", "9" * 10, "(", "1x" * 200]),
        (CHOICES, ["nonsense", ESCAPE, "*[", "[/red]", "x" * 999]),
    ):
        for command, names in options.items():
            for name in names:
                for value in values:
                    yield (
                        f"{command} {name} {value!r}",
                        [
                            *COMMANDS[command],
                            f"{name}={value}",
                        ],
                    )


FACTORIES = [
    *("nothing", "kind", "wants", "fails", "leaves", "overloads", "recurses"),
    *("asserts", "stops", "grabs", "refuses", "linear", "number", "missing"),
    *("transposed", "infinite", "meta"),
]
MODULES = [
    *("", ":", "x", "x:", ":x", "a b:c", "no_such_module:build", "sys:exit"),
    *("os:getcwd", "os:abort()", "../x:y", f"{ESCAPE}:x", "tests:", "json:loads"),
    "x" * 2000 + ":y",
    *("torch.nn:Conv2d", "torch.nn:Identity", "tests.hostile_models:build()"),
]
FORWARD = ["failing", "leaving", "grabbing", "overloading", "saying", "empty"]


def factory_cases() -> Iterator[tuple[str, list[str]]]:
    """Yield factories that give no model, or one that cannot be worked with."""
    for command in ("convert", "certify", "atlas", "model"):
        first, _, *rest = COMMANDS[command]
        for factory in [*(f"{MODELS}:{name}" for name in FACTORIES), *MODULES]:
            yield f"{command} {factory[:60]!r}", [first, factory, *rest]
    first, _, *rest = COMMANDS["convert"]
    for name in FORWARD:
        yield f"convert {name}", [first, f"{MODELS}:{name}", *rest]
    for command in ("atlas", "model"):
        first, _, *rest = COMMANDS[command]
        for name in ("two", "lazy"):
            yield f"{command} {name}", [first, f"{MODELS}:{name}", *rest]
    yield "atlas vast", ["atlas", f"{MODELS}:vast", "--html", "a.html"]


OUTPUTS = {
    "convert": ("--output", "safetensors"),
    "certify": ("--output", "json"),
    "sweep": ("--output", "png"),
    "atlas": ("--html", "html"),
    "bench": ("--output", "json"),
}
TARGETS = [
    *("exists", "link", "pipe", "folder", "missing/file", "file/file"),
    *("n" * 300, "", "/proc/file", "..", "m" * 5000 + "/file"),
]


def output_cases() -> Iterator[tuple[str, list[str]]]:
    """Yield files that cannot be written."""
    for command, (option, suffix) in OUTPUTS.items():
        for target in TARGETS:
            path = f"{target}.{suffix}" if target not in ("", "..") else target
            yield (
                f"{command} {option} {path[:40]}",
                [
                    *COMMANDS[command],
                    *(option, path),
                ],
            )
    for option, value in [
        *(("--figure", f"exists.{name}") for name in ("txt", "gif", "", "PNG", "json")),
        *(("--figure", "missing/a.svg"), ("--figure", "exists.png")),
    ]:
        for command in ("atlas", "bench"):
            arguments = [*COMMANDS[command], option, value]
            yield f"{command} {option} {value}", arguments
    yield "a device", [*COMMANDS["atlas"], "--html", "/dev/full"]
    same = ["--figure", "same.svg", "--html", "same.svg", "--force"]
    yield "one file twice", [*COMMANDS["atlas"], *same]
    for folder in ("file", "file/folder", "/proc/folder", "n" * 300, "filled"):
        yield f"demo {folder[:40]}", [*COMMANDS["demo"], "--output", folder]


INPUTS = {
    "convert": ["--weights", "--inputs"],
    "certify": ["--weights", "--attention"],
    "atlas": ["--weights"],
    "model": ["--weights"],
    "bench": ["--read"],
}


class _Runs:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("was-run",)


def _saved(value: object) -> Callable[[Path], None]:
    return lambda path: torch.save(value, path)


def _bytes(content: bytes) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(content) and None


def _document(**changed: object) -> Callable[[Path], None]:
    document = {**MADE_UP.to_dict(), **changed}
    return _bytes(json.dumps(document).encode())


def _row(**changed: object) -> Callable[[Path], None]:
    first, *others = MADE_UP.to_dict()["measurements"]
    return _document(measurements=[{**first, **changed}, *others])


def _truncated(path: Path) -> None:
    torch.save({"weight": torch.ones(4, 3, 3, 3), "bias": torch.ones(4)}, path)
    path.write_bytes(path.read_bytes()[:-200])


_HEADER = b'{"weight":{"dtype":"F32","shape":[4],"data_offsets":[0,99999]}}'
_NPY = (
    b"\x93NUMPY\x01\x00\x76\x00{'descr': '<f8', 'fortran_order': False, "
    b"'shape': (999999999999, 3, 6, 6), }"
)
FILES: dict[str, Callable[[Path], None]] = {
    "pipe": os.mkfifo,
    "folder": lambda path: path.mkdir(),
    "empty": _bytes(b""),
    "text": _bytes(b"hello\n" * 9),
    "zeros": _bytes(bytes(99)),
    "zip": _bytes(b"PK\x03\x04" + bytes(99)),
    "truncated": _truncated,
    "pickle": _bytes(pickle.dumps({"weight": 1})),
    "code": lambda path: torch.save({"weight": _Runs()}, path),
    "deep": _bytes(b"[" * 100_000),
    "surrogate": _bytes(b"\xff\xfe\xfa" * 9),
    "header": _bytes(struct.pack("<Q", len(_HEADER)) + _HEADER),
    "long header": _bytes(struct.pack("<Q", 2**63) + b"{" + bytes(99)),
    "number": _saved(3),
    "list": _saved([torch.ones(2)]),
    "tensor": _saved(torch.ones(2)),
    "no names": _saved({3: torch.ones(2)}),
    "nested names": _saved({"state_dict": {"model": {3: 4}}}),
    "big integers": _saved({"weight": 2**200, "bias": 2**70}),
    "orders": _saved({ORDERS: torch.ones(2), "\u202eweight": torch.ones(1)}),
    "long names": _saved({"n" * 10**6: torch.ones(2)}),
    "other shape": _saved({"weight": torch.ones(4, 3, 3, 2), "bias": torch.ones(4)}),
    "sparse": _saved({"weight": torch.ones(4, 3, 3, 3).to_sparse()}),
    "sparse rows": lambda path: torch.save(
        {"weight": torch.eye(3).to_sparse_csr()}, path
    ),
    "nested": lambda path: torch.save(
        {"weight": torch.nested.nested_tensor([torch.ones(2), torch.ones(3)])}, path
    ),
    "meta": _saved({"weight": torch.ones(4, 3, 3, 3, device="meta")}),
    "complex": _saved({
        "weight": torch.ones(4, 3, 3, 3, dtype=torch.cfloat),
        "bias": torch.ones(4),
    }),
    "text in place": _saved({"weight": "w", "bias": torch.ones(4)}),
    "other names": lambda path: save_file({ORDERS: torch.ones(3)}, path),
    "objects": lambda path: np.save(path.open("wb"), np.array([{}], dtype=object)),
    "array": lambda path: np.save(path.open("wb"), np.ones((2, 3, 6, 5))),
    "vast array": _bytes(_NPY + bytes(99)),
    "null": _bytes(b"null"),
    "array of json": _bytes(b"[1, 2]"),
    "object of json": _bytes(b"{}"),
    "other version": _document(version=2),
    "version of text": _document(version=ORDERS),
}
DOCUMENTS: dict[str, Callable[[Path], None]] = {
    "no rows": _document(measurements=None),
    "rows of numbers": _document(measurements=[1]),
    "rows by name": _document(measurements={"a": 1}),
    "environment of text": _document(environment="x"),
    "no environment": _document(environment={}),
    "facts of text": _document(facts={"conversion, seconds": ORDERS}),
    "facts of lists": _document(facts=[1]),
    "endless fact": _document(facts={"a": float("inf")}),
    "more fields": _document(more=1),
    "setting of numbers": _document(setting=1),
    "no time": _row(seconds=0.0),
    "no ratio": _row(ratio=0.0),
    "negative ratio": _row(ratio=-1.0),
    "undefined": _row(seconds=float("nan")),
    "endless": _row(seconds=float("inf")),
    "vast": _row(tokens=10**400),
    "bytes of text": _row(bytes="x"),
    "suite of lists": _row(suite=[1]),
    "true": _row(rounds=True),
    "part": _row(times_in_network=0.5),
    "more": _row(more=1),
}


def input_cases() -> Iterator[tuple[str, list[str]]]:
    """Yield files that cannot be read, or hold something else."""
    devices = ["/dev/zero", "/dev/tty", "/proc/self/mem", "missing", "n" * 300, ""]
    for command, options in INPUTS.items():
        for option in options:
            names = [*FILES, *(DOCUMENTS if command == "bench" else [])]
            for name in [*names, *devices]:
                shown = f"{command} {option} {name[:40]!r}"
                yield shown, [*COMMANDS[command], option, name]


CASES = dict([
    *option_cases(),
    *factory_cases(),
    *output_cases(),
    *input_cases(),
])


def lay_out(folder: Path) -> None:
    """Write the files that the cases name."""
    for name, write in {**FILES, **DOCUMENTS}.items():
        write(folder / name)
    _document()(folder / "made-up.json")
    (folder / "file").write_text("precious")
    (folder / "filled").mkdir()
    for name in ("results.json", "overview.png"):
        (folder / "filled" / name).write_text("precious")
    for suffix in ("safetensors", "json", "png", "html"):
        (folder / f"exists.{suffix}").write_text("precious")
        (folder / f"link.{suffix}").symlink_to(folder / "nowhere")
        os.mkfifo(folder / f"pipe.{suffix}")
        (folder / f"folder.{suffix}").mkdir()
