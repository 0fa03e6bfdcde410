# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # What does it cost?
#
# Dense attention compares every query with every key, for every head: for an image it
# is hopeless beside a convolution. The same layer can be evaluated in other ways, which
# compute the same numbers. The time of one of them grows with the image as that of the
# convolution does. It rests on an identity that you build here.
#
# You need notebooks 1 and 2. Reading takes half an hour, the exercises three quarters
# of an hour.

# %% tags=["setup"]
# %matplotlib inline
import math
import time

import matplotlib.pyplot as plt
import torch
from sklearn.datasets import load_sample_image
from torch import nn

import expressivity as ex
from expressivity.coursework import Course

torch.set_num_threads(1)
course = Course()

# %% [markdown]
# ## Four ways to evaluate one layer
#
# `dense` is the definition. `fused` hands positions to torch's fused kernel.
# `separable` uses that a quadratic score splits into one term an axis. All of them
# return the same output. Times are of this machine and mean little; their ratios say
# more.

# %%
conv = nn.Conv2d(4, 4, 3, padding=1)
layer = ex.attention_from_conv(conv, alpha=1.0)


def seconds(module, x):
    with torch.no_grad():
        least = math.inf
        for _ in range(4):  # the first call also plans
            start = time.perf_counter()
            module(x)
            least = min(least, time.perf_counter() - start)
    return least


sizes = (8, 16, 32)
times = {name: [] for name in ("dense", "fused", "separable", "convolution")}
for pixels in sizes:
    x = torch.randn(1, 4, pixels, pixels)
    outputs = []
    for name in ("dense", "fused", "separable"):
        layer.strategy = name
        times[name].append(seconds(layer, x))
        with torch.no_grad():
            outputs.append(layer(x))
    times["convolution"].append(seconds(conv, x))
    for output in outputs[1:]:
        assert torch.allclose(output, outputs[0], atol=1e-4)

figure, axes = plt.subplots(figsize=(5.5, 3.4), layout="constrained")
for (name, values), marker in zip(times.items(), "osd^", strict=True):
    axes.loglog([p * p for p in sizes], values, marker=marker, label=name)
axes.set_xlabel("pixels of the image")
axes.set_ylabel("seconds")
axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
plt.show()
assert times["dense"][-1] > 5 * times["separable"][-1]

# %% [markdown]
# ## How much is looked at
#
# The count of scores does not depend on the machine. Dense attention forms one for
# every head, query and key.

# %%
counts = [9 * p**2 * (p + 2) ** 2 for p in sizes]
for pixels, count in zip(sizes, counts, strict=True):
    layer.strategy = "dense"
    assert layer.scores(size=(pixels, pixels)).numel() == count
    print(f"{pixels}×{pixels}: {count:>10,} scores, {9 * pixels**2:>6,} taps")

# %% [markdown]
# ## The smoothing identity
#
# A head attends around its target *t = q + Δ*, and depends on query and head in no
# other way. So if all heads share α, the mean that a head takes at *t* is the same
# whichever head takes it: it is the image, smoothed by one Gaussian that is normalised
# at every pixel. Hence
#
# $$\text{Attention}_\alpha(x) = \text{Conv}_W(G_\alpha x)$$
#
# exactly, at every α and at every border. Two paths lead from the image to the output.

# %%
photograph = torch.tensor(load_sample_image("china.jpg")).double().mean(-1) / 255
photograph = photograph[:384, 128:512].unflatten(0, (48, 8)).unflatten(2, (48, 8))
photograph = photograph.mean((1, 3))[None, None]
laplacian = nn.Conv2d(
    1, 1, 3, bias=False
).double()  # no padding: the canvas is the image
with torch.no_grad():
    laplacian.weight.copy_(torch.tensor([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]]))
alpha = 0.3
steps = torch.arange(48, dtype=torch.float64)
R = (-alpha * (steps - steps[:, None]).square()).softmax(1)
smoothed = R @ photograph @ R.T
with torch.no_grad():
    by_attention = ex.attention_from_conv(laplacian, alpha=alpha, strategy="dense")(
        photograph
    )
    by_smoothing = laplacian(smoothed)
