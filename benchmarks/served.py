"""Time an exported network beside its exported CNN, in onnxruntime.

    python -m benchmarks.served

Exports a network of the shape of ResNet-50 and its conversion by torch's ONNX exporter,
for batches of any length, and runs both in turn in one session each. It prints the
ratio of the medians and the largest difference. It needs the extra ``serve``.
"""

import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor, nn

import expressivity as ex
from benchmarks.documents import publish
from expressivity.bench.resnet import resnet50

ROUNDS, SIZE, BATCH = 15, 128, 2


def session(model: nn.Module, x: Tensor, path: Path) -> object:
    """Export a network and return a session of onnxruntime with one thread."""
    import onnxruntime

    batch = ({0: torch.export.Dim("batch")},)
    with torch.no_grad():
        program = torch.onnx.export(
            model, (x,), dynamo=True, dynamic_shapes=batch, verbose=False
        )
    program.save(path)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options)


def main() -> Iterator[Path]:
    """Print the ratio and the difference; no file is written."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = resnet50().eval().requires_grad_(False)
    x = torch.randn(BATCH, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    converted = ex.convert(model).model
    with TemporaryDirectory() as folder:
        sessions = [
            session(network, x, Path(folder, f"{name}.onnx"))
            for name, network in (("cnn", model), ("attention", converted))
        ]
    outputs, times = [], [[], []]
    for session_ in sessions:
        (named,) = session_.get_inputs()
        outputs.append(torch.from_numpy(session_.run(None, {named.name: x.numpy()})[0]))
    for _ in range(ROUNDS):
        for place, session_ in enumerate(sessions):
            start = time.perf_counter()
            session_.run(None, {session_.get_inputs()[0].name: x.numpy()})
            times[place].append(time.perf_counter() - start)
    cnn, attention = map(statistics.median, times)
    gap = float((outputs[1] - outputs[0]).abs().max() / outputs[0].abs().max())
    eager = float((outputs[1] - converted(x)).abs().max() / outputs[0].abs().max())
    print(
        f"ResNet-50 shape, {BATCH}×3×{SIZE}×{SIZE}, float32, onnxruntime, one thread: "
        f"attention takes {attention / cnn:.2f} times the CNN ({1e3 * attention:.0f} "
        f"and {1e3 * cnn:.0f} ms); relative difference {gap:.1e} to the exported CNN, "
        f"{eager:.1e} to torch"
    )
    yield from ()


if __name__ == "__main__":
    publish(__doc__, main)
