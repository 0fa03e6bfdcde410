"""How many threads work on a tensor."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch compute on one thread, for many operations on small tensors.

    Threads that share a few thousand numbers wait for each other for longer than they
    compute, and wait busily.

    Yields:
        Nothing; the number of threads is what it was afterwards.

    Example:
        >>> before = torch.get_num_threads()
        >>> with one_thread():
        ...     print(torch.get_num_threads())
        1
        >>> torch.get_num_threads() == before
        True
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
