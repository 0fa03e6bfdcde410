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
# # What does one head look at?
#
# A head of self-attention gives every token a weight: a softmax of scores. Here a score
# depends on the *displacement* δ = key − query alone, and not on what the tokens hold.
# It is quadratic, $-\alpha\,\|\delta - \Delta\|^2$, so that the head looks at the pixel
# at $q + \Delta$: the sharper, the larger the *locality strength* α.
#
# You need: what a softmax is, and enough PyTorch to write into a parameter. Reading
# takes half an hour, the exercises three quarters of an hour.

# %% tags=["setup"]
# %matplotlib inline
import math
from itertools import pairwise

import matplotlib.pyplot as plt
import torch
from sklearn.datasets import load_sample_image

import expressivity as ex
from expressivity.coursework import Course

torch.set_num_threads(1)
course = Course()

# %% [markdown]
# ## One head, one center
#
# The layer below has a single head. Its attention center is one pixel up and two to the
# right of the query. No token needs to be known to see where it looks.

# %%
geometry = ex.ConvGeometry.create((1, 1))
head = ex.RelativeSelfAttention(1, 1, geometry, num_heads=1)
with torch.no_grad():
    head.centers.copy_(torch.tensor([[-1.0, 2.0]]))
    head.alpha.fill_(1.0)
size, query = (9, 9), (5, 3)
weights = head.attention_probabilities(size=size)[0].unflatten(0, size)[query]
weights = weights.unflatten(0, size).detach()
assert torch.isclose(weights.sum(), torch.tensor(1.0))
assert weights.argmax() == 4 * 9 + 5  # (5, 3) + (−1, 2)

# %% [markdown]
# ## The same head at four strengths
#
# At α = 0 the head looks everywhere alike. When α grows by one, the weight of a direct
# neighbour falls by a factor of e beside that of the center.

# %%
figure, places = plt.subplots(1, 4, figsize=(10, 2.7), layout="constrained")
for axes, alpha in zip(places, (0.0, 0.2, 1.0, 4.0), strict=True):
    with torch.no_grad():
        head.alpha.fill_(alpha)
        maps = head.attention_probabilities(size=size)[0].unflatten(0, size)[query]
    maps = maps.unflatten(0, size)
    picture = axes.imshow(maps, cmap="Purples", vmin=0)
    axes.plot(query[1], query[0], "s", ms=11, fillstyle="none", color="black")
    axes.set_title(f"α = {alpha:g}, largest weight {maps.max():.2f}", fontsize=9)
    axes.set_xticks([])
    axes.set_yticks([])
figure.suptitle("attention of the framed query, each map on its own scale", fontsize=10)
plt.show()

# %% [markdown]
# ## What a head does to a photograph
#
# With a value projection of one the head copies what it looks at. A soft head copies a
# blurred image, a sharp one a shifted image.

# %%
photograph = torch.tensor(load_sample_image("china.jpg")).float().mean(-1) / 255
photograph = photograph[:384, 128:512].unflatten(0, (64, 6)).unflatten(2, (64, 6))
photograph = photograph.mean((1, 3))[None, None]
with torch.no_grad():
    head.output_weight.fill_(1.0)
    head.bias.zero_()
    head.centers.copy_(torch.tensor([[0.0, 8.0]]))
    images = [photograph]
    for alpha in (0.02, 0.2, 20.0):
        head.alpha.fill_(alpha)
        images.append(head(photograph))
titles = ("the image", "α = 0.02", "α = 0.2", "α = 20: shifted by 8 pixels")
figure, places = plt.subplots(1, 4, figsize=(10, 2.8), layout="constrained")
for axes, image, title in zip(places, images, titles, strict=True):
    axes.imshow(image[0, 0], cmap="gray", vmin=0, vmax=1)
    axes.set_title(title, fontsize=9)
    axes.axis("off")
plt.show()
assert torch.allclose(images[3][..., :-8], photograph[..., 8:], atol=1e-6)

# %% [markdown]
# At the right edge the target lies off the image. The head then looks at the nearest
# pixel, and the last column repeats. Notebook 3 is about that.
#
# ## The leak
#
# What a head does not give to its target is its *leak*. Far from the borders it is the
# same for every query. The library states it, rounded upward.

