"""Tests: laws in ``laws.py``, judged by ``oracles.py`` on ``cases.py``."""

import os
from pathlib import Path

ROOT = Path(__file__).parents[1]  # of the project

# Read when torch convolves for the first time. With AMX or native float16, torch 2.13's
# own convolutions (oneDNN) of half precision read memory that nobody wrote, where a
# stride leaves one output along the last axis, and end the process where taps read
# nothing but padding: no test here could tell its own faults from those.
os.environ.setdefault("ONEDNN_MAX_CPU_ISA", "AVX512_CORE_BF16")
