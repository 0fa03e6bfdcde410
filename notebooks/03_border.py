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
# # What happens at the border?
#
# A convolution reads beyond the image, and its padding decides what it finds there.
# Attention reads nothing but tokens. So what does a head find whose target lies off the
# image? The answer makes one kind of padding free, and the usual kind impossible
# without more tokens.
#
# You need notebooks 1 and 2. Reading takes twenty minutes, the exercises an hour.

# %% tags=["setup"]
# %matplotlib inline
import matplotlib.pyplot as plt
import torch
from torch import nn

import expressivity as ex
from expressivity.coursework import Course

torch.set_num_threads(1)
course = Course()

# %% [markdown]
# ## A target off the image
#
# The head below looks two pixels to the right, on a row of six pixels without padding.
# Each row of the picture is one query. The last two queries have no target: they look
# at the nearest pixel.

# %%
head = ex.RelativeSelfAttention(1, 1, ex.ConvGeometry.create((1,)), num_heads=1)
with torch.no_grad():
    head.centers.fill_(2.0)
    head.alpha.fill_(6.0)
weights = head.attention_probabilities(size=(6,))[0].detach()
assert weights.argmax(1).tolist() == [2, 3, 4, 5, 5, 5]
assert torch.allclose(weights.sum(1), torch.ones(6))

figure, axes = plt.subplots(figsize=(3.4, 3), layout="constrained")
axes.imshow(weights, cmap="Purples", vmin=0, vmax=1)
axes.set_xlabel("key")
axes.set_ylabel("query")
axes.set_title("attention of a head with Δ = 2", fontsize=9)
plt.show()

# %% [markdown]
# The score $-\alpha\|k - t\|^2$ is largest at the pixel nearest to the target *t*,
# which is *t* clamped to the image, axis by axis. Clamping is what replicate padding
# does. So a layer that puts no token on its canvas computes replicate padding in the
# limit.

# %%
conv = nn.Conv2d(1, 1, 3, padding=1, padding_mode="replicate", bias=False)
with torch.no_grad():
    conv.weight.copy_(torch.tensor([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]]))
layer = ex.attention_from_conv(conv)
image = torch.rand(1, 1, 8, 8)
print("tokens of an 8×8 image:", layer.attention_probabilities(size=(8, 8)).shape[-1])
assert layer.attention_probabilities(size=(8, 8)).shape[-1] == 64
assert torch.allclose(layer(image), conv(image), atol=1e-5)

# %% [markdown]
# ## Why zeros need tokens
#
# Rows of attention sum to one. On an image that is constant, every head returns that
# constant, whatever its scores are: the output is the same everywhere. A convolution
# with zero padding sees less of the image at a corner. With zero-valued tokens around
# the image a head has something to look at, and the two agree.

# %%
blur = nn.Conv2d(1, 1, 3, padding=1, bias=False)
nn.init.constant_(blur.weight, 1 / 9)
bare = nn.Conv2d(1, 1, 3, padding=1, padding_mode="replicate", bias=False)
bare.load_state_dict(blur.state_dict())
ones = torch.ones(1, 1, 6, 6)
with torch.no_grad():
    images = {
        "convolution, zero padding": blur(ones),
        "attention, no tokens added": ex.attention_from_conv(bare)(ones),
        "attention, zeros added": ex.attention_from_conv(blur)(ones),
    }
figure, places = plt.subplots(1, 3, figsize=(8.4, 2.9), layout="constrained")
for axes, (name, output) in zip(places, images.items(), strict=True):
    picture = axes.imshow(output[0, 0], cmap="viridis", vmin=0.4, vmax=1)
    axes.set_title(name, fontsize=9)
    axes.axis("off")
figure.colorbar(picture, ax=places, label="output on an image of ones", shrink=0.8)
plt.show()
first, second, third = images.values()
assert torch.allclose(second, torch.ones(1, 1, 6, 6))
assert torch.allclose(first, third, atol=1e-5)
assert torch.isclose(first[0, 0, 0, 0], torch.tensor(4 / 9))

