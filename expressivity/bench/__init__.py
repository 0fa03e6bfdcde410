"""Time and memory of the attention layers beside ``torch.nn.Conv2d``.

Method:

- Every result is a ratio. Contenders run in one process, on the same input and the
  same threads. Each round calls every contender once, in random order, so that a
  slower machine slows all of them. The report gives the median over the rounds and the
  quartiles; a ratio is one of medians.
- Each contender is called three times before the clock starts, so that kernels are
  chosen and caches are filled. On a GPU the clock is read after synchronising.
- Inference records no gradients. Training is the forward pass and the backward pass of
  the sum of squares, and nothing else.
- Memory is the peak of torch's allocator during one call, beyond what was allocated
  before: the output and everything temporary, without weights and input. Scratch
  memory that libraries allocate themselves is not counted.
- A contender that cannot run, or would exceed its time limit, is listed with the
  reason.

The raw numbers and the environment are one JSON document. Tables and figures use
nothing else.
"""

from expressivity.bench.document import Document, Measurement, read_document
from expressivity.bench.report import Target, growth_exponent, targets
from expressivity.bench.suites import SETTINGS, run_suites

__all__ = [
    "SETTINGS",
    "Document",
    "Measurement",
    "Target",
    "growth_exponent",
    "read_document",
    "run_suites",
    "targets",
]
