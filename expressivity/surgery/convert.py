"""Replace the convolutions of a network, and say what was not replaced and why."""

import copy
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from torch import Tensor, nn

from expressivity.attention import RelativeSelfAttention
from expressivity.constructor import attention_from_conv, conversion_error
from expressivity.constructor.build import check_options
from expressivity.convolutions import inherits_forward, plain_convolution
from expressivity.errors import UnsupportedModuleError
from expressivity.geometry import Convolution
from expressivity.surgery.records import Conversion, LayerRecord
from expressivity.surgery.references import held_modules
from expressivity.surgery.selection import Where, convolution_like, selector


def convert(
    model: nn.Module,
    *,
    alpha: float | None = None,
    tolerance: float | None = None,
    head_dim: int | None = None,
    where: Where | None = None,
    strategy: str = "auto",
) -> Conversion:
    """Replace every convolution of a network by self-attention.

    The given model is left untouched. The converted one keeps dtype, device,
    training mode, ``requires_grad``, hooks on other modules and weight sharing: one
    convolution used twice becomes one attention used twice. What cannot be
    reproduced (transposed, lazy, quantised convolutions, subclasses that compute
    something else on a probe, …) stays in place and is listed with the reason. Calls of
    ``torch.nn.functional`` are invisible here.

    Args:
        model: Any module; a single convolution too.
        alpha: As for :func:`expressivity.attention_from_conv`, for every layer.
        tolerance: As for :func:`expressivity.attention_from_conv`, for every layer:
            its largest absolute error for inputs of the layer within ±1.
        head_dim: As for :func:`expressivity.attention_from_conv`.
        where: Which convolutions to convert: a predicate of name and module, or
            names or shell patterns of names such as ``"layer3.*"``.
        strategy: How the attention is evaluated: ``"auto"`` or a name.

    Returns:
        The converted model and one record a convolution.

    Raises:
        ArgumentError: If an option is out of range, or a name in ``where`` matches
            no convolution.
        StrategyError: If there is no such strategy.
        UnsupportedModuleError: If the model cannot be copied, or was compiled.

    Example:
        >>> model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 1))
        >>> conversion = convert(model)
        >>> [(layer.name, layer.num_heads) for layer in conversion.layers]
        [('0', 9), ('2', 1)]
    """
    check_options(alpha, tolerance, head_dim, strategy)
    copied = _copied(model)
    found = dict(convolution_like(copied))
    wanted = selector(where, list(found))
    plans = [
        _plan(name, module, selected=wanted(name, module))
        for name, module in found.items()
    ]
    _keep_held(model, copied, plans)
    _keep_ties(copied, plans)
    attentions: dict[int, RelativeSelfAttention] = {}
    shared: dict[int, RelativeSelfAttention] = {}
    records = []
    for plan in plans:
        if plan.conv is None:
            records.append(plan.kept())
            continue
        attention = attention_from_conv(
            plan.conv,
            alpha=alpha,
            tolerance=tolerance,
            head_dim=head_dim,
            strategy=strategy,
        )
        attentions[id(plan.module)] = attention
        records.append(plan.converted(attention))
        _tie(attention, plan.conv, shared)
        plan.release()
    return Conversion(_replaced(copied, attentions), tuple(records))


@dataclass
class _Plan:
    """What is to become of one module: a convolution to convert, or a reason."""

    name: str
    module: nn.Module
    conv: Convolution | None
    reason: str = ""

    def keep(self, reason: str) -> None:
        self.conv, self.reason = None, reason

    def release(self) -> None:
        """Let go of the weights: two sets of them all need not exist at once."""
        self.conv = None
        self.module._parameters.clear()

    def converted(self, attention: RelativeSelfAttention) -> LayerRecord:
        conv = cast("Convolution", self.conv)
        return LayerRecord(
            self.name,
            type(self.module).__name__,
            "converted",
            self.reason,
            tuple(conv.kernel_size),
            attention.num_heads,
            float(attention.alpha.detach().max()),
            float(conversion_error(attention, conv).max()),
        )

    def kept(self) -> LayerRecord:
        size = getattr(self.module, "kernel_size", None)
        return LayerRecord(
            self.name,
            type(self.module).__name__,
            "kept",
            self.reason,
            tuple(size) if isinstance(size, Sequence) else None,
        )


