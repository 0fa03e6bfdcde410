"""How much memory is free: of the machine, of the container, of a GPU.

A process in a container is killed at the container's limit, whatever the machine has.
Linux writes limits into a tree of control groups, version 1 or 2; each group on the way
from the process to the root may have one, and all of them hold.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import psutil

if TYPE_CHECKING:
    import torch


class _Files(NamedTuple):
    """Where a version of control groups writes the limit and the usage of a group."""

    root: str
    limit: str
    usage: str
    cache: str


_VERSIONS = {
    "": _Files("", "memory.max", "memory.current", "inactive_file"),
    "memory": _Files(
        "memory",
        "memory.limit_in_bytes",
        "memory.usage_in_bytes",
        "total_inactive_file",
    ),
}


def free_bytes(device: "torch.device") -> int:
    """Return the bytes that are free on a GPU; for other devices, in the process.

    Those of a GPU are what the driver and torch's own cache have left.
    """
    if device.type == "cuda":
        import torch

        free, _ = torch.cuda.mem_get_info(device)
        reserved = torch.cuda.memory_reserved(device)
        return int(free + reserved - torch.cuda.memory_allocated(device))
    return process_bytes()


def process_bytes() -> int:
    """Return the bytes that machine and container have left, whichever is less."""
    machine = int(psutil.virtual_memory().available)
    container = container_bytes()
    return machine if container is None else min(machine, container)


def container_bytes(root: Path = Path("/")) -> int | None:
    """Return the bytes that the control groups of this process have left.

    Args:
        root: Where ``proc`` and ``sys`` are.

    Returns:
        The least that a group on the way to the root has left, with its page cache as
        free memory; ``None`` if none has a limit.
    """
    free = (_free_of_group(*group) for group in _groups(root))
    return min((count for count in free if count is not None), default=None)


def _groups(root: Path) -> Iterator[tuple[Path, _Files]]:
    """Yield the folder of each group that this process is in."""
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, controllers, path = (*line.split(":", 2), "", "")[:3]
        for controller in controllers.split(","):
            files = _VERSIONS.get(controller)
            if files is None:
                continue
            folder = root / "sys/fs/cgroup" / files.root
            yield folder, files
            # Inside of a container the path may be that of the machine: some of these
            # folders do not exist, and the root is the container's own.
            for part in path.strip("/").split("/"):
                folder = folder / part
                yield folder, files


def _free_of_group(folder: Path, files: _Files) -> int | None:
    """Return the bytes that one group has left; ``None`` if it has no limit."""
    limit, usage = (_number(_text(folder / name)) for name in files[1:3])
    if limit is None or usage is None:
        return None
    stat = (line.split() for line in _text(folder / "memory.stat").splitlines())
    entries = {entry[0]: entry[1] for entry in stat if len(entry) == 2}
    cache = _number(entries.get(files.cache, "")) or 0
    return max(0, limit - usage + min(cache, usage))


def _number(text: str) -> int | None:
    """Return a number of bytes; ``None`` for "max", for nothing, for nonsense."""
    return int(text) if text.isascii() and text.isdigit() else None


def _text(path: Path) -> str:
    """Return what a file holds; nothing if it is missing or may not be read."""
    try:
        return path.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""
