"""Attack certificates: search for an input that exceeds one.

Random layers (strided, dilated, grouped, every padding; converted, truncated, soft,
perturbed, with unequal α) are certified and then evaluated, strategy by strategy, on
random inputs, sign patterns, the worst input, inputs found by gradient ascent on the
error, and inputs found by flipping what helps. Settings of torch are drawn as well
(threads, libraries, precision switches, batch size, flushed subnormals). No error may
exceed its certificate; where none is given, the reason is reported.
"""

import argparse
import itertools
import sys
import time
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from random import Random

import torch
from torch import Tensor, nn

import expressivity as ex
from expressivity.attention import explain
from tests.cases import Case, RandomChooser, choose_case
from tests.settings import USUAL, Settings

DTYPES = (torch.float64, torch.float32, torch.bfloat16)
STRATEGIES = ("dense", "separable", "fused")
INPUTS = 200
SECONDS_BETWEEN_REPORTS = 3.0


@dataclass(frozen=True)
class Target:
    """A layer, the convolution it is held against, the box of inputs, the settings."""

    case: Case
    attention: ex.RelativeSelfAttention
    conv: nn.Module
    bound: float
    settings: Settings = USUAL

    def certificate(self, *, any_size: bool = False) -> ex.Certificate:
        """Return what is certified about the layer."""
        size = None if any_size else self.case.size
        return ex.certify(self.attention, self.conv, self.bound, size=size)

    def errors(self, x: Tensor, *, trained: bool = False) -> Tensor:
        """Return |attention − conv|, in float64, (inputs, channels)."""
        largest = []
        for batch in x.split(self.settings.batch):
            some = self.settings.laid_out(batch)
            with torch.set_grad_enabled(trained):  # decides what is kept and shared
                gap = self.attention(some).double() - self.conv(some).double()
            largest.append(gap.detach().abs().flatten(2).amax(2))
        return torch.cat(largest)


def random_target(seed: str, dtype: torch.dtype, strategy: str) -> Target:
    """Return a random layer and convolution, converted or moved away from that."""
    random = Random(seed)
    case = choose_case(RandomChooser(random))
    conv = case.conv(dtype)
    width = random.choice([None, None, 1, 2])
    alpha = random.choice([None, 0.2, 1.0, 4.0, 12.0])
    attention = ex.attention_from_conv(
        conv, alpha=alpha, head_dim=width, strategy=strategy
    )
    move(attention, random)
    return Target(case, attention, conv, random.choice([1.0, 1.0, 0.3, 7.0]))


@torch.no_grad()
def move(attention: ex.RelativeSelfAttention, random: Random) -> None:
    """Do to the parameters what training might."""
    generator = torch.Generator().manual_seed(random.getrandbits(32))

    def normal(like: Tensor) -> Tensor:
        return torch.randn(like.shape, generator=generator).to(like)

    if random.random() < 0.4:
        attention.alpha.mul_(normal(attention.alpha).mul(0.5).exp())
    if random.random() < 0.3:
        attention.centers.add_(0.4 * normal(attention.centers))
    if random.random() < 0.4:
        for name in ("value_weight", "output_weight", "bias"):
            parameter = getattr(attention, name)
            if parameter is not None:
                parameter.add_(0.03 * normal(parameter))


