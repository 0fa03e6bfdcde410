"""The document in GitHub-flavoured markdown; the other formats are made from it."""

import platform
from collections.abc import Iterator, Sequence

import sympy

from proofs.document import introduction
from proofs.document.evidence import refutation
from proofs.document.syntax import (
    LEFT,
    RIGHT,
    alert,
    formula,
    heading,
    item,
    link,
    prose,
    quote,
    sentence,
    table,
)
from proofs.engine import Outcome, Statement, Step, Verdict


def write_markdown(outcomes: Sequence[Outcome]) -> str:
    """Write the document.

    Args:
        outcomes: Statements, and what became of them.

    Returns:
        Markdown with formulas between dollars.
    """
    blocks = [f"# {introduction.TITLE}", *_failures(outcomes)]
    blocks += [*_introduction(outcomes), *_contents(outcomes)]
    for number, outcome in enumerate(outcomes, start=1):
        blocks += _section(number, outcome)
    blocks += _summary(outcomes)
    return "\n\n".join(blocks) + "\n"


def _failures(outcomes: Sequence[Outcome]) -> Iterator[str]:
    failed = [_title(o) for o in outcomes if not (o.proved and o.controlled)]
    if failed:
        yield alert(f"**NOT EVERYTHING HERE IS PROVED.** See {', '.join(failed)}.")


def _introduction(outcomes: Sequence[Outcome]) -> Iterator[str]:
    steps = sum(len(outcome.steps) for outcome in outcomes)
    controls = sum(len(outcome.controls) for outcome in outcomes)
    yield from introduction.ABOUT
    yield (
        f"Statements: {len(outcomes)}. Steps: {steps}. Negative controls: {controls}. "
        f"Decided by sympy {sympy.__version__} under Python "
        f"{platform.python_version()} in {_seconds(outcomes):.1f} seconds."
    )
    yield heading("decided", 'What "decided" means')
    yield introduction.MEANING
    yield "\n".join(f"- *{how}:* {what}" for how, what in introduction.DECIDED)
    yield from introduction.LIMITS
    yield heading("notation", "Notation")
    yield "Letters that one statement alone uses are explained there."
    yield table({"Symbol": LEFT, "Meaning": LEFT}, introduction.NOTATION)


def _seconds(outcomes: Sequence[Outcome]) -> float:
    return sum(outcome.seconds for outcome in outcomes)


def _contents(outcomes: Sequence[Outcome]) -> Iterator[str]:
    yield heading("contents", "Contents")
    yield table(
        {
            "": RIGHT,
            "Statement": LEFT,
            "Scope": LEFT,
            "Verdict": LEFT,
            "Coq": LEFT,
        },
        [
            (
                str(number),
                _title(o),
                prose(o.statement.scope),
                _verdict(o),
                o.statement.coverage,
            )
            for number, o in enumerate(outcomes, start=1)
        ],
    )


def _title(outcome: Outcome) -> str:
    return link(outcome.statement.name, prose(outcome.statement.title))


def _verdict(outcome: Outcome) -> str:
    if not outcome.proved:
        return "**NOT PROVED**"
    return "proved" if outcome.controlled else "**NOT CONTROLLED**"


def _section(number: int, outcome: Outcome) -> Iterator[str]:
    statement = outcome.statement
    title = prose(statement.title)
    yield heading(statement.name, f"{number}. {title}")
    yield from _missing(outcome)
    yield quote(
        f"**Statement {number} ({title}).** {prose(statement.words)}",
        formula(statement.formula),
        f"*Scope:* {prose(statement.scope)}",
    )
    yield f"*Source:* {sentence(statement.source)}"
    yield from _kinds(statement)
    yield "### Hypotheses"
    yield _bullets(statement.hypotheses)
    yield "### Derivation"
    yield from _steps(outcome)
    yield "### Negative controls"
    yield "Each of these is false, and has to be found false."
    yield from _controls(outcome)
    if statement.formulas:
        yield "### What the package computes"
        yield "The tests compare the package with these formulas as they stand."
        for name, computed in statement.formulas.items():
            meaning = sentence(computed.meaning or name)
            yield item("-", meaning, formula(computed.latex()))
    if statement.remarks:
        yield "### Remarks"
        yield _bullets(statement.remarks)


