"""Records of a conversion as a table: in a terminal, in a notebook, in one sentence."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from rich.console import Group
from rich.text import Text

from expressivity.listing import Listing

_WORDS = ("layer", "status")
_NUMBERS = ("kernel", "heads", "α [1/px²]", "worst case")


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        name: The layer.
        status: What became of it.
        numbers: One text for each column of numbers.
        reason: Why it stays, or a remark.
    """

    name: str
    status: str
    numbers: Sequence[str]
    reason: str


class RecordTable(str):
    """A table as text, which a notebook shows as HTML."""

    html: str

    def __new__(cls, text: str, html: str) -> "RecordTable":
        """Join both forms of a table."""
        table = super().__new__(cls, text)
        table.html = html
        return table

    def _repr_html_(self) -> str:
        return self.html


def as_renderable(title: str, rows: Sequence[Row], remarks: Sequence[str]) -> Group:
    """Return a table for a rich console, with the reasons and remarks below."""
    table = Listing(title=title, title_justify="left")
    table.add_column(_WORDS[0], overflow="fold")
    table.add_column(_WORDS[1])
    for column in _NUMBERS:
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(row.name, row.status, *row.numbers)
    notes = Listing.grid(padding=(0, 2))
    for _ in range(2):
        notes.add_column(overflow="fold")
    for row in rows:
        if row.reason:
            notes.add_row(row.name, Text(row.reason))
    for remark in remarks:
        notes.add_row("remark", Text(remark))
    return Group(table, *([notes] if notes.row_count else []))


def as_html(title: str, rows: Sequence[Row], remarks: Sequence[str]) -> str:
    """Return the same as HTML, with the reasons in a column of their own."""
    head = "".join(f"<th>{escape(c)}</th>" for c in (*_WORDS, *_NUMBERS, ""))
    body = "".join(
        "<tr>"
        + "".join(
            f"<td>{escape(cell)}</td>"
            for cell in (row.name, row.status, *row.numbers, row.reason)
        )
        + "</tr>"
        for row in rows
    )
    notes = "".join(f"<p>{escape(remark)}</p>" for remark in remarks)
    caption = f"<caption>{escape(title)}</caption>"
    table = f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody>"
    return f"{table}</table>{notes}"