# %% [markdown] tags=["exercise", "predict"]
# ### Exercise 3.1: What do missing tokens cost?
#
# `task.given` has one kernel with zero padding and with replicate padding. By how much
# can their outputs differ, on 6×6 images within ±1? Answer with an interval, the ends
# within a factor of 1.05. Look at a corner and at an edge: to which pixels do the taps
# go that leave the image?

# %% tags=["exercise"]
task = course["3.1"]
print(task.given["zeros"].weight[0, 0])

# %% tags=["solution"]
# Replicate reads clamped pixels where zero padding reads zeros. At a corner three taps
# meet in the corner pixel; at an edge each of three taps has a pixel of its own.
w = task.given["zeros"].weight[0, 0]
turned = [w, w.flip(0), w.flip(1), w.flip(0, 1)]
corners = [
    float((v[0, 0] + v[0, 1] + v[1, 0]).abs() + v[0, 2].abs() + v[2, 0].abs())
    for v in turned
]
edges = [float(e.abs().sum()) for e in (w[0], w[2], w[:, 0], w[:, 2])]
largest = max(corners + edges)
interval = (0.99 * largest, 1.01 * largest)

# %% tags=["check"]
course.check("3.1", interval)

# %% [markdown] tags=["exercise"]
# ### Exercise 3.2: Zero padding
#
# Build the attention layer of `task.conv`, which has zero padding, from a geometry, as
# in exercise 2.2. Decide what has to be on the canvas.

# %% tags=["exercise"]
task = course["3.2"]
print(task.conv, task.conv.weight[0, 0], sep="\n")

# %% tags=["solution"]
geometry = ex.ConvGeometry.create((3, 3), padding=1)
layer = ex.RelativeSelfAttention(1, 1, geometry, bias=False)
with torch.no_grad():
    layer.alpha.fill_(18.0)
    layer.output_weight.copy_(task.conv.weight.reshape(1, 1, 1, 9))

# %% tags=["check"]
course.check("3.2", layer)

# %% [markdown] tags=["exercise"]
# ### Exercise 3.3: Replicate padding without a token more
#
# The same kernel, now with replicate padding.

# %% tags=["exercise"]
task = course["3.3"]
print(task.conv)

# %% tags=["solution"]
geometry = ex.ConvGeometry.create((3, 3), padding=1, padding_mode="replicate")
replicating = ex.RelativeSelfAttention(1, 1, geometry, bias=False)
with torch.no_grad():
    replicating.alpha.fill_(18.0)
    replicating.output_weight.copy_(task.conv.weight.reshape(1, 1, 1, 9))

# %% tags=["check"]
course.check("3.3", replicating)

# %% [markdown] tags=["exercise"]
# ### Exercise 3.4: The image that shows the border
#
# `task.layer` adds no tokens, `task.conv` pads with zeros. Find an image within ±1 on
# which they differ by 99 % of the most that is possible.

# %% tags=["exercise"]
task = course["3.4"]
print(task.conv.weight[0, 0])

# %% tags=["solution"]
x = torch.zeros(1, 1, *task.size, requires_grad=True)
difference = (task.layer(x) - task.conv(x))[0, 0]
rows = [torch.autograd.grad(d, x, retain_graph=True)[0] for d in difference.flatten()]
# Entries that are rounding do not count, their signs would not either.
worst = max(rows, key=lambda row: row.abs().sum()).sign()

# %% tags=["check"]
course.check("3.4", worst)

# %% [markdown] tags=["written"]
# ### Exercise 3.5 (written): Circular padding
#
# Could a head do circular padding without a token more, if it may have another score
# than the quadratic one? Say what the score has to depend on.

# %% [markdown] tags=["written", "solution"]
# Yes, on a fixed size. The score has to be largest at the pixel that the target wraps
# around to, so it has to depend on δ modulo the size of the image: a table over
# displacements does, with one entry a residue. The quadratic score cannot, as it falls
# with the distance, and the pixel on the other side is the farthest. For images of
# every size no single table does.
