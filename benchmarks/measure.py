"""Run the benchmark; name the raw numbers for the processor or the GPU they are from.

    python -m benchmarks.measure [--setting quick] [--device cuda] [--dtype bfloat16]

Writes ``benchmarks/results/PROCESSOR-DEVICE-DTYPE.json``, so that runs on several
machines stand side by side; ``python -m benchmarks.publish`` makes one table of them.
"""

import argparse
import re
from collections.abc import Mapping
from typing import Any

import torch

from benchmarks.documents import ROOT
from expressivity.bench.document import environment
from expressivity.cli import app

RESULTS = ROOT / "benchmarks" / "results"


def slug(name: str) -> str:
    """Return the name of a processor as it stands in the name of a file.

    Example:
        >>> slug("Intel(R) Xeon(R) CPU @ 2.50GHz")
        'intel-xeon-cpu-2-50ghz'
    """
    return re.sub(r"[^a-z0-9]+", "-", plain(name).lower()).strip("-")


def plain(name: str) -> str:
    """Return the name of a processor without marks and the word for it.

    Example:
        >>> plain("Intel(R) Xeon(R) Processor")
        'Intel Xeon'
    """
    marks = r"\((r|tm|c)\)|\bprocessor\b"
    return " ".join(re.sub(marks, " ", name, flags=re.IGNORECASE).split())


def machine(about: Mapping[str, Any]) -> str:
    """Return what tells a processor from others: its name and its vector instructions.

    Args:
        about: The environment of a document.

    Example:
        >>> machine({"processor": "AMD EPYC", "vector_instructions": "AVX2"})
        'AMD EPYC with AVX2'
    """
    return f"{plain(about['processor'])} with {about['vector_instructions']}"


def main() -> None:
    """Measure, and write what was measured."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--setting", default="full")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32")
    options = parser.parse_args()
    about = environment(torch.device(options.device))
    name = slug(about.get("gpu", machine(about)))
    path = RESULTS / f"{name}-{options.device}-{options.dtype}.json"
    choices = [f"--{key}={value}" for key, value in vars(options).items()]
    app(["bench", *choices, f"--output={path}", "--force"])


if __name__ == "__main__":
    main()
