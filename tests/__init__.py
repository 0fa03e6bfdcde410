"""Tests: laws in ``laws.py``, judged by ``oracles.py`` on ``cases.py``."""

from pathlib import Path

ROOT = Path(__file__).parents[1]  # of the project
