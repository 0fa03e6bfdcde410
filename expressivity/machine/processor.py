"""The processor, as far as it decides which of two ways to compute is faster."""

import platform
from functools import cache
from pathlib import Path

import torch


@cache
def processor_name() -> str:
    """Return the name that the system has for the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = (line.split(":", 1)[1].strip() for line in lines if "model name" in line)
    return next(names, platform.processor())


@cache
def has_wide_vectors() -> bool:
    """Return whether torch's convolutions run at the width of AVX-512.

    Memory is no faster there, so that what computes more and moves less is chosen.
    """
    return torch.backends.cpu.get_cpu_capability() == "AVX512"


@cache
def has_fast_products() -> bool:
    """Return whether products of matrices run at the width of AVX-512 too.

    They are MKL's, which runs at that width on processors of its own maker.
    """
    if not (has_wide_vectors() and torch.backends.mkl.is_available()):
        return False
    return "intel" in processor_name().lower()
