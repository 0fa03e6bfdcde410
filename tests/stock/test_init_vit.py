"""Heads of stock vision transformers attend to shifts, up to the stated bound."""

import json
import math
from collections.abc import Callable
from importlib.util import find_spec

import pytest
import torch
from torch import Tensor, nn

import expressivity as ex
from expressivity.errors import ArgumentError, InputError, UnsupportedModuleError
from expressivity.stock import attention_maps, encoder_blocks

SIDE, WIDTH, HEADS = 4, 48, 4
needs_timm = pytest.mark.skipif(find_spec("timm") is None, reason="needs timm")
needs_transformers = pytest.mark.skipif(
    find_spec("transformers") is None, reason="needs transformers"
)


class TorchVit(nn.Module):
    """Torch's own encoder between an embedding of patches and a head."""

    def __init__(
        self,
        *,
        norm_first: bool = True,
        class_token: bool = False,
        width: int = WIDTH,
        size: tuple[int, int] = (SIDE, SIDE),
    ) -> None:
        super().__init__()
        self.size = size
        self.patches = nn.Linear(4, width)
        tokens = math.prod(size) + class_token
        self.pos_embedding = nn.Parameter(0.02 * torch.randn(1, tokens, width))
        self.cls_token = nn.Parameter(torch.randn(1, 1, width)) if class_token else None
        layer = nn.TransformerEncoderLayer(
            width, HEADS, 64, batch_first=True, norm_first=norm_first, dropout=0.0
        )
        self.encoder = nn.TransformerEncoder(
            layer, 2, norm=nn.LayerNorm(width), enable_nested_tensor=False
        )
        self.head = nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.patches(nn.functional.unfold(x, 2, stride=2).mT)
        if self.cls_token is not None:
            tokens = torch.cat([self.cls_token.expand(len(x), -1, -1), tokens], 1)
        return self.head(self.encoder(tokens + self.pos_embedding).mean(1))


def timm_vit() -> nn.Module:
    from timm.models.vision_transformer import VisionTransformer

    return VisionTransformer(
        img_size=8, patch_size=2, in_chans=1, embed_dim=WIDTH, depth=2, num_heads=HEADS
    )


def timm_vit_without_class_token() -> nn.Module:
    from timm.models.vision_transformer import VisionTransformer

    return VisionTransformer(
        img_size=(8, 12),
        patch_size=2,
        in_chans=1,
        embed_dim=WIDTH,
        depth=3,
        num_heads=HEADS,
        class_token=False,
        global_pool="avg",
        init_values=1e-2,
    )


def hugging_face_vit() -> nn.Module:
    from transformers import ViTConfig, ViTForImageClassification

    config = ViTConfig(
        image_size=8,
        patch_size=2,
        num_channels=1,
        hidden_size=WIDTH,
        num_hidden_layers=2,
        num_attention_heads=HEADS,
        intermediate_size=64,
    )
    return ViTForImageClassification(config)


MODELS = [
    pytest.param(TorchVit, id="torch"),
    pytest.param(lambda: TorchVit(norm_first=False), id="torch, post-norm"),
    pytest.param(lambda: TorchVit(class_token=True), id="torch, class token"),
    pytest.param(lambda: TorchVit(size=(3, 5)), id="torch, no square"),
    pytest.param(timm_vit, id="timm", marks=needs_timm),
    pytest.param(timm_vit_without_class_token, id="timm, no square", marks=needs_timm),
    pytest.param(hugging_face_vit, id="transformers", marks=needs_transformers),
]
over_models = pytest.mark.parametrize("build", MODELS)
Build = Callable[[], nn.Module]


def made(build: Build, dtype: torch.dtype = torch.float64) -> tuple[nn.Module, Tensor]:
    torch.manual_seed(0)
    model = build().to(dtype).eval()
    size = (8, 12) if build is timm_vit_without_class_token else (8, 8)
    if isinstance(model, TorchVit):
        size = tuple(2 * n for n in model.size)
    return model, torch.rand(2, 1, *size, dtype=dtype)


def options(model: nn.Module) -> dict[str, object]:
    return {"size": model.size} if isinstance(model, TorchVit) else {}


def content_norms(model: nn.Module, x: Tensor, channels: int) -> list[float]:
    """Return the largest ‖x‖₂ of the content that each LayerNorm is given."""
    norms: list[float] = []
    handles = [
        module.register_forward_pre_hook(
            lambda _, args: norms.append(
                float(args[0][..., :-channels].norm(dim=-1).max())
            )
        )
        for module in model.modules()
        if isinstance(module, nn.LayerNorm)
    ]
    with torch.no_grad():
        model(x)
    for handle in handles:
        handle.remove()
    return norms


