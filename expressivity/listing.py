"""Tables that keep every cell, however narrow the terminal is."""

from collections.abc import Iterable, Sequence
from typing import Self

from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement, measure_renderables
from rich.table import Table

_UNBOUNDED = 10_000  # characters
_FOLDED = 12  # the least width of a column that folds


class Listing(Table):
    """A table that breaks lines between words and drops nothing.

    Only columns with ``overflow="fold"`` may break a word. If the columns do not fit
    side by side, each row becomes a block with one line a column.

    Example:
        >>> table = Listing.of(["layer"], ["largest error"], [("stem", "1.2e-07")])
        >>> Console(width=18, force_jupyter=False).print(table)
        layer   stem
        largest 1.2e-07
        error
    """

    @classmethod
    def of(
        cls,
        words: Sequence[str],
        numbers: Sequence[str],
        rows: Iterable[Sequence[str]],
        *,
        title: str | None = None,
        caption: str | None = None,
    ) -> Self:
        """Create a table with its columns and rows.

        Args:
            words: Headers of columns of words; the first holds names, and may fold.
            numbers: Headers of columns of numbers, to the right of the words.
            rows: One cell a column.
            title: What stands above.
            caption: What stands below.

        Returns:
            The table.
        """
        table = cls(title=title, caption=caption)
        table.title_justify = table.caption_justify = "left"
        for index, header in enumerate(words):
            table.add_column(header, overflow="ellipsis" if index else "fold")
        for header in numbers:
            table.add_column(header, justify="right")
        for row in rows:
            table.add_row(*row)
        return table

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> RenderResult:
        """Lay the table out for the width of the terminal."""
        wide, width = options.update(width=_UNBOUNDED), options.max_width
        least, most = Measurement.get(console, wide, self)
        words = [
            measure_renderables(console, wide, [column.header, *column.cells])
            for column in self.columns
        ]
        narrowest = [
            min(word.minimum, _FOLDED) if column.overflow == "fold" else word.minimum
            for word, column in zip(words, self.columns, strict=True)
        ]
        room = width - least + sum(word.minimum for word in words) - sum(narrowest)
        fits = most <= width
        if not fits and room < 0:
            yield from self._blocks(console, options)
            return
        wishes = [
            word.maximum - low for word, low in zip(words, narrowest, strict=True)
        ]
        # Columns share the room equally; each leaves what it does not need.
        ascending = sorted(range(len(wishes)), key=wishes.__getitem__)
        for rank, index in enumerate(ascending):
            gain = min(wishes[index], room // (len(wishes) - rank))
            self.columns[index].width = None if fits else narrowest[index] + gain
            room -= gain
        yield from super().__rich_console__(console, options)

    def _blocks(self, console: Console, options: ConsoleOptions) -> RenderResult:
        lines = Table.grid(padding=(0, 1))
        lines.add_column(overflow="fold")
        lines.add_column(overflow="fold")
        headers = [column.header for column in self.columns]
        for row in zip(*(column.cells for column in self.columns), strict=True):
            for header, cell in zip(headers, row, strict=True):
                lines.add_row(header, cell)
            lines.add_row()
        for part in (self.title, lines, self.caption):
            if part is not None:
                yield part