def _kinds(statement: Statement) -> Iterator[str]:
    if not statement.formal:
        yield "*Kinds of proof:* the derivation below; none in Coq."
        return
    yield f"*Kinds of proof:* the derivation below and, in {statement.coverage}, Coq:"
    proved = [f"*{prose(name)}:* {prose(w)}" for name, w in statement.formal.items()]
    left = [f"Not in Coq: {prose(statement.informal)}"] if statement.informal else []
    yield "\n".join(item("-", text) for text in (*proved, *left))


def _bullets(texts: Sequence[str]) -> str:
    return "\n".join(item("-", prose(text)) for text in texts)


def _missing(outcome: Outcome) -> Iterator[str]:
    steps = _failed([verdict.proved for verdict in outcome.steps])
    controls = _failed([verdict.refuted for verdict in outcome.controls])
    if steps:
        yield alert(f"**NOT PROVED.** Steps not decided: {steps}.")
    if controls:
        yield alert(f"**NOT CONTROLLED.** Controls not refuted: {controls}.")


def _failed(held: Sequence[bool]) -> str:
    return ", ".join(str(n) for n, good in enumerate(held, start=1) if not good)


def _steps(outcome: Outcome) -> Iterator[str]:
    pairs = zip(outcome.statement.steps, outcome.steps, strict=True)
    for number, (step, verdict) in enumerate(pairs, start=1):
        claim = formula(step.latex())
        yield item(f"{number}.", prose(step.reason), claim, _decided(step, verdict))
    if outcome.proved:
        yield r"All steps are decided, and the statement is proved. $\square$"


def _decided(step: Step, verdict: Verdict) -> str:
    if verdict.proved:
        return f"*Decided:* {prose(verdict.evidence)}."
    if verdict.refuted:
        return f"**NOT PROVED** but refuted: {prose(refutation(step.claim, verdict))}"
    return f"**NOT PROVED** and open: {prose(verdict.evidence)}."


def _controls(outcome: Outcome) -> Iterator[str]:
    pairs = zip(outcome.statement.controls, outcome.controls, strict=True)
    for number, (control, verdict) in enumerate(pairs, start=1):
        finding = f"**NOT REFUTED:** {prose(verdict.evidence)}."
        if verdict.refuted:
            finding = f"*Refuted:* {prose(refutation(control.claim, verdict))}"
        claim = formula(control.latex())
        yield item(f"{number}.", sentence(control.wrong), claim, finding)


def _summary(outcomes: Sequence[Outcome]) -> Iterator[str]:
    rows = [
        (
            str(number),
            _title(outcome),
            _of([verdict.proved for verdict in outcome.steps]),
            _of([verdict.refuted for verdict in outcome.controls]),
            f"{outcome.seconds:.2f}",
        )
        for number, outcome in enumerate(outcomes, start=1)
    ]
    total = (
        "",
        "All",
        _of([verdict.proved for outcome in outcomes for verdict in outcome.steps]),
        _of([verdict.refuted for outcome in outcomes for verdict in outcome.controls]),
        f"{_seconds(outcomes):.2f}",
    )
    yield heading("summary", "Summary")
    yield table(
        {
            "": RIGHT,
            "Statement": LEFT,
            "Steps": RIGHT,
            "Controls": RIGHT,
            "Seconds": RIGHT,
        },
        [*rows, total],
    )


def _of(held: Sequence[bool]) -> str:
    text = f"{sum(held)} of {len(held)}"
    return text if all(held) else f"**{text}**"