def literal_maps(
    shifts: tuple[tuple[int, int], ...], size: tuple[int, int], prefix: bool
) -> Tensor:
    """Return one-hot rows at the shift, clamped to the image, and the class token's."""
    rows, columns = size
    count = rows * columns + prefix
    maps = torch.zeros(len(shifts), count, count, dtype=torch.float64)
    for head, (down, right) in enumerate(shifts):
        for row in range(rows):
            for column in range(columns):
                at_row = min(max(row + down, 0), rows - 1)
                at_column = min(max(column + right, 0), columns - 1)
                query = row * columns + column + prefix
                maps[head, query, at_row * columns + at_column + prefix] = 1
        if prefix:
            maps[head, 0] = 1 / count
    return maps


@pytest.mark.parametrize("alpha", [2.0, 8.0])
@over_models
def test_attention_maps_are_shifts_up_to_the_bound(build: Build, alpha: float) -> None:
    model, x = made(build)
    bound = 1.5 * max(content_norms(model, x, 1))
    result = ex.init_vit(model, alpha=alpha, content_bound=bound, **options(model))
    assert max(content_norms(model, x, result.channels)) <= bound
    maps = attention_maps(model, x)
    assert len(maps) == len(result.shifts) == len(encoder_blocks(model))
    for block, found in enumerate(maps):
        wanted = literal_maps(result.shifts[block], result.size, result.class_token)
        torch.testing.assert_close(result.maps(block), wanted)
        patches = slice(int(result.class_token), None)
        on_shift = (found * wanted).sum(-1)[..., patches]
        # Far from borders a soft head loses the bound without the LayerNorm.
        assert on_shift.min() >= 1 - result.bound
        assert 1 - on_shift.min() > 0.1 * result.bound
        if result.class_token:
            rows = found[:, :, 0] * found.shape[-1]
            assert 0.5 < rows.min() <= 1 <= rows.max() < 2


@over_models
def test_a_larger_anchor_is_more_exact(build: Build) -> None:
    bounds, found = [], []
    for anchor in (100.0, 10_000.0):
        model, x = made(build)
        result = ex.init_vit(model, anchor=anchor, **options(model))
        start = int(result.class_token)
        on_shift = (attention_maps(model, x)[-1] * result.maps(-1)).sum(-1)
        bounds.append(result.bound)
        found.append(float(1 - on_shift[..., start:].min()))
    assert all(a <= b for a, b in zip(found, bounds, strict=True))
    leak = ex.accuracy.leak(4.0, 2)
    assert bounds[1] < 1.01 * leak / (1 - leak)
    assert bounds[0] > 1.05 * bounds[1]
    assert found[0] != pytest.approx(found[1], rel=1e-6)


@over_models
def test_the_model_stays_what_it_was_and_learns(build: Build) -> None:
    model, x = made(build, torch.float32)
    names = {name: p.shape for name, p in model.named_parameters()}
    result = ex.init_vit(model, **options(model))
    assert {name: p.shape for name, p in model.named_parameters()} == names
    maps = attention_maps(model, x)
    for block, found in enumerate(maps):
        on_shift = (found * result.maps(block).float()).sum(-1)
        start = int(result.class_token)
        assert on_shift[..., start:].min() >= 1 - result.bound - 1e-3

    def logits() -> Tensor:
        output = model(x)
        return getattr(output, "logits", output)

    model.train()
    logits().square().sum().backward()
    for block in encoder_blocks(model):
        weight = next(block.module.parameters())
        assert weight.grad.isfinite().all()
        assert weight.grad.abs().max() > 0


def test_content_keeps_its_size_through_layer_norms() -> None:
    """A block without attention and MLP hands its content on."""
    model, x = made(TorchVit)
    result = ex.init_vit(model, content_bound=10.0, anchor=1e4)
    norm = model.encoder.layers[0].norm1
    tokens = (
        model.patches(nn.functional.unfold(x, 2, stride=2).mT) + model.pos_embedding
    )
    content = tokens[..., : -result.channels]
    passed = norm(tokens)[..., : -result.channels]
    mean = content.mean(-1, keepdim=True) * content.shape[-1] / tokens.shape[-1]
    torch.testing.assert_close(passed, content - mean, rtol=1e-6, atol=1e-6)


