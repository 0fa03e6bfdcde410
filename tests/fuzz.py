"""A long random search for a convolution that its attention layer does not equal.

    python -m tests.fuzz --cases 20000

Draws convolutions with all options at once (``cases.choose_case``), and for each how
the layer is run: a mode (``modes.MODES``: what is recorded, ``no_grad``, inference,
frozen, transformed), a batch of 0 to 3 images, a dtype, half precision built or cast,
and whether centers were moved. All strategies are compared with torch's convolution in
float64; layers whose centers were moved, with every pair of a query and a key.

An error is allowed to be what rounding (``laws.rounding_allowance``) and the leak of
the heads add to an output. Ends with the count, and with exit status 1 if an error was
larger; the trial is then printed.
"""

import argparse
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from random import Random

import torch
from torch import Tensor, nn

import expressivity as ex
from tests import laws, oracles
from tests.cases import DTYPES, Case, Chooser, RandomChooser, choose_case
from tests.modes import MODES, Mode

STRATEGIES = ("separable", "fused", "dense")
LARGEST_BATCH = 3
SECONDS_BETWEEN_REPORTS = 3.0


@dataclass(frozen=True)
class Trial:
    """A convolution, and how its attention layer is made and run.

    Attributes:
        case: The convolution and its input.
        mode: What is recorded, and by which transform.
        batch: Images.
        dtype: Dtype of the layer.
        cast: Whether the layer was made in float32 and then cast.
        moves: Whole pixels by which the centers of the first heads were moved.
    """

    case: Case
    mode: Mode
    batch: int
    dtype: torch.dtype
    cast: bool
    moves: tuple[int, ...]

    @property
    def made_in(self) -> torch.dtype:
        """Dtype in which the layer was made."""
        return torch.float32 if self.cast else self.dtype

    @classmethod
    def choose(cls, choose: Chooser) -> "Trial":
        """Return a random trial."""
        moved = choose.among([False, False, True])
        return cls(
            choose_case(choose),
            choose.among(MODES),
            choose.integer(0, LARGEST_BATCH),
            choose.among(DTYPES),
            choose.among([False, True]),
            tuple(choose.integer(-9, 9) for _ in range(2 * moved)),
        )

    def largest_error(self) -> float:
        """Return the largest error of all strategies, relative to what is allowed."""
        conv = self.case.conv(self.made_in)
        layer = ex.attention_from_conv(conv).to(self.dtype)
        conv = conv.to(self.dtype)
        x = self.case.input(self.batch, self.dtype)
        with torch.no_grad():
            for head, move in enumerate(self.moves[: layer.num_heads]):
                layer.centers[head] += move
        expected = self._expected(layer, conv, x)
        allowed = self._allowed(conv, x)
        errors = [0.0]
        for name in STRATEGIES:
            if name == "fused" and self.mode.name == "jvp":
                continue  # it says that it has no such derivatives
            output = self.mode.output(laws.with_strategy(layer, name), x)
            if output.dtype != self.dtype or output.shape != expected.shape:
                return float("inf")
            if output.numel():
                error = (output.double() - expected).abs()
                largest = error.transpose(0, 1).flatten(1).amax(1)
                # Written so that NaN is the largest error of all.
                ratio = (largest / allowed).nan_to_num(torch.inf)
                errors.append(float(ratio.max()))
        return max(errors)

    def _expected(self, layer: nn.Module, conv: nn.Module, x: Tensor) -> Tensor:
        if not self.moves:
            return oracles.exact_convolution(conv, x)
        definition = laws.with_strategy(deepcopy(layer).double(), "dense")
        with torch.no_grad():
            return definition(x.double())

    def _allowed(self, conv: nn.Module, x: Tensor) -> Tensor:
        """Return what an output may be off, per channel: rounding and the leak.

        A saturated head gives half an ulp, of the dtype that it was made in, of its
        attention to other pixels, and as much less to its own.
        """
        if not x.numel():
            return torch.zeros(conv.out_channels)
        scale = laws.weight_norms(conv) * float(x.abs().max())
        leak = torch.finfo(self.made_in).eps
        return laws.rounding_allowance(conv, x) + leak * scale


def random_trials(count: int, seed: int) -> Iterator[Trial]:
    """Yield trials; each has its own seed, so that any can be drawn again."""
    for index in range(count):
        yield Trial.choose(RandomChooser(Random(f"{seed}/{index}")))


def search(count: int, seed: int) -> tuple[int, float]:
    """Run random trials and print those that fail.

    Returns:
        The number of mismatches and the largest error, relative to what is allowed.
    """
    mismatches, largest = 0, 0.0
    reported = time.monotonic()
    for done, trial in enumerate(random_trials(count, seed), start=1):
        error = trial.largest_error()
        if not error <= 1:
            mismatches += 1
            print(f"mismatch, {error:.3g} of what is allowed:\n  {trial!r}", flush=True)
        largest = max(largest, error)
        if time.monotonic() - reported > SECONDS_BETWEEN_REPORTS:
            reported = time.monotonic()
            print(f"{done:,} of {count:,}, largest {largest:.2g}", flush=True)
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
        warnings.filterwarnings("ignore", "There is a performance drop")
        warnings.filterwarnings("ignore", "`torch.jit.script`")
        mismatches, largest = search(options.cases, options.seed)
    print(
        f"{options.cases:,} random convolutions, {mismatches} mismatches; the largest "
        f"error is {largest:.2g} of what rounding and leak allow; seed {options.seed}, "
        f"{time.monotonic() - start:.0f} s"
    )
    return 1 if mismatches else 0


if __name__ == "__main__":
    torch.set_num_threads(1)
    sys.exit(main())