def _copied(model: nn.Module) -> nn.Module:
    if not isinstance(model, nn.Module):
        raise UnsupportedModuleError(
            f"convert needs an nn.Module, got {type(model).__name__}"
        )
    if any(hasattr(module, "_orig_mod") for module in model.modules()):
        raise UnsupportedModuleError(
            "the model was compiled by torch.compile: convert the original "
            "(model._orig_mod) and compile the result"
        )
    # Tensors computed from parameters (old weight normalisation keeps its weight so)
    # have no deep copy; they are recomputed before use.
    derived = {
        id(value): value.detach().clone()
        for module in model.modules()
        for value in vars(module).values()
        if isinstance(value, Tensor) and not value.is_leaf
    }
    try:
        return copy.deepcopy(model, derived)
    except Exception as error:
        raise UnsupportedModuleError(
            f"the model cannot be copied ({type(error).__name__}: {error}); convert "
            "needs a copy to leave the given model untouched"
        ) from error


def _plan(name: str, module: nn.Module, *, selected: bool) -> _Plan:
    if not selected:
        return _Plan(name, module, None, "not selected")
    try:
        conv = plain_convolution(module)
    except UnsupportedModuleError as error:
        return _Plan(name, module, None, str(error))
    if inherits_forward(module):
        return _Plan(name, module, conv)
    reason = "a plain convolution with its present weight reproduced it on every probe"
    return _Plan(name, module, conv, reason)


def _keep_ties(model: nn.Module, plans: Sequence[_Plan]) -> None:
    """Keep a convolution in place if converting it would break a tied parameter.

    A parameter may be tied between convolutions that are all converted, with the
    same groups; their attention layers are then tied too.
    """
    owners = defaultdict(list)
    for module_name, module in model.named_modules():
        for role, parameter in module._parameters.items():
            owners[id(parameter)].append((module_name, role, module))
    changed = True
    while changed:
        convs = {id(p.module): p.conv for p in plans if p.conv is not None}
        broken = [
            (plan, f"{name} is also {other_name}.{other_role}")
            for plan in plans
            if plan.conv is not None
            for name, parameter in plan.module.named_parameters()
            for other_name, other_role, other in owners[id(parameter)]
            if other not in plan.module.modules()
            and not _tied_alike(plan.conv, convs.get(id(other)), name, other_role)
        ]
        for plan, what in broken:
            plan.keep(f"its {what}, which is not converted with it")
        changed = bool(broken)


def _tied_alike(
    conv: Convolution, other: Convolution | None, role: str, other_role: str
) -> bool:
    return other is not None and role == other_role and conv.groups == other.groups


def _keep_held(model: nn.Module, copied: nn.Module, plans: Sequence[_Plan]) -> None:
    """Keep a convolution that is called from where it cannot be replaced."""
    originals = {id(module): name for name, module in model.named_modules()}
    for place, module in held_modules(copied):
        inside = originals.get(id(module))
        for plan in plans:
            if plan.conv is None:
                continue
            if plan.module is module:
                plan.keep(
                    f"it is also held by {place}, which is no registered submodule: "
                    "use an nn.ModuleList or nn.ModuleDict there"
                )
            elif inside is not None and _is_within(plan.name, inside):
                plan.keep(
                    f"{place} closes over it in the given model, which any copy would "
                    "go on calling: make it a method"
                )


def _is_within(name: str, parent: str) -> bool:
    return parent in ("", name) or name.startswith(f"{parent}.")


def _tie(
    attention: RelativeSelfAttention,
    conv: Convolution,
    shared: dict[int, RelativeSelfAttention],
) -> None:
    """Let an attention layer share what its convolution shares with earlier ones."""
    twin = shared.setdefault(id(conv.weight), attention)
    attention.value_weight = twin.value_weight
    attention.output_weight = twin.output_weight
    if conv.bias is not None:
        attention.bias = shared.setdefault(id(conv.bias), attention).bias


def _replaced(model: nn.Module, replacements: Mapping[int, nn.Module]) -> nn.Module:
    """Put every replacement wherever its module is registered."""
    for parent in list(model.modules()):
        for name, child in parent._modules.items():
            if id(child) in replacements:
                parent._modules[name] = replacements[id(child)]
    return replacements.get(id(model), model)