class TestShifts:
    def test_are_drawn_from_the_kernel_without_repetition(self) -> None:
        model, _ = made(TorchVit)
        generator = torch.Generator().manual_seed(1)
        first = ex.init_vit(model, generator=generator).shifts
        again = ex.init_vit(model, generator=generator.manual_seed(1)).shifts
        assert first == again
        for block in first:
            assert len(set(block)) == HEADS
            assert all(abs(n) <= 1 for shift in block for n in shift)
        (single,) = {s for block in ex.init_vit(model, kernels=1).shifts for s in block}
        assert single == (0, 0)
        even = ex.init_vit(model, kernels=2).shifts
        assert set(even[0]) == {(0, 0), (0, 1), (1, 0), (1, 1)}

    def test_may_be_given(self) -> None:
        model, x = made(TorchVit)
        given = [[(0, 0), (0, 2), (-3, 1), (1, 1)], [(0, 0)] * 4]
        result = ex.init_vit(model, kernels=given, alpha=20.0)
        assert result.shifts == tuple(map(tuple, given))
        found = attention_maps(model, x)[0]
        gap = (found - literal_maps(result.shifts[0], (SIDE, SIDE), False)).abs()
        assert gap.max() <= result.bound < 1e-6

    @pytest.mark.parametrize(
        "kernels",
        [0, 2.5, "3", [[(0, 0)] * 4], [[(0, 0)] * 3] * 2, [[(0,)] * 4] * 2, [1, 2]],
    )
    def test_have_to_fit(self, kernels: object) -> None:
        model, _ = made(TorchVit)
        with pytest.raises(ArgumentError, match="kernels needs"):
            ex.init_vit(model, kernels=kernels)


class TestRefusals:
    def test_models_without_blocks(self) -> None:
        with pytest.raises(UnsupportedModuleError, match="TransformerEncoderLayer"):
            ex.init_vit(nn.Sequential(nn.Linear(2, 2)))

    def test_models_without_positions(self) -> None:
        layer = nn.TransformerEncoderLayer(WIDTH, HEADS, batch_first=True)
        with pytest.raises(UnsupportedModuleError, match=r"holds positions.*got none"):
            ex.init_vit(layer)

    def test_models_that_are_too_narrow(self) -> None:
        model, _ = made(lambda: TorchVit(width=8))
        with pytest.raises(ArgumentError, match="width of at least 3, got 2"):
            ex.init_vit(model)

    def test_sizes_that_do_not_fit(self) -> None:
        model, _ = made(lambda: TorchVit(size=(3, 5)))
        with pytest.raises(ArgumentError, match=r"15 for \(4, 4\) patches"):
            ex.init_vit(model, size=(4, 4))

    @pytest.mark.parametrize("name", ["alpha", "anchor", "content_bound"])
    def test_numbers_out_of_range(self, name: str) -> None:
        model, _ = made(TorchVit)
        before = {n: p.clone() for n, p in model.named_parameters()}
        with pytest.raises(ArgumentError, match=f"{name} needs a positive finite"):
            ex.init_vit(model, **{name: -1.0})
        assert all(torch.equal(p, before[n]) for n, p in model.named_parameters())

    def test_half_precision(self) -> None:
        model, _ = made(TorchVit, torch.bfloat16)
        with pytest.raises(ArgumentError, match="need float32 or float64"):
            ex.init_vit(model)

    def test_queries_without_bias(self) -> None:
        model, _ = made(TorchVit)
        model.encoder.layers[1].self_attn.in_proj_bias = None
        with pytest.raises(ArgumentError, match="needs a bias of queries"):
            ex.init_vit(model)

    def test_maps_of_a_model_whose_blocks_do_not_run(self) -> None:
        model, x = made(TorchVit)
        model.encoder.layers[1].forward = lambda x, **_: x
        with pytest.raises(InputError, match=r"got \[1, 0\] runs"):
            attention_maps(model, x)


def test_the_result_shows_itself() -> None:
    model, _ = made(TorchVit)
    result = ex.init_vit(model)
    assert repr(result).startswith("VitInitialisation(2 blocks, alpha=4, bound=0.1")
    assert "8 heads in 2 blocks attend to shifts on 4×4 patches" in str(result)
    assert json.loads(json.dumps(result.to_dict()))["channels"] == 8
    assert "<pre>" in result._repr_html_()


def test_maps_are_those_of_the_module() -> None:
    model, x = made(TorchVit)
    layer = model.encoder.layers[0]
    tokens = (
        model.patches(nn.functional.unfold(x, 2, stride=2).mT) + model.pos_embedding
    )
    normed = layer.norm1(tokens)
    _, wanted = layer.self_attn(normed, normed, normed, average_attn_weights=False)
    torch.testing.assert_close(attention_maps(model, x)[0], wanted.detach())