def inputs(target: Target, count: int, seed: int) -> Tensor:
    """Return random inputs of the box: uniform ones, sign patterns, sparse ones."""
    generator = torch.Generator().manual_seed(seed)
    case = target.case
    shape = (count, case.in_channels, *case.size)
    x = 2 * torch.rand(shape, generator=generator, dtype=torch.float64) - 1
    signs = x.sign()
    sparse = signs * (torch.rand(shape, generator=generator) < 0.1)
    third = count // 3
    x[third : 2 * third] = signs[third : 2 * third]
    x[2 * third : 2 * third + third // 2] = sparse[2 * third : 2 * third + third // 2]
    return within(target, x * target.bound)


def within(target: Target, x: Tensor) -> Tensor:
    """Round an input to the dtype of the layer without leaving the box."""
    dtype = target.attention.dtype
    rounded = x.to(dtype)
    outside = rounded.double().abs() > target.bound
    return torch.where(
        outside, torch.nextafter(rounded, torch.zeros_like(rounded)), rounded
    )


def ascended(target: Target, certificate: ex.Certificate, seed: int) -> Tensor:
    """Climb along the gradient of the error, from random inputs, to corners."""
    layer, conv = (deepcopy(m).double() for m in (target.attention, target.conv))
    layer.strategy = "separable"
    x = inputs(target, 6, seed).double()
    allowed = certificate.bound.clamp(min=1e-300)
    for step in range(6):
        x.requires_grad_()
        relative = (layer(x) - conv(x)).flatten(2).abs().amax(2) / allowed
        # One image per worst channel, the others per channel at random.
        chosen = relative.topk(min(3, relative.shape[1]), dim=1).values[:, step % 3 :]
        gradient = torch.autograd.grad(chosen.sum(), x)[0]
        with torch.no_grad():
            x = (0.5 * x + target.bound * gradient.sign()).clamp(
                -target.bound, target.bound
            )
    return within(target, (x.sign() * target.bound).detach())


def flipped(target: Target, x: Tensor, allowed: Tensor, seed: int) -> Tensor:
    """Flip signs of the best inputs found, keeping what brings an error up."""
    generator = torch.Generator().manual_seed(seed)
    best = x[(target.errors(x) / allowed).amax(1).topk(min(8, len(x))).indices]
    for _ in range(6):
        flips = torch.rand(best.shape, generator=generator) < 0.05
        tried = torch.where(flips, -best, best)
        before, after = ((target.errors(t) / allowed).amax(1) for t in (best, tried))
        better = (after > before).reshape(-1, *[1] * (best.dim() - 1))
        best = torch.where(better, tried, best)
    return best


def attack(target: Target, count: int, seed: int) -> dict[str, float]:
    """Return the largest error that was found, relative to each certificate."""
    found = {}
    for name, any_size in (("size", False), ("any size", True)):
        certificate = target.certificate(any_size=any_size)
        allowed = certificate.bound.clamp(min=1e-300)
        x = inputs(target, count, seed)
        worst = certificate.worst_input
        more = [ascended(target, certificate, seed), flipped(target, x, allowed, seed)]
        if explain(target.attention, worst).chosen:  # else too large for dense
            more.append(worst)
        errors = [target.errors(t) for t in (x, *more)]
        errors.append(target.errors(more[0], trained=True))
        ratios = [(error / allowed).max().item() for error in errors]
        # Written so that NaN is a violation.
        found[name] = max(r if r == r else float("inf") for r in ratios)
    if target.attention.dtype != torch.float64:
        found["rounding"] = _rounding(target, certificate, x[:50])
    return found


@torch.no_grad()
def _rounding(target: Target, certificate: ex.Certificate, x: Tensor) -> float:
    """Return the largest rounding error, relative to what is certified of it."""
    ratios = []
    for module, allowed in (
        (target.attention, certificate.layer_rounding),
        (target.conv, certificate.convolution_rounding),
    ):
        exact = deepcopy(module).double()
        if isinstance(exact, ex.RelativeSelfAttention):
            exact.strategy = "dense"
        gap = module(x).double() - exact(x.double())
        ratios.append(gap.abs().flatten(2).amax(2).div(allowed).max().item())
    return max(r if r == r else float("inf") for r in ratios)


def search(
    total: int, seed: int
) -> Iterator[tuple[str, str, str, dict[str, float] | str]]:
    """Attack layer after layer; each has its own seed, to be drawn again.

    Where no certificate is given, the reason stands in the place of the ratios.
    """
    attacked = 0
    for index in itertools.count():
        for place, strategy in enumerate(STRATEGIES):
            if attacked >= total:
                return
            dtype = DTYPES[(index + place) % len(DTYPES)]
            name = f"{seed}/{index}"
            settings = Settings.draw(Random(f"{name}/{strategy}"))
            target = random_target(name, dtype, strategy)
            target = replace(target, settings=settings)
            kind = str(dtype).removeprefix("torch.")
            with settings.applied():
                try:
                    found: dict[str, float] | str = attack(target, INPUTS, index)
                    attacked += INPUTS
                except ex.errors.CertificateError as error:
                    found = str(error)
            yield f"{name} ({settings})", strategy, kind, found


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the attack that the command line asks for; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.attack", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--inputs", type=int, default=100_000, help="of all strategies")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    start = reported = time.monotonic()
    violations, done, refused = 0, 0, Counter[str]()
    closest = dict[tuple[str, str, str], float]()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Using padding='same' with even kernel")
        for name, strategy, dtype, found in search(options.inputs, options.seed):
            if isinstance(found, str):
                refused[found.split(":")[0]] += 1
                continue
            done += INPUTS
            for about, ratio in found.items():
                key = (strategy, dtype, about)
                closest[key] = max(closest.get(key, 0.0), ratio)
                if not ratio <= 1:
                    violations += 1
                    print(f"VIOLATION {ratio:.6g}: {name} {key}", flush=True)
            if time.monotonic() - reported > SECONDS_BETWEEN_REPORTS:
                reported = time.monotonic()
                print(f"{done:,} of {options.inputs:,} inputs", flush=True)
    for (strategy, dtype, about), ratio in sorted(closest.items()):
        print(
            f"{strategy:10} {dtype:9} {about:9} largest error {ratio:.6f} of its bound"
        )
    for reason, layers in refused.most_common():
        print(f"no certificate of {layers} layers: {reason}")
    print(
        f"{done:,} random inputs and sign patterns, and the best of gradient ascent: "
        f"{violations} violations; seed {options.seed}, "
        f"{time.monotonic() - start:.0f} s"
    )
    return 1 if violations else 0


if __name__ == "__main__":
    torch.set_num_threads(1)
    sys.exit(main())
