"""Documents that were edited, damaged or made up are refused when read or checked."""

import copy
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import expressivity as ex
from expressivity.errors import ArgumentError, CertificateError, FileError
from tests.cases import BASE

Document = dict[str, Any]


@pytest.fixture(scope="module")
def subject() -> Any:
    conv = BASE.conv(torch.float32)
    attention = ex.attention_from_conv(conv, alpha=3.0)
    return attention, conv, ex.certify(attention, conv, size=BASE.size)


def document_of(subject: Any) -> Document:
    document: Document = json.loads(json.dumps(subject[2].to_dict()))
    return document


def other_sign(document: Document) -> None:
    signs = document["worst"]["signs"]
    place = next(i for i, word in enumerate(signs) if word.strip("0"))
    signs[place] = signs[place].translate(str.maketrans("+-", "-+"))


def scaled(name: str, factor: float) -> Callable[[Document], None]:
    def scale(document: Document) -> None:
        document[name] = [number * factor for number in document[name]]
        document["bound"] = ex.Certificate.from_dict({
            **document,
            "bound": summed(document),
        }).bound.tolist()

    return scale


def summed(document: Document) -> list[float]:
    parts = ("exact_part", "layer_rounding", "convolution_rounding")
    return [sum(numbers) for numbers in zip(*(document[p] for p in parts), strict=True)]


def other_channel(document: Document) -> None:
    document["worst"]["channel"] = (document["worst"]["channel"] + 1) % 8


def other_output(document: Document) -> None:
    document["worst"]["output"] = [0, 0]


def larger_attained(document: Document) -> None:
    document["attained"] *= 1.001
    document["worst"]["attained"] *= 1.001


def smaller_attained(document: Document) -> None:
    document["attained"] *= 0.5
    document["worst"]["attained"] *= 0.5


