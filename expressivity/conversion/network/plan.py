"""Decide for each convolution of a network: convert it or keep it, and why."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from torch import nn

from expressivity.accuracy.content_share import content_bound
from expressivity.accuracy.snapshot import Snapshot
from expressivity.accuracy.worst_case import worst_case
from expressivity.attention import RelativeSelfAttention
from expressivity.conversion.network.records import LayerRecord
from expressivity.conversion.network.references import MOST_OBJECTS, references
from expressivity.conversion.network.selection import Where, convolution_like, selector
from expressivity.convolutions import Kernel, inherits_forward
from expressivity.errors import UnsupportedModuleError
from expressivity.geometry.convolution import Convolution


@dataclass
class Plan:
    """The decision about one module.

    Attributes:
        name: Its first name in the network.
        module: The module.
        kernel: What it computes, behind the gate; ``None`` to keep the module.
        reason: Why to keep it; for one to convert, a remark.
    """

    name: str
    module: nn.Module
    kernel: Kernel | None
    reason: str = ""

    @property
    def conv(self) -> Convolution | None:
        """The plain convolution that is to be converted, if any."""
        return None if self.kernel is None else self.kernel.conv

    def keep(self, reason: str) -> None:
        """Leave the module in place, for a reason."""
        self.kernel, self.reason = None, reason

    def release(self) -> None:
        """Free the weights: memory need not hold all of them twice."""
        self.kernel = None
        self.module._parameters.clear()

    def converted(self, attention: RelativeSelfAttention) -> LayerRecord:
        """Return the record of a convolution that became attention."""
        kernel = cast("Kernel", self.kernel)
        return LayerRecord(
            self.name,
            type(self.module).__name__,
            "converted",
            self.reason,
            tuple(kernel.conv.kernel_size),
            attention.num_heads,
            float(attention.alpha.detach().max()),
            largest_error(attention, kernel),
        )

    def kept(self) -> LayerRecord:
        """Return the record of a module that stays."""
        size = getattr(self.module, "kernel_size", None)
        return LayerRecord(
            self.name,
            type(self.module).__name__,
            "kept",
            self.reason,
            tuple(size) if isinstance(size, Sequence) else None,
        )


def largest_error(attention: RelativeSelfAttention, kernel: Kernel) -> float:
    """Return the largest error over all sizes; gated content counts as pure error."""
    error = content_bound(attention.heads())
    if attention.gate is not None:
        attention = attention.without_content()
    return float((worst_case(Snapshot.of(attention), kernel, None) + error).max())


def plan_conversion(
    model: nn.Module, where: Where | None, to_keep: Mapping[str, str]
) -> list[Plan]:
    """Return a plan for every convolution, which considers that convolution alone.

    Args:
        model: The network.
        where: As for :func:`expressivity.convert`.
        to_keep: Why some of them have to stay in any case, by name.
    """
    convolutions = dict(convolution_like(model))
    is_selected = selector(where, list(convolutions))
    return [
        Plan(name, module, None, to_keep[name])
        if name in to_keep
        else _plan(name, module, selected=is_selected(name, module))
        for name, module in convolutions.items()
    ]


def _plan(name: str, module: nn.Module, *, selected: bool) -> Plan:
    if not selected:
        return Plan(name, module, None, "not selected")
    try:
        kernel = Kernel.of(module)
    except UnsupportedModuleError as error:
        return Plan(name, module, None, str(error))
    if inherits_forward(module):
        return Plan(name, module, kernel)
    reason = "a plain convolution with its present weight reproduced it on every probe"
    return Plan(name, module, kernel, reason)


def keep_ties(
    model: nn.Module, plans: Sequence[Plan], *, same_geometry: bool = False
) -> None:
    """Keep a convolution in place if converting it would break a tied parameter.

    Convolutions that are all converted, with the same groups, may share a parameter:
    their attention layers then share it too.

    Args:
        model: The network.
        plans: Of its convolutions; the function changes them.
        same_geometry: Whether only layers of one geometry can share a parameter.
    """
    owners = defaultdict(list)
    for module_name, module in model.named_modules():
        for role, parameter in module._parameters.items():
            owners[id(parameter)].append((module_name, role, module))
    changed = True
    while changed:
        kernels = {id(p.module): p.kernel for p in plans if p.kernel is not None}
        broken = [
            (plan, f"{name} is also {other_name}.{other_role}")
            for plan in plans
            if plan.kernel is not None
            for name, parameter in plan.module.named_parameters()
            for other_name, other_role, other in owners[id(parameter)]
            if other not in plan.module.modules()
            and not (
                name == other_role
                and _are_alike(plan.kernel, kernels.get(id(other)), same_geometry)
            )
        ]
        for plan, what in broken:
            plan.keep(f"its {what}, which is not converted with it")
        changed = bool(broken)


def _are_alike(kernel: Kernel, other: Kernel | None, same_geometry: bool) -> bool:
    """Whether the attention layers of two convolutions can share a parameter."""
    return (
        other is not None
        and kernel.conv.groups == other.conv.groups
        and (not same_geometry or kernel.geometry == other.geometry)
    )


def keep_held(model: nn.Module, copied: nn.Module, plans: Sequence[Plan]) -> list[str]:
    """Keep a convolution that code calls from a place where nothing can replace it.

    Args:
        model: The given network.
        copied: Its copy.
        plans: Of the convolutions of the copy; the function changes them.

    Returns:
        A sentence on every attribute that was too large to search.
    """
    originals = {id(module): name for name, module in model.named_modules()}
    reachable = references(copied, model)
    for place, module, shared in reachable.modules:
        inside = originals.get(id(module))
        for plan in plans:
            if plan.conv is None:
                continue
            if plan.module is module:
                plan.keep(
                    f"it is also held by {place}, which is no registered submodule: "
                    "use an nn.ModuleList or nn.ModuleDict there"
                )
            elif inside is not None and (
                plan.name == inside or (_is_within(plan.name, inside) and not shared)
            ):
                plan.keep(
                    f"{place} holds it in the given model, which any copy would go on "
                    "calling: make it an attribute or a method of the model"
                )
    return [
        f"{place} holds so much that only the first {MOST_OBJECTS:,} objects were "
        "searched for convolutions: pass inputs="
        for place in reachable.unfinished
    ]


def _is_within(name: str, parent: str) -> bool:
    return parent in ("", name) or name.startswith(f"{parent}.")
