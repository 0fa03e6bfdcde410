"""Where products of matrices are fast is told by the maker and the vectors."""

from collections.abc import Iterator

import pytest
import torch

from expressivity.machine import processor
from expressivity.machine.processor import (
    has_fast_products,
    has_wide_vectors,
    processor_name,
)

KEPT = (has_fast_products, has_wide_vectors, processor_name)


@pytest.fixture(autouse=True)
def _forgotten() -> Iterator[None]:
    for function in KEPT:
        function.cache_clear()
    yield
    for function in KEPT:
        function.cache_clear()


def test_the_processor_has_a_name() -> None:
    assert processor_name()
    assert processor_name() == processor_name().strip()


@pytest.mark.parametrize(
    ("name", "capability", "expected"),
    [
        ("Intel(R) Xeon(R) Processor", "AVX512", True),
        ("Intel(R) Core(TM) i7", "AVX2", False),
        ("AMD EPYC 9754 128-Core Processor", "AVX512", False),
        ("AMD EPYC", "DEFAULT", False),
        ("", "AVX512", False),
    ],
)
def test_intel_with_wide_vectors_multiplies_fast(
    name: str, capability: str, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processor, "processor_name", lambda: name)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    monkeypatch.setattr(torch.backends.mkl, "is_available", lambda: True)
    assert has_fast_products() == expected
    assert has_wide_vectors() == (capability == "AVX512")
    has_fast_products.cache_clear()
    monkeypatch.setattr(torch.backends.mkl, "is_available", lambda: False)
    assert not has_fast_products()
