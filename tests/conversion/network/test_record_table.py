"""A conversion says what became of a network: in short, as text, and as HTML."""

from html.parser import HTMLParser

from torch import nn

import expressivity as ex
from expressivity.conversion.network.records import Conversion, LayerRecord

CONVERSION = ex.convert(
    nn.Sequential(nn.Conv2d(1, 2, 3), nn.ConvTranspose2d(2, 2, 2), nn.Conv2d(2, 1, 1))
)


class Cells(HTMLParser):
    """Collects the rows of a table."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, _: object) -> None:
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_data(self, data: str) -> None:
        if self.rows and self.rows[-1]:
            self.rows[-1][-1] += data


def test_it_is_printed_in_a_few_lines() -> None:
    lines = str(CONVERSION).splitlines()
    assert lines[0] == "2 of 3 convolutions converted, in a Sequential"
    assert lines[1].startswith("10 heads; worst case ")
    assert lines[2] == "kept: 1"
    assert len(lines) == 4


def test_a_network_without_convolutions_is_printed_too() -> None:
    assert str(ex.convert(nn.ReLU())).startswith("0 of 0 convolutions converted")


def test_the_table_is_text_and_html() -> None:
    table = CONVERSION.table()
    assert "transposed" in table
    for html in (table._repr_html_(), CONVERSION._repr_html_()):
        head, *rows = Cells(html).rows
        assert head[:3] == ["layer", "status", "kernel"]
        assert [row[:4] for row in rows] == [
            ["0", "converted", "3×3", "9"],
            ["1", "kept", "2×2", ""],
            ["2", "converted", "1×1", "1"],
        ]
        assert rows[1][-1].startswith("it is a transposed convolution")


def test_names_of_a_model_are_no_html() -> None:
    record = LayerRecord("<script>", "Conv2d", "kept", "a < b")
    html = Conversion(nn.ReLU(), (record,), ("<b>",))._repr_html_()
    assert "<script>" not in html
    assert "<b>" not in html
    assert Cells(html).rows[1][0] == "<script>"
