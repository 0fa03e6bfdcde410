"""Tests: laws in ``laws.py``, judged by ``oracles.py`` on ``cases.py``."""
