"""Measure everything on a GPU, in stages that each write their result at once.

    python -m benchmarks.gpu [--output FOLDER] [STAGE ...]

A stage runs in a process of its own and is ended after nine minutes. A stage whose
file exists is not run again: an interrupted run goes on where it stopped. The machine
needs torch >= 2.6 with CUDA and the package's runtime dependencies, but no network:
``make wheels`` collects the small ones in a folder that ``pip install --no-index
--find-links wheels`` reads.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from expressivity.bench import run_suites
from expressivity.bench.document import environment
from expressivity.bench.resnet import resnet50
from expressivity.bench.timing import peak_bytes, race
from expressivity.bench.trained import SHAPES, steps
from expressivity.conversion import attention_from_conv
from expressivity.conversion.network import convert
from expressivity.machine.files import written_together

SECONDS = 540
ROOT = Path(__file__).parents[1]
_IMAGES, _BATCH = 50_000, 100  # of CIFAR-10's size, 32×32; the paper's 2×2 patches


def measure_tests(device: torch.device) -> dict[str, object]:
    """Run the tests that need a GPU."""
    command = [sys.executable, "-m", "pytest", "-m", "gpu", "-q", "--no-header"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return {"status": run.returncode, "summary": run.stdout.splitlines()[-5:]}


def measure_suites(dtype: torch.dtype, *, tf32: bool) -> dict[str, object]:
    """Run the whole benchmark in one precision."""
    torch.backends.cuda.matmul.allow_tf32 = tf32
    torch.backends.cudnn.allow_tf32 = tf32
    document = run_suites("full", device="cuda", dtype=dtype)
    return {"tf32": tf32, **document.to_dict()}


def measure_epoch(device: torch.device) -> dict[str, object]:
    """Time training steps of the paper's layer beside the definition's.

    The epoch is one of 50,000 synthetic images of 32×32 pixels in 2×2 patches: 16×16
    tokens of 400 channels, nine heads, batches of 100.
    """
    shape = SHAPES[-1]
    contenders = steps(shape, device, torch.float32)
    conv = nn.Conv2d(shape.channels, shape.channels, 3, padding=1, device=device)
    x = torch.randn(shape.batch, shape.channels, 16, 16, device=device)
    dense = attention_from_conv(conv, alpha=1.0, strategy="dense").requires_grad_()

    def dense_step() -> None:
        dense.zero_grad(set_to_none=True)
        dense(x).square().sum().backward()

    contenders["dense"] = dense_step
    times = race(contenders, device=device, seconds=30.0)
    peaks = {name: peak_bytes(run, device) for name, run in contenders.items()}
    batches = _IMAGES // _BATCH
    return {
        name: {
            "seconds_of_a_step": own.median,
            "seconds_of_an_epoch": own.median * batches,
            "bytes": peaks[name],
        }
        for name, own in times.items()
    }


def measure_conversion(device: torch.device) -> dict[str, object]:
    """Convert a network of ResNet-50's shape, and compare the outputs."""
    network = resnet50().to(device).eval()
    start = time.perf_counter()
    converted = convert(network).model
    torch.cuda.synchronize(device)
    seconds = time.perf_counter() - start
    x = torch.randn(32, 3, 224, 224, device=device)
    with torch.no_grad():
        expected, found = network(x), converted(x)
    difference = (expected - found).abs().max() / expected.abs().max()
    return {"seconds": seconds, "largest_relative_difference": float(difference)}


STAGES: dict[str, Callable[[torch.device], dict[str, object]]] = {
    "tests": measure_tests,
    "epoch": measure_epoch,
    "conversion": measure_conversion,
    "float32": lambda device: measure_suites(torch.float32, tf32=False),
    "float32-tf32": lambda device: measure_suites(torch.float32, tf32=True),
    "bfloat16": lambda device: measure_suites(torch.bfloat16, tf32=False),
}


def run_stage(name: str, folder: Path) -> None:
    """Measure one stage and write its file, whole or not at all."""
    device = torch.device("cuda")
    result = {"environment": environment(device), name: STAGES[name](device)}
    with written_together([folder / f"{name}.json"], force=True) as [draft]:
        draft.write_text(json.dumps(result, indent=1), encoding="utf-8")


def main() -> int:
    """Run the stages that have no result yet; return the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("stages", nargs="*", metavar="STAGE", help=", ".join(STAGES))
    default = ROOT / "benchmarks" / "results" / "gpu"
    parser.add_argument("--output", type=Path, default=default, metavar="FOLDER")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    stages, folder = options.stages or list(STAGES), options.output
    if unknown := sorted(set(stages) - set(STAGES)):
        parser.error(f"stages are {', '.join(STAGES)}; got {', '.join(unknown)}")
    if not torch.cuda.is_available():
        print(
            "no GPU that torch can see: run this on a machine with CUDA",
            file=sys.stderr,
        )
        return 2
    if options.here:
        run_stage(stages[0], folder)
        return 0
    folder.mkdir(parents=True, exist_ok=True)
    failures = 0
    for name in stages:
        if (folder / f"{name}.json").exists():
            print(f"{name}: done before")
            continue
        own = ["-m", "benchmarks.gpu", name, "--here", "--output", str(folder)]
        try:
            status = subprocess.run(
                [sys.executable, *own], cwd=ROOT, timeout=SECONDS, check=False
            ).returncode
        except subprocess.TimeoutExpired:
            status = -1
        failures += status != 0
        told = {0: "done", -1: f"not done within {SECONDS} s"}
        print(f"{name}: {told.get(status, f'failed with status {status}')}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
