"""A converted digits network with gates is trained on."""

import copy

import pytest
import torch
from torch import nn

import expressivity as ex
from expressivity.digits import (
    DigitImages,
    DigitsCNN,
    accuracy,
    load_digit_images,
    train,
)
from expressivity.training import clamp_alpha


@pytest.fixture(scope="module")
def images() -> DigitImages:
    return load_digit_images()


@pytest.fixture(scope="module")
def trained(images: DigitImages) -> nn.Module:
    torch.manual_seed(0)
    model = DigitsCNN()
    train(model, images, epochs=5)
    return model.eval()


def fine_tuned(model: nn.Module, images: DigitImages) -> nn.Module:
    model = copy.deepcopy(model).train()
    groups = ex.parameter_groups(model, lr=1e-3, positions_lr=1e-2, weight_decay=0.01)
    optimizer, generator = torch.optim.AdamW(groups), torch.Generator().manual_seed(0)
    order = torch.randperm(len(images.train_images), generator=generator)
    for batch in order.split(48):
        logits = model(images.train_images[batch])
        loss = nn.functional.cross_entropy(logits, images.train_labels[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        clamp_alpha(model)
    return model.eval()


def accuracy_of(model: nn.Module, images: DigitImages) -> float:
    return accuracy(model, images.test_images, images.test_labels)


def test_keeps_its_accuracy_while_gates_move(
    trained: nn.Module, images: DigitImages
) -> None:
    torch.manual_seed(1)
    soft = ex.convert(trained, alpha=4.0, content=8).model.eval()
    before = ex.head_report(soft)
    # A hundredth is four or five of the 449 images.
    assert accuracy_of(soft, images) > accuracy_of(trained, images) - 0.03
    tuned = fine_tuned(soft, images)
    assert accuracy_of(tuned, images) > accuracy_of(trained, images) - 0.02
    after = ex.head_report(tuned)
    moved = [
        abs(one.content_share - other.content_share)
        for old, new in zip(before.layers, after.layers, strict=True)
        for one, other in zip(old.heads, new.heads, strict=True)
    ]
    assert min(moved) > 1e-6
    assert max(moved) > 1e-3
    shares = [head.content_share for layer in before.layers for head in layer.heads]
    assert shares == pytest.approx([0.018] * len(shares), rel=0.01)
    centers = [head.pixel_distance for layer in after.layers for head in layer.heads]
    assert max(centers) > 0.01
    assert all(layer.relative_error < 0.3 for layer in after.layers)
    assert "0.01" in str(after)


def test_at_the_default_alpha_positions_stay_and_gates_move(
    trained: nn.Module, images: DigitImages
) -> None:
    with pytest.warns(
        UserWarning, match=r"alpha, centers vanish there; content learns"
    ):
        sharp = ex.convert(trained, content=8).model.eval()
    with pytest.warns(UserWarning, match="are saturated"):
        tuned = fine_tuned(sharp, images)
    state = sharp.state_dict()
    for name, parameter in tuned.named_parameters():
        unmoved = torch.equal(parameter, state[name])
        assert unmoved == name.endswith(("alpha", "centers")), name
    assert accuracy_of(tuned, images) > accuracy_of(trained, images) - 0.03
