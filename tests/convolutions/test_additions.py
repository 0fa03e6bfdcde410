"""Parametrisations and hooks: evaluated, or refused with the reason."""

import contextlib
import copy

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, parametrize

from expressivity.convolutions import (
    plain_convolution,
)
from expressivity.errors import UnsupportedModuleError
from tests.cases import BASE
from tests.convolutions.test_gate import Register, Standardised, assert_refused


class TestParametrised:
    @pytest.mark.parametrize(
        ("register", "training"),
        [
            (parametrizations.weight_norm, True),
            (parametrizations.weight_norm, False),
            (parametrizations.orthogonal, True),
            (parametrizations.spectral_norm, False),
        ],
    )
    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
    def test_passes_with_the_evaluated_weight(
        self, register: Register, training: bool, dtype: torch.dtype
    ) -> None:
        module = register(BASE.conv(dtype)).train(training)
        twin = plain_convolution(module)
        assert type(twin) is nn.Conv2d
        assert twin.training is training
        assert not parametrize.is_parametrized(twin)
        assert twin.bias is module.bias
        assert torch.equal(twin.weight, module.weight)

    def test_refuses_a_weight_that_changes_at_every_step(self) -> None:
        module = parametrizations.spectral_norm(BASE.conv())
        assert_refused(module, "differ by .* with training=True")

    @pytest.mark.parametrize("training", [True, False])
    def test_leaves_the_module_as_it_was(self, training: bool) -> None:
        module = parametrizations.spectral_norm(BASE.conv()).train(training)
        before = copy.deepcopy(module.state_dict())
        with contextlib.suppress(UnsupportedModuleError):
            plain_convolution(module)
        after = module.state_dict()
        assert all(torch.equal(before[name], after[name]) for name in before)

    @pytest.mark.parametrize("trainable", [True, False])
    def test_gradients_are_asked_for_as_before(self, trainable: bool) -> None:
        module = parametrizations.weight_norm(BASE.conv().requires_grad_(trainable))
        assert plain_convolution(module).weight.requires_grad is trainable

    def test_a_parametrised_subclass_is_still_probed(self) -> None:
        assert_refused(parametrizations.weight_norm(Standardised(2, 3, 3)), "differ by")

    @pytest.mark.filterwarnings("ignore:.*weight_norm. is deprecated:FutureWarning")
    @pytest.mark.parametrize(
        "register",
        [nn.utils.weight_norm, nn.utils.spectral_norm],
        ids=lambda f: f.__name__,
    )
    def test_the_old_hooks_are_refused(self, register: Register) -> None:
        assert_refused(
            register(nn.Conv2d(2, 2, 3)), "hooks of its own .forward_pre_hooks"
        )


class TestHooks:
    @pytest.mark.parametrize(
        ("register", "name"),
        [
            ("register_forward_hook", "forward_hooks"),
            ("register_forward_pre_hook", "forward_pre_hooks"),
            ("register_full_backward_hook", "backward_hooks"),
            ("register_full_backward_pre_hook", "backward_pre_hooks"),
        ],
    )
    def test_refuses_hooks_until_they_are_removed(
        self, register: str, name: str
    ) -> None:
        conv = nn.Conv2d(1, 1, 1)
        handle = getattr(conv, register)(lambda *_: None)
        assert_refused(conv, f"hooks of its own .{name}")
        handle.remove()
        assert plain_convolution(conv) is conv

    def test_hooks_around_the_state_dict_do_not_matter(self) -> None:
        conv = nn.Conv2d(1, 1, 1)
        conv.register_state_dict_post_hook(lambda *_: None)
        conv.register_load_state_dict_pre_hook(lambda *_: None)
        assert plain_convolution(conv) is conv