print(f"largest difference {(by_attention - by_smoothing).abs().max().item():.1e}")
assert torch.allclose(by_attention, by_smoothing, atol=1e-7)

figure, places = plt.subplots(1, 4, figsize=(10, 2.8), layout="constrained")
pictures = {
    "the image x": photograph,
    "smoothed once, Gx": smoothed,
    "then convolved": by_smoothing,
    "nine soft heads on x": by_attention,
}
for axes, (name, image) in zip(places, pictures.items(), strict=True):
    axes.imshow(image[0, 0].detach(), cmap="gray")
    axes.set_title(name, fontsize=9)
    axes.axis("off")
plt.show()

# %% [markdown]
# The smoothing takes N (H + W) multiplications, for N pixels and whatever the number of
# heads, and fewer where rows are narrow.

# %% [markdown] tags=["exercise", "predict"]
# ### Exercise 5.1: How many scores?
#
# How many scores does dense attention form for a 3×3 kernel with one pixel of zero
# padding on an image of `task.given["height"]` × `task.given["width"]` pixels? Answer
# with `(number, number)`.

# %% tags=["exercise"]
task = course["5.1"]
task.given

# %% tags=["solution"]
height, width = task.given["height"], task.given["width"]
heads, queries, keys = 9, height * width, (height + 2) * (width + 2)
interval = (heads * queries * keys, heads * queries * keys)

# %% tags=["check"]
course.check("5.1", interval)

# %% [markdown] tags=["exercise"]
# ### Exercise 5.2: The smoothing of one axis
#
# Build the matrix R of the smoothing over one axis of `task.tokens` tokens, at
# `task.alpha`: R[t, k] is the weight of token k for the target t. It has to be right to
# `task.tolerance` for every signal within ±1, at the ends as well.

# %% tags=["exercise"]
task = course["5.2"]
print(task.alpha, task.tokens, task.tolerance)

# %% tags=["solution"]
tokens = torch.arange(task.tokens, dtype=torch.float64)
smoothing = (-task.alpha * (tokens - tokens[:, None]).square()).softmax(1)

# %% tags=["check"]
course.check("5.2", smoothing)

# %% [markdown]
# ## More heads instead of a larger α
#
# Soft heads smooth. More heads around the taps can undo the smoothing: with *m* rings
# of them the error is of order $e^{-\alpha(m+1)}$, far from the borders.

# %%
conv = nn.Conv2d(1, 1, 3, padding=1)
errors = []
for rings in range(3):
    ringed = ex.attention_from_conv(conv, alpha=4.0, rings=rings)
    errors.append(ex.worst_case_error(ringed, conv, size=(9, 9)).item())
    print(f"{ringed.num_heads:>3} heads: worst case {errors[-1]:.2e}")
assert errors[0] > 2 * errors[1] > 2 * errors[2]

# %% [markdown] tags=["exercise"]
# ### Exercise 5.3: Where rings do not help
#
# `task.layer` has two rings at α = 2. Find an input within ±1 of `task.size` pixels
# with 90 % of the largest error. The theory speaks of the interior. At which output is
# the error largest?

# %% tags=["exercise"]
task = course["5.3"]
print(task.layer)

# %% tags=["solution"]
x = torch.zeros(1, 1, *task.size, requires_grad=True)
difference = (task.layer(x) - task.conv(x))[0, 0]
rows = [torch.autograd.grad(d, x, retain_graph=True)[0] for d in difference.flatten()]
worst = max(rows, key=lambda row: row.abs().sum()).sign()

# %% tags=["check"]
course.check("5.3", worst)

# %% [markdown] tags=["written"]
# ### Exercise 5.4 (written): When the identity breaks
#
# After training, every head has an α of its own and a center off the grid. What is left
# of the smoothing identity, and what does that cost?

# %% [markdown] tags=["written", "solution"]
# Heads that share α and the fractional part of Δ still share one smoothing: their
# targets lie on the same shifted grid. So heads fall into groups, and the layer is a
# sum over the groups of a convolution of a smoothed image. If no two heads share both,
# there is one smoothing a head, and the cost is that of as many smoothings as heads:
# still far below dense attention, as each is separable.
