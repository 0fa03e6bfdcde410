"""Every document that a command prints or writes is of the type that is documented."""

import json
from collections.abc import Mapping

import msgspec
import pytest


@pytest.fixture(autouse=True)
def _documented(monkeypatch: pytest.MonkeyPatch) -> None:
    # Not before the shape checker is in place.
    from docs.building.json_documents import DOCUMENTS
    from expressivity.cli import report

    to_json = report.to_json

    def checked(document: Mapping[str, object]) -> str:
        text = to_json(document)
        name = str(document.get("command", "bench"))
        msgspec.convert(json.loads(text), DOCUMENTS[name], strict=True)
        return text

    monkeypatch.setattr(report, "to_json", checked)
