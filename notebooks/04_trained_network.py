# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#       jupytext_version: 1.19.6
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Does a trained CNN survive when its convolutions become self-attention?
#
# A multi-head self-attention layer with relative positional encodings can compute any
# convolution: one head per kernel tap, each attending to one pixel. Here a small CNN
# learns to read digits, every one of its convolutions is replaced by the attention
# layer built from its weights, and the two networks are compared. Every claim below
# is checked by an `assert`.

# %%
# %matplotlib inline
import torch
from torch import nn

import expressivity as ex
from expressivity.digits import DigitsCNN, accuracy, load_digit_images, train

# On images this small a second thread costs more time than it saves.
torch.set_num_threads(1)

# %% [markdown]
# ## A CNN that reads digits
#
# 1,797 handwritten digits of 8×8 pixels come with scikit-learn; a quarter of them is
# kept for testing. The network has padded, strided, depthwise and 1×1 convolutions.

# %%
digits = load_digit_images(seed=0)
cnn = DigitsCNN(seed=0)
train(cnn, digits, seed=0)

before = accuracy(cnn, digits.test_images, digits.test_labels)
print(f"accuracy on {len(digits.test_labels)} test images: {before:.2%}")
assert before >= 0.97

# %% [markdown]
# ## Every convolution becomes attention
#
# Nothing is trained or fitted: the value and output projections of a head are its
# tap's matrix, its attention center $\Delta$ is the tap's offset in pixels, and the
# locality strength $\alpha$ makes the softmax one-hot up to float32 rounding.

# %%
conversion = ex.convert(cnn)
print(conversion.table())

assert len(conversion.converted) == 4
assert not any(isinstance(module, nn.Conv2d) for module in conversion.model.modules())

# %% [markdown]
# ## The answers stay the same

# %%
with torch.no_grad():
    wanted = cnn(digits.test_images)
    found = conversion.model(digits.test_images)
after = accuracy(conversion.model, digits.test_images, digits.test_labels)
difference = (found - wanted).abs().max().item()

print(f"accuracy: {before:.2%} with convolutions, {after:.2%} with attention")
print(f"largest difference between two logits: {difference:.1e}")
print(f"largest logit: {wanted.abs().max().item():.1f}")
assert after == before
assert torch.equal(found.argmax(1), wanted.argmax(1))
assert difference < 1e-4

# %% [markdown]
# ## What a head looks at
#
# The first layer has nine heads, one per tap of its 3×3 kernel. Each row of its
# attention is a softmax over all 100 tokens of the canvas (the 8×8 image and a border
# of zero-valued padding tokens), and puts all of its probability on one of them.

# %%
attention = conversion.model.features[0]
ex.plots.plot_attention_maps(
    attention, (8, 8), query=(3, 4), image=digits.test_images[0]
)

# %%
probabilities = attention.attention_probabilities(size=(8, 8))
print("heads, queries, keys:", tuple(probabilities.shape))
assert probabilities.shape == (9, 64, 100)
assert torch.allclose(probabilities.sum(-1), torch.ones(9, 64))
assert torch.allclose(probabilities.amax(-1), torch.ones(9, 64))

# %% [markdown]
# With $\alpha = 1$ per square pixel the same heads are soft: every one of them blurs
# the image around its target, and the layer is no longer the convolution.

# %%
convolution = cnn.features[0]
soft = ex.attention_from_conv(convolution, alpha=1.0)
ex.plots.plot_attention_maps(soft, (8, 8), query=(3, 4))

# %% [markdown]
# ## How the error depends on $\alpha$
#
# A head gives about $2d\,e^{-\alpha}$ of its attention to the $2d$ neighbours of its
# target ($d = 2$ axes), so the error falls like $e^{-\alpha}$ until it reaches the
# rounding of float32. To first order it is $e^{-\alpha}\,W * \nabla^2 x$: the
# convolution of the image's Laplacian. The black line is what no image with pixels in
# $[-1, 1]$ exceeds.

# %%
sweep = ex.error_sweep(convolution, digits.test_images)
ex.plots.plot_error_vs_alpha(sweep)

# %%
for measured, worst in zip(sweep.measured, sweep.worst_case, strict=True):
    assert measured <= worst + 10 * sweep.rounding_floor

first_order = [
    measured / predicted
    for alpha, measured, predicted in zip(
        sweep.alphas, sweep.measured, sweep.predicted, strict=True
    )
    if 6 < alpha < 12
]
print("measured / predicted:", ", ".join(f"{ratio:.3f}" for ratio in first_order))
assert all(abs(ratio - 1) < 0.05 for ratio in first_order)
assert sweep.measured[-1] < 10 * sweep.rounding_floor

# %% [markdown]
# ## And back
#
# The kernel can be read off the attention layer again, bit by bit.

# %%
back = ex.conv_from_attention(attention)
assert torch.equal(back.weight, convolution.weight)
assert torch.equal(back.bias, convolution.bias)

# %% [markdown]
# So the network survives: it is now built of self-attention, and computes what it
# computed before, up to rounding.