# What an edited document states that is not so, and that only the two can tell.
FORGERIES: dict[str, Callable[[Document], None]] = {
    "layer": lambda d: d.update(layer=d["layer"].replace("heads=6", "heads=7")),
    "convolution": lambda d: d.update(convolution="Conv2d(4, 8, kernel_size=(3, 2))"),
    "input_bound": lambda d: d.update(input_bound=2.0),
    "dtype": lambda d: d.update(dtype="float64"),
    "strategy": lambda d: d.update(strategy="dense"),
    "an unknown strategy": lambda d: d.update(strategy="magic"),
    "assumptions": lambda d: d["assumptions"].pop(),
    "more assumptions": lambda d: d["assumptions"].append("the moon is full"),
    "made_by": lambda d: d.update(made_by="expressivity 99.0"),
    "fingerprint": lambda d: d.update(fingerprint="0" * 64),
    "every size": lambda d: d.update(size=None),
    "another size": lambda d: (d.update(size=[7, 5]), d["worst"].update(size=[7, 5])),
    "exact part": scaled("exact_part", 0.9),
    "a larger exact part": scaled("exact_part", 1.1),
    "layer rounding": scaled("layer_rounding", 0.9),
    "a larger layer rounding": scaled("layer_rounding", 1.1),
    "convolution rounding": scaled("convolution_rounding", 0.9),
    "worst.channel": other_channel,
    "worst.output": other_output,
    "worst.signs": other_sign,
    "a larger attained error": larger_attained,
    "a smaller attained error": smaller_attained,
}


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forged_document_fails_its_check(subject: Any, name: str) -> None:
    attention, conv, _ = subject
    document = document_of(subject)
    ex.Certificate.from_dict(document).check(attention, conv)
    FORGERIES[name](document)
    stated = r"is stated|is damaged|nothing is known|needs the parameters|are stated"
    with pytest.raises((CertificateError, FileError), match=stated):
        ex.Certificate.from_dict(document).check(attention, conv)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the way to every entry of a document."""
    entries = value.items() if isinstance(value, dict) else enumerate(value)
    for key, entry in entries:
        yield (*path, key)
        if isinstance(entry, dict | list):
            yield from places(entry, (*path, key))


def changed(document: Document, way: tuple[Any, ...], value: Any) -> Document:
    """Return a copy in which one entry is another, or missing."""
    result = copy.deepcopy(document)
    owner: Any = result
    for key in way[:-1]:
        owner = owner[key]
    if value is ...:
        del owner[way[-1]]
    else:
        owner[way[-1]] = value
    return result


WRONG = [
    ...,
    None,
    True,
    -1,
    10**30,
    10**400,
    1.5,
    -0.5,
    float("nan"),
    float("inf"),
    "",
    "much",
    "\x1b[2J",
    [],
    [[]],
    {},
    [None] * 3,
    {"size": 3},
]


def test_no_damage_raises_anything_but_an_error_of_this_package(subject: Any) -> None:
    attention, conv, _ = subject
    document, refused, tried = document_of(subject), 0, 0
    for way in places(document):
        for value in WRONG:
            damaged = changed(document, way, value)
            if damaged == document:
                continue
            tried += 1
            try:
                read = ex.Certificate.from_dict(damaged)
            except FileError:
                refused += 1
                continue
            # What can be read is a certificate in all respects, true or not.
            assert str(read)
            assert read.worst_input.shape[1] == len(read.worst.signs)
            if len(way) == 1:
                with pytest.raises(CertificateError, match=r"stated|is known"):
                    read.check(attention, conv)
    assert tried > 500
    assert refused > 0.9 * tried


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "null",
        "[]",
        "3",
        '"certificate"',
        "NaN",
        '{"format": 1}',
        "[" * 100_000,
        '{"layers": 3}',
        '{"layers": [{"name": 3}]}',
        '{"layers": []}',
        '{"layers": [{"name": "a", "certificate": {}}]}',
    ],
)
def test_other_files_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "layer.json").write_text(text)
    with pytest.raises(FileError, match=r"JSON|format|damaged|holds 0"):
        ex.Certificate.load(tmp_path / "layer.json")


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "latin.json").write_bytes(b'{"format": "\xff"}')
    fifo = tmp_path / "fifo.json"
    os.mkfifo(fifo)
    for path in (tmp_path, tmp_path / "missing", fifo, tmp_path / "latin.json"):
        with pytest.raises(FileError, match=r"no regular file|cannot be read"):
            ex.Certificate.load(path)


class TestCheck:
    def test_needs_both_or_neither(self, subject: Any) -> None:
        attention, conv, certificate = subject
        certificate.check()
        with pytest.raises(ArgumentError, match="or neither"):
            certificate.check(attention)
        with pytest.raises(ArgumentError, match="or neither"):
            certificate.check(conv=conv)

    def test_a_layer_that_is_evaluated_otherwise_fails(self) -> None:
        conv = BASE.conv(torch.float32)
        attention = ex.attention_from_conv(conv, alpha=3.0, strategy="dense")
        certificate = ex.certify(attention, conv, size=BASE.size)
        certificate.check()
        attention.strategy = "fused"
        with pytest.raises(CertificateError, match="strategy is stated as 'dense'"):
            certificate.check()

    def test_another_input_that_is_as_bad_will_do(self) -> None:
        flip = str.maketrans("+-", "-+")
        without_bias = replace(BASE, bias=False).conv(torch.float32)
        attention = ex.attention_from_conv(without_bias, alpha=3.0)
        certificate = ex.certify(attention, without_bias, size=BASE.size)
        signs = tuple(word.translate(flip) for word in certificate.worst.signs)
        other = replace(certificate, worst=replace(certificate.worst, signs=signs))
        assert other.worst != certificate.worst
        other.check()


class TestWholeModels:
    @pytest.fixture
    def path(self, subject: Any, tmp_path: Path) -> Path:
        attention, conv, certificate = subject
        other = ex.certify(attention, conv, size=(9, 9))
        rows = [
            {"name": "a", "certificate": certificate.to_dict()},
            {"name": "b", "certificate": certificate.to_dict()},
            {"name": "b", "certificate": other.to_dict()},
            {"name": "c", "certificate": None, "reason": "content terms"},
        ]
        path = tmp_path / "certificates.json"
        path.write_text(json.dumps({"command": "certify", "layers": rows}))
        return path

    def test_a_layer_is_chosen_by_name_and_size(self, subject: Any, path: Path) -> None:
        attention, conv, certificate = subject
        for choice in ({"layer": "a"}, {"layer": "b", "size": BASE.size}):
            loaded = ex.Certificate.load(path, **choice)
            assert asdict(loaded.worst) == asdict(certificate.worst)
            loaded.check(attention, conv)
        assert ex.Certificate.load(path, size=(9, 9)).size == (9, 9)

    @pytest.mark.parametrize("choice", [{}, {"layer": "b"}, {"layer": "c"}])
    def test_an_ambiguous_choice_names_them_all(self, path: Path, choice: Any) -> None:
        with pytest.raises(FileError, match=r"'a' of size .*'b' of size"):
            ex.Certificate.load(path, **choice)

    def test_a_single_certificate_needs_no_choice(
        self, subject: Any, tmp_path: Path
    ) -> None:
        subject[2].save(tmp_path / "one.json")
        with pytest.raises(FileError, match="without layer="):
            ex.Certificate.load(tmp_path / "one.json", layer="a")


def test_a_certificate_on_record_loads_and_holds() -> None:
    """One that was written before the modules moved to their rooms."""
    conv = nn.Conv2d(2, 3, 3, padding=1, dtype=torch.float64)
    with torch.no_grad():
        for parameter in conv.parameters():
            numbers = torch.arange(parameter.numel()).reshape(parameter.shape)
            parameter.copy_((numbers * 37 % 11 - 5) / 8)
    attention = ex.attention_from_conv(conv, alpha=3.0, strategy="separable")
    path = Path(__file__).with_name("data") / "version_0_1.json"
    ex.Certificate.load(path).check(attention, conv)
    with torch.no_grad():
        conv.weight[0, 0, 0, 0] += 1
    with pytest.raises(CertificateError, match="needs the parameters that were"):
        ex.Certificate.load(path).check(attention, conv)
