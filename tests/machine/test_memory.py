"""Free memory ends where the container ends, not where the machine does."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

import expressivity as ex
from expressivity.machine import memory
from tests.cases import BASE

GIB = 2**30
NONE_IN_VERSION_1 = 9223372036854771712  # what the kernel writes for no limit


def write(folder: Path, **files: object) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_text(f"{content}\n")


def joined(root: Path, *lines: str) -> None:
    write(root / "proc/self", cgroup="\n".join(lines))


def version_2(root: Path, group: str, limit: object, usage: int, cache: int = 0):
    stat = f"anon {usage - cache}\nfile {cache}\ninactive_file {cache}\n"
    folder = root / "sys/fs/cgroup" / group
    write(folder, memory__max=limit, memory__current=usage, memory__stat=stat)


def version_1(root: Path, group: str, limit: object, usage: int, cache: int = 0):
    write(
        root / "sys/fs/cgroup/memory" / group,
        memory__limit_in_bytes=limit,
        memory__usage_in_bytes=usage,
        memory__stat=f"inactive_file 7\ntotal_inactive_file {cache}\n",
    )


def test_there_is_no_limit_without_control_groups(tmp_path: Path) -> None:
    assert memory.container_bytes(tmp_path) is None


def test_version_2_in_a_container(tmp_path: Path) -> None:
    joined(tmp_path, "0::/")
    version_2(tmp_path, "", 4 * GIB, 3 * GIB)
    assert memory.container_bytes(tmp_path) == GIB


def test_version_2_on_a_machine_takes_the_tightest_group(tmp_path: Path) -> None:
    joined(tmp_path, "0::/user.slice/user-1.slice/job.scope")
    version_2(tmp_path, "user.slice", 8 * GIB, 5 * GIB)
    version_2(tmp_path, "user.slice/user-1.slice", "max", 5 * GIB)
    version_2(tmp_path, "user.slice/user-1.slice/job.scope", 6 * GIB, GIB)
    assert memory.container_bytes(tmp_path) == 3 * GIB  # of the outermost
    version_2(tmp_path, "user.slice/user-1.slice/job.scope", 2 * GIB, GIB)
    assert memory.container_bytes(tmp_path) == GIB  # of the innermost


def test_max_is_no_limit(tmp_path: Path) -> None:
    joined(tmp_path, "0::/")
    version_2(tmp_path, "", "max", 3 * GIB)
    assert memory.container_bytes(tmp_path) is None


def test_page_cache_can_be_taken(tmp_path: Path) -> None:
    joined(tmp_path, "0::/")
    version_2(tmp_path, "", 4 * GIB, 4 * GIB, cache=3 * GIB)
    assert memory.container_bytes(tmp_path) == 3 * GIB


def test_version_1_seen_from_inside_and_from_outside(tmp_path: Path) -> None:
    joined(tmp_path, "9:cpu,cpuacct:/docker/1", "5:memory:/docker/1", "1:name=x:/")
    version_1(tmp_path, "", 4 * GIB, 3 * GIB, cache=GIB)  # the container is the root
    assert memory.container_bytes(tmp_path) == 2 * GIB
    version_1(tmp_path, "", NONE_IN_VERSION_1, 50 * GIB)
    version_1(tmp_path, "docker/1", 3 * GIB, 3 * GIB)
    assert memory.container_bytes(tmp_path) == 0


def test_both_versions_side_by_side(tmp_path: Path) -> None:
    joined(tmp_path, "4:hugetlb,memory:/a", "0::/b")
    version_1(tmp_path, "a", 4 * GIB, 2 * GIB)
    version_2(tmp_path, "b", 4 * GIB, 3 * GIB)
    assert memory.container_bytes(tmp_path) == GIB


@pytest.mark.parametrize("damage", ["", "-1", "4e9", "nonsense", "½", "\xff"])
def test_what_cannot_be_read_is_no_limit(tmp_path: Path, damage: str) -> None:
    joined(tmp_path, "0::/", "nonsense", "")
    version_2(tmp_path, "", damage, GIB)
    assert memory.container_bytes(tmp_path) is None
    version_2(tmp_path, "", 2 * GIB, GIB)
    (tmp_path / "sys/fs/cgroup/memory.stat").write_text(f"inactive_file {damage}\n")
    assert memory.container_bytes(tmp_path) == GIB
    (tmp_path / "sys/fs/cgroup/memory.stat").unlink()
    assert memory.container_bytes(tmp_path) == GIB
    (tmp_path / "sys/fs/cgroup/memory.current").unlink()
    assert memory.container_bytes(tmp_path) is None


def test_a_group_over_its_limit_has_nothing_left(tmp_path: Path) -> None:
    joined(tmp_path, "0::/")
    version_2(tmp_path, "", GIB, 2 * GIB)
    assert memory.container_bytes(tmp_path) == 0


@pytest.fixture
def _in_a_small_container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    joined(tmp_path, "0::/")
    version_2(tmp_path, "", GIB, GIB - 4096)
    inside = memory.container_bytes
    monkeypatch.setattr(memory, "container_bytes", lambda: inside(tmp_path))
    plenty = SimpleNamespace(available=64 * GIB)
    monkeypatch.setattr(memory.psutil, "virtual_memory", lambda: plenty)


@pytest.mark.usefixtures("_in_a_small_container")
def test_dense_refuses_what_the_container_would_be_killed_for() -> None:
    assert memory.free_bytes(torch.device("cpu")) == 4096
    layer = ex.attention_from_conv(BASE.conv(), strategy="dense")
    with pytest.raises(ex.errors.StrategyError, match="GiB are free"):
        layer(BASE.input())
    with pytest.raises(ex.errors.StrategyError, match="GiB are free"):
        layer.attention_probabilities(size=BASE.size)


def test_the_machine_is_a_limit_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "container_bytes", lambda: 64 * GIB)
    scarce = SimpleNamespace(available=4096)
    monkeypatch.setattr(memory.psutil, "virtual_memory", lambda: scarce)
    assert memory.free_bytes(torch.device("cpu")) == 4096
