"""The blocks of stock vision transformers, told apart by the names of their parts.

Torch's ``TransformerEncoderLayer``, the ``Block`` of timm and the ``ViTLayer`` of
transformers: neither library is imported.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from expressivity.checks import check_instance
from expressivity.errors import ArgumentError, InputError, UnsupportedModuleError

# Where transformers keeps the four maps of an attention: today, and before version 5.
VIT_MAPS = (
    ("q_proj", "k_proj", "v_proj", "o_proj"),
    ("attention.query", "attention.key", "attention.value", "output.dense"),
)
_BEFORE = ("norm1", "layernorm_before")  # what a block calls its first LayerNorm


@dataclass(frozen=True, eq=False)
class EncoderBlock:
    """One attention of a transformer: views into its parameters.

    Attributes:
        name: Name of the attention in the model.
        module: The attention, which is called with the tokens.
        inner: All modules of the attention that read tokens or write into them.
        query: W_qry, (heads, width of a head, width).
        query_bias: Its bias, (heads, width of a head), or ``None``.
        key: W_key, as ``query``.
        key_bias: Its bias.
        value: W_val, as ``query``.
        value_bias: Its bias.
        output: W_out, (width, heads, width of a head).
        output_bias: Its bias, (width,), or ``None``.
    """

    name: str
    module: nn.Module
    inner: tuple[nn.Module, ...]
    query: Float[Tensor, "heads head_width width"]
    query_bias: Float[Tensor, "heads head_width"] | None
    key: Float[Tensor, "heads head_width width"]
    key_bias: Float[Tensor, "heads head_width"] | None
    value: Float[Tensor, "heads head_width width"]
    value_bias: Float[Tensor, "heads head_width"] | None
    output: Float[Tensor, "width heads head_width"]
    output_bias: Float[Tensor, " width"] | None

    @property
    def heads(self) -> int:
        """Number of heads."""
        return self.query.shape[0]

    @property
    def scale(self) -> float:
        """What scores are multiplied by."""
        return 1 / math.sqrt(self.query.shape[1])

    def probabilities(
        self, tokens: Float[Tensor, "batch tokens width"]
    ) -> Float[Tensor, "batch heads tokens tokens"]:
        """Return what each head attends to, from the tokens that the block is given."""
        query, key = (
            torch.einsum("hdw,btw->bhtd", weight, tokens)
            + (0 if bias is None else bias[:, None])
            for weight, bias in (
                (self.query, self.query_bias),
                (self.key, self.key_bias),
            )
        )
        return (self.scale * query @ key.mT).softmax(-1)


def encoder_blocks(model: nn.Module) -> list[EncoderBlock]:
    """Return the attention of every block of a vision transformer.

    Args:
        model: A network of torch's ``TransformerEncoderLayer``, timm's
            ``VisionTransformer`` or transformers' ``ViTModel``.

    Returns:
        The blocks in the order of the model: at least one, all of one width.

    Raises:
        ArgumentError: If blocks differ in width, or normalise queries and keys.
        UnsupportedModuleError: If there is none.

    Example:
        >>> layer = nn.TransformerEncoderLayer(16, 4, batch_first=True)
        >>> (block,) = encoder_blocks(layer)
        >>> block.query.shape
        torch.Size([4, 4, 16])
    """
    check_instance("model", model, nn.Module, "Pass a vision transformer")
    blocks = [
        block
        for name, module in model.named_modules()
        if (block := _block(name, module)) is not None
    ]
    if not blocks:
        raise UnsupportedModuleError(
            "model needs blocks of torch's TransformerEncoderLayer, of timm's "
            "VisionTransformer or of transformers' ViTModel, got "
            f"{type(model).__name__} without any"
        )
    widths = {block.query.shape[2] for block in blocks}
    if len(widths) != 1:
        raise ArgumentError(
            f"all blocks need one width, got {sorted(widths)}: a hierarchy of "
            "resolutions is not supported"
        )
    return blocks


def attention_maps(
    model: nn.Module, *inputs: Tensor
) -> list[Float[Tensor, "batch heads tokens tokens"]]:
    """Return what every block attends to when a model runs.

    Args:
        model: A vision transformer, see :func:`encoder_blocks`.
        *inputs: What it is called with.

    Returns:
        One tensor a block, in the order of the model.

    Raises:
        InputError: If some block does not see one tensor of tokens once.
        UnsupportedModuleError: If the model holds no block.

    Example:
        >>> layer = nn.TransformerEncoderLayer(16, 4, batch_first=True).eval()
        >>> (maps,) = attention_maps(layer, torch.rand(1, 9, 16))
        >>> maps.shape, bool((maps.sum(-1) - 1).abs().max() < 1e-5)
        (torch.Size([1, 4, 9, 9]), True)
    """
    blocks = encoder_blocks(model)
    seen: list[list[Tensor]] = [[] for _ in blocks]
    with ExitStack() as hooks, torch.no_grad():
        for block, tokens in zip(blocks, seen, strict=True):

            def keep(
                module: nn.Module,
                args: tuple[Tensor, ...],
                kwargs: dict[str, Tensor],
                tokens: list[Tensor] = tokens,
            ) -> None:
                tokens.append(args[0] if args else next(iter(kwargs.values())))

            handle = block.module.register_forward_pre_hook(keep, with_kwargs=True)
            hooks.callback(handle.remove)
        model(*inputs)
        if any(len(tokens) != 1 for tokens in seen):
            raise InputError(
                "every block needs to run once on an input, got "
                f"{[len(tokens) for tokens in seen]} runs"
            )
        return [
            block.probabilities(_batch_first(block, tokens))
            for block, (tokens,) in zip(blocks, seen, strict=True)
        ]


def feeding_norms(model: nn.Module, blocks: Sequence[EncoderBlock]) -> set[int]:
    """Return the ids of the LayerNorms whose results blocks attend to."""
    found = set()
    for block in blocks:
        parent = model.get_submodule(block.name.rpartition(".")[0])
        for name in _BEFORE:
            norm = getattr(parent, name, None)
            if isinstance(norm, nn.LayerNorm) and not is_post_norm(parent):
                found.add(id(norm))
    return found


def is_post_norm(parent: nn.Module) -> bool:
    """Return whether a block attends to its input and normalises afterwards."""
    return isinstance(parent, nn.TransformerEncoderLayer) and not parent.norm_first


def _batch_first(block: EncoderBlock, tokens: Tensor) -> Tensor:
    module = block.module
    if isinstance(module, nn.MultiheadAttention) and not module.batch_first:
        return tokens.transpose(0, 1)
    return tokens


def _block(name: str, module: nn.Module) -> EncoderBlock | None:
    """Return the block that a module is the attention of, if it is one."""
    if isinstance(module, nn.MultiheadAttention):
        return _of_torch(name, module)
    children = dict(module.named_children())
    if {"qkv", "proj"} <= children.keys() and hasattr(module, "num_heads"):
        return _of_timm(name, module, children)
    return _of_transformers(name, module)


def _of_torch(name: str, module: nn.MultiheadAttention) -> EncoderBlock | None:
    if not module._qkv_same_embed_dim or module.bias_k is not None:
        return None
    shape = (3, module.num_heads, module.head_dim)
    weights = module.in_proj_weight.detach().unflatten(0, shape)
    biases: Iterator[Tensor | None] = iter((None, None, None))
    if module.in_proj_bias is not None:
        biases = iter(module.in_proj_bias.detach().unflatten(0, shape))
    return _assembled(name, module, weights, biases, module.out_proj, ())


def _of_timm(
    name: str, module: nn.Module, children: dict[str, nn.Module]
) -> EncoderBlock | None:
    qkv, output = children["qkv"], children["proj"]
    if not isinstance(qkv, nn.Linear) or not isinstance(output, nn.Linear):
        return None
    for norm in ("q_norm", "k_norm"):
        if not isinstance(children.get(norm, nn.Identity()), nn.Identity):
            raise ArgumentError(
                f"{name} normalises its queries and keys, which no weight undoes: "
                "build the model with qk_norm=False"
            )
    heads = int(module.num_heads)  # type: ignore[arg-type]
    shape = (3, heads, qkv.out_features // (3 * heads))
    weights = qkv.weight.detach().unflatten(0, shape)
    biases: Iterator[Tensor | None] = iter((None, None, None))
    if qkv.bias is not None:
        biases = iter(qkv.bias.detach().unflatten(0, shape))
    return _assembled(name, module, weights, biases, output, (qkv,))


def _of_transformers(name: str, module: nn.Module) -> EncoderBlock | None:
    found = dict(module.named_modules())
    for names in VIT_MAPS:
        maps = [m for n in names if isinstance(m := found.get(n), nn.Linear)]
        if len(maps) < len(names):
            continue
        heads = next(
            int(number)
            for part in module.modules()
            for option in ("num_attention_heads", "num_heads")
            if isinstance(number := getattr(part, option, None), int)
        )
        parts = [m.weight.detach().unflatten(0, (heads, -1)) for m in maps[:3]]
        biases = (
            None if m.bias is None else m.bias.detach().unflatten(0, (heads, -1))
            for m in maps[:3]
        )
        return _assembled(name, module, parts, biases, maps[3], tuple(maps[:3]))
    return None


def _assembled(
    name: str,
    module: nn.Module,
    weights: Tensor | Sequence[Tensor],
    biases: Iterator[Tensor | None],
    output: nn.Linear,
    inputs: tuple[nn.Module, ...],
) -> EncoderBlock:
    query, key, value = weights
    query_bias, key_bias, value_bias = biases
    return EncoderBlock(
        name,
        module,
        (*inputs, output),
        query,
        query_bias,
        key,
        key_bias,
        value,
        value_bias,
        output.weight.detach().unflatten(1, query.shape[:2]),
        None if output.bias is None else output.bias.detach(),
    )
