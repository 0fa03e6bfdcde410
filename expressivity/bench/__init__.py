"""How fast the attention layers are beside ``torch.nn.Conv2d``, and what they hold.

Method:

- Everything is a ratio. Whatever is compared runs in one process, on the same input
  and the same threads, one call each in turn and in random order, so that what slows
  the machine for a while slows all of them. Reported is the median over the rounds
  and the quartiles beside it; the ratio is one of medians.
- Each contender is called three times before anything is timed: kernels are chosen,
  caches are filled. On a GPU the clock is read after synchronising.
- Inference is without gradients; training is forward, backward of the sum of squares,
  and nothing else.
- Memory is the most that torch holds at once during one call beyond what it held
  before: the output and everything temporary, without weights and input. Scratch
  memory that libraries take past torch's allocator is not seen.
- A contender that cannot run, or would take longer than the time for it, is listed
  with the reason.

The raw numbers of every call, with the environment, are one JSON document; tables
and figures are made from that alone.
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
