"""Results show themselves: in one line, and as cards and pictures in notebooks."""

import builtins
import re
from typing import Any

import pytest
import torch
from torch import nn

import expressivity as ex
from expressivity.coursework import Course

LONGEST = 200  # characters of a repr


def results() -> dict[str, Any]:
    torch.manual_seed(0)
    conv = nn.Conv2d(1, 2, 3, padding=1)
    attention = ex.attention_from_conv(conv, alpha=8.0)
    return {
        "certificate": ex.certify(attention, conv, size=(8, 8)),
        "certificate of any size": ex.certify(attention, conv),
        "sweep": ex.error_sweep(conv, torch.rand(1, 1, 6, 6), [2.0, 4.0]),
        "verdict": Course("Ada").check("2.2", attention),
        **ex.atlas.FAMILIES,
    }


RESULTS = results()


@pytest.mark.parametrize("name", RESULTS)
def test_a_repr_is_one_short_line(name: str) -> None:
    text = repr(RESULTS[name])
    assert len(text) <= LONGEST
    assert "\n" not in text
    assert "tensor" not in text


@pytest.mark.parametrize("name", RESULTS)
def test_a_notebook_shows_html_with_all_its_elements_closed(name: str) -> None:
    html = RESULTS[name]._repr_html_()
    for element in ("div", "table", "tr", "th", "td", "p", "details"):
        opened = len(re.findall(rf"<{element}[ >]", html))
        assert opened == html.count(f"</{element}>")
    assert "<" in html


def test_the_card_of_a_certificate_says_what_is_certified() -> None:
    certificate = RESULTS["certificate"]
    html = certificate._repr_html_()
    assert "8×8 pixels within ±1" in html
    assert f"{certificate.attained:.3g}" in html
    assert "any size" in RESULTS["certificate of any size"]._repr_html_()


def test_pictures_are_in_the_page() -> None:
    for name in ("sweep", "content", "alibi"):
        assert 'src="data:image/png;base64,' in RESULTS[name]._repr_html_()
    assert "img" not in RESULTS["quadratic"]._repr_html_()  # it has no witness


def test_a_page_without_matplotlib_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = builtins.__import__

    def without(name: str, *arguments: Any, **options: Any) -> Any:
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return whole(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    html = RESULTS["sweep"]._repr_html_()
    assert "pip install matplotlib" in html


def test_a_verdict_without_a_counter_example_has_no_picture() -> None:
    course = Course("Ada")
    right = course.check("2.2", ex.attention_from_conv(course["2.2"].conv))
    with pytest.raises(ex.errors.ArgumentError, match=r"needs a counter-example, got"):
        ex.plots.plot_counterexample(right)