# %%
alphas = torch.linspace(1, 18, 40).tolist()
leaks = [ex.accuracy.leak(alpha, axes=2) for alpha in alphas]
figure, axes = plt.subplots(figsize=(5.5, 3), layout="constrained")
axes.semilogy(alphas, leaks, label="leak over two axes")
axes.axhline(2**-24, color="gray", ls=":", label="half an ulp of float32")
axes.set_xlabel("locality strength α (1/pixel²)")
axes.set_ylabel("attention off the target")
axes.legend(frameon=False)
plt.show()
assert all(a > b for a, b in pairwise(leaks))

# %% [markdown] tags=["exercise", "predict"]
# ### Exercise 1.1: How much does a head leak?
#
# Before you compute it: how much of its attention does a head give to pixels other than
# its target, at the α of `task.given` and over two axes, far from all borders? Answer
# with an interval `(low, high)` whose ends differ by a factor of 1.25 at most. Paper
# and a calculator are enough: count the neighbours, and do not forget that weights sum
# to one.

# %% tags=["exercise"]
task = course["1.1"]
task.given

# %% tags=["solution"]
# Before it is divided by the sum, the target weighs 1 and its neighbours e^−α.
step = math.exp(-task.given["alpha"])
along_one_axis = 1 + 2 * step + 2 * step**4
interval = 1 - 1 / along_one_axis**2
interval = (0.95 * interval, 1.05 * interval)

# %% tags=["check"]
course.check("1.1", interval)

# %% [markdown] tags=["exercise"]
# ### Exercise 1.2: Copy the pixel beside you
#
# `task.conv` is a convolution with a single tap of one: it copies one neighbour. Build
# a `RelativeSelfAttention` with **one head** that does the same, within
# `task.tolerance` for every input. Mind the sign of the displacement, and which axis
# comes first. The canvas has one pixel of zeros on each side: `padding=1` in the
# geometry.

# %% tags=["exercise"]
task = course["1.2"]
print(task.conv.weight[0, 0])

# %% tags=["solution"]
row, column = (task.conv.weight[0, 0].nonzero()[0] - 1).tolist()
geometry = ex.ConvGeometry.create((3, 3), padding=1)
layer = ex.RelativeSelfAttention(1, 1, geometry, num_heads=1, bias=False)
with torch.no_grad():
    layer.centers.copy_(torch.tensor([[float(row), float(column)]]))
    layer.alpha.fill_(20.0)
    layer.output_weight.fill_(1.0)

# %% tags=["check"]
course.check("1.2", layer)

# %% [markdown] tags=["exercise"]
# ### Exercise 1.3: The vector of a head
#
# The layer has no table of distances. A query adds the inner product of a vector *v* of
# the head and the *relative encoding* $r_\delta = (\|\delta\|^2, \delta_1, \delta_2)$.
# Which $v$ makes $v \cdot r_\delta = -\alpha\|\delta - \Delta\|^2 + \alpha\|\Delta\|^2$
# for every δ? Answer with a list of three expressions in α and Δ; a constant of the
# head drops out of the softmax. The check proves your answer, or refutes it with
# numbers.

# %% tags=["exercise"]
task = course["1.3"]
alpha, Delta1, Delta2, delta1, delta2 = task.symbols()

# %% tags=["solution"]
vector = [-alpha, 2 * alpha * Delta1, 2 * alpha * Delta2]

# %% tags=["check"]
course.check("1.3", vector)

# %% [markdown] tags=["exercise"]
# ### Exercise 1.4: What does a soft head get wrong?
#
# `task.layer` is the copying layer at α = 2, `task.conv` the convolution that it should
# be. Find an input with entries within ±1, of `task.size` pixels, on which the two
# differ by 90 % of the largest difference that is possible. Hint: the head mixes its
# target with the pixels around it. When does that hurt most?

# %% tags=["exercise"]
task = course["1.4"]
task.size

# %% tags=["solution"]
# One pixel against all others: the head mixes −1 with as much +1 as it can find.
x = torch.ones(1, 1, *task.size)
x[0, 0, 2, 2] = -1

# %% tags=["check"]
course.check("1.4", x)

# %% [markdown] tags=["written"]
# ### Exercise 1.5 (written): A head between two pixels
#
# What does a head with center Δ = (0, ½) look at as α grows? Say in two or three
# sentences what its limit is, and whether any α makes it one-hot.

# %% [markdown] tags=["written", "solution"]
# The two nearest pixels have the same distance, and so the same score for every α. As α
# grows all other weights vanish, and each of the two gets one half. The head is never
# one-hot: it averages two pixels.
