"""A long random search for a convolution that its attention layer does not equal.

    python -m tests.fuzz --cases 20000

Draws convolutions with all options at once (``cases.choose_case``), converts each at
α = 40 in float64, where a head leaks less than 3e−17, and compares all strategies
with torch. An error is relative to the scale of the output: the largest entry of
conv(|x|) with weights |W| and bias |b|. Ends with the count, and with exit status 1
if an error was above the limit; the case is then printed as Python.
"""

import argparse
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from random import Random

import torch

import expressivity as ex
from tests import oracles
from tests.cases import Case, RandomChooser, choose_case

ALPHA = 40.0
LIMIT = 1e-12
SECONDS_BETWEEN_REPORTS = 3.0


@torch.no_grad()
def relative_error(case: Case) -> float:
    """Return the largest error of the strategies, relative to the scale."""
    conv, x = case.conv(), case.input()
    expected = oracles.exact_convolution(conv, x)
    errors = [
        (ex.attention_from_conv(conv, alpha=ALPHA, strategy=name)(x) - expected).abs()
        for name in ("separable", "fused", "dense")
    ]
    return float(torch.stack(errors).max()) / oracles.output_scale(conv, x)


def random_cases(count: int, seed: int) -> Iterator[Case]:
    """Yield convolutions; each has its own seed, so that any can be drawn again."""
    for index in range(count):
        yield choose_case(RandomChooser(Random(f"{seed}/{index}")))


def search(count: int, seed: int) -> tuple[int, float]:
    """Check random convolutions and print those that fail.

    Returns:
        The number of mismatches and the largest relative error.
    """
    mismatches, largest = 0, 0.0
    reported = time.monotonic()
    for done, case in enumerate(random_cases(count, seed), start=1):
        error = relative_error(case)
        # Written so that NaN is a mismatch.
        if not error <= LIMIT:
            mismatches += 1
            print(f"mismatch, relative error {error:.3g}:\n  {case!r}", flush=True)
        largest = max(largest, error)
        if time.monotonic() - reported > SECONDS_BETWEEN_REPORTS:
            reported = time.monotonic()
            print(f"{done:,} of {count:,}, largest error {largest:.2g}", flush=True)
    return mismatches, largest


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the search that the command line asks for; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--cases", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    start = time.monotonic()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Using padding='same' with even kernel")
        mismatches, largest = search(options.cases, options.seed)
    print(
        f"{options.cases:,} random convolutions, {mismatches} mismatches above "
        f"{LIMIT:g} of the output's scale; largest {largest:.2g}; seed "
        f"{options.seed}, {time.monotonic() - start:.0f} s"
    )
    return 1 if mismatches else 0


if __name__ == "__main__":
    torch.set_num_threads(1)
    sys.exit(main())
