"""The cache of what follows from parameters is as good as they are."""

import copy
import pickle
import sys
import threading
import weakref
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from expressivity.heads.memo import Memo


class Counted:
    """A sum of tensors that counts how often it is taken."""

    def __init__(self) -> None:
        self.memo, self.count = Memo(), 0

    def __call__(self, *sources: Tensor, key: object = "total") -> float:
        def compute() -> float:
            self.count += 1
            return float(sum(source.sum() for source in sources))

        return self.memo.get(key, sources, compute)


class TestMemo:
    def test_computes_once(self) -> None:
        total, weight = Counted(), torch.ones(3)
        assert [total(weight) for _ in range(3)] == [3, 3, 3]
        assert total(weight.detach()) == 3  # the same memory
        assert total.count == 1

    def test_computes_again_for_another_key(self) -> None:
        total, weight = Counted(), torch.ones(3)
        assert total(weight, key="one") == total(weight, key="two") == 3
        assert total.count == 2

    @pytest.mark.parametrize(
        "change",
        [
            lambda weight: weight.mul_(2),
            lambda weight: weight[0].add_(3),
            lambda weight: weight.view(-1).copy_(torch.full((3,), 2.0)),
            lambda weight: weight.detach().mul_(2),
        ],
    )
    @pytest.mark.parametrize("changed", [0, 1])
    def test_computes_again_after_a_change_in_place(
        self, change: Callable[[Tensor], Tensor], changed: int
    ) -> None:
        total, weights = Counted(), (torch.ones(3), torch.ones(3))
        assert total(*weights) == 6
        change(weights[changed])
        assert total(*weights) == 9
        assert total.count == 2

    def test_computes_again_after_a_step_of_an_optimizer(self) -> None:
        total, weight = Counted(), nn.Parameter(torch.ones(3))
        optimizer = torch.optim.SGD([weight], lr=1.0)
        for step in range(4):
            assert total(weight) == 3 - 3 * step
            weight.sum().backward()
            optimizer.step()
            optimizer.zero_grad()

    def test_computes_again_for_another_view_of_the_same_memory(self) -> None:
        total, square = Counted(), torch.arange(4.0).reshape(2, 2)
        views = (square, square.mT, square.flatten(), square[:1], square[:, :1])
        assert [total(view) for view in views] == [6, 6, 6, 1, 2]
        assert total.count == 5

    def test_does_not_mistake_a_tensor_for_one_that_is_gone(self) -> None:
        total = Counted()
        for value in range(100):
            weight = torch.full((64,), float(value))
            assert total(weight) == 64 * value
            del weight  # its memory is free for the next
        assert total.count == 100

    def test_holds_no_more_than_a_few_entries(self) -> None:
        class Large:
            """A value that can be watched."""

        memo, weight = Memo(), torch.ones(3)
        values = [memo.get(key, [weight], Large) for key in range(100)]
        watched = [weakref.ref(value) for value in values]
        last = values[-1]
        del values
        assert sum(ref() is not None for ref in watched) <= 16
        assert memo.get(99, [weight], Large) is last
        memo.clear()
        del last
        assert all(ref() is None for ref in watched)

    @pytest.mark.parametrize(
        "copied", [copy.deepcopy, copy.copy, lambda m: pickle.loads(pickle.dumps(m))]
    )
    def test_copies_are_empty(self, copied: Callable[[Memo], Memo]) -> None:
        total, weight = Counted(), torch.ones(3)
        assert total(weight) == 3
        total.memo = copied(total.memo)
        assert total(weight) == 3
        assert total.count == 2

    def test_keeps_nothing_that_cannot_be_told_apart(self) -> None:
        total = Counted()
        with torch.inference_mode():
            weight = torch.ones(3)
            assert total(weight) == 3
            assert total(weight.mul_(2)) == 6

    def test_values_made_in_inference_mode_are_good_for_training(self) -> None:
        memo, weight = Memo(), torch.ones(3)
        with torch.inference_mode():
            doubled = memo.get("doubled", [weight], lambda: 2 * weight)
        assert not doubled.is_inference()
        x = torch.ones(3, requires_grad=True)
        (doubled * x).sum().backward()
        assert x.grad.tolist() == [2, 2, 2]

    def test_values_record_no_gradients(self) -> None:
        weight = torch.ones(3, requires_grad=True)
        assert not Memo().get("doubled", [weight], lambda: 2 * weight).requires_grad


def test_memo_sees_a_change_before_the_same_memory_is_wrapped_again() -> None:
    memo, weight = Memo(), nn.Parameter(nn.Parameter(torch.ones(2)).data)

    def total(source: Tensor) -> float:
        return memo.get("total", [source], lambda: source.sum().item())

    assert total(weight) == 2
    with torch.no_grad():
        weight.mul_(3)
    assert total(nn.Parameter(weight.data, requires_grad=False)) == 6


def test_memo_serves_several_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    memo, weight, errors = Memo(), torch.ones(2), []

    def work(first: int) -> None:
        try:
            for step in range(4000):
                key = (7 * first + step) % 40
                assert memo.get(key, [weight], lambda key=key: key) == key
        except Exception as error:
            errors.append(error)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert not errors
