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
# # Why is that a convolution?
#
# A 3×3 convolution adds nine shifted copies of the image, each times a matrix. A sharp
# head makes one shifted copy. So nine heads make a convolution: this is Theorem 1 of
# Cordonnier, Loukas and Jaggi (2020). Here you build it by hand, measure how the error
# falls with α, and meet the input on which it is worst.
#
# You need notebook 1. Reading takes half an hour, the exercises an hour.

# %% tags=["setup"]
# %matplotlib inline
import math
from itertools import pairwise

import matplotlib.pyplot as plt
import torch
from sklearn.datasets import load_sample_image
from torch import nn

import expressivity as ex
from expressivity.coursework import Course

torch.set_num_threads(1)
course = Course()

# %% [markdown]
# ## Edge, blur and sharpen, by attention
#
# Three kernels at once, on a photograph. `attention_from_conv` makes one head a tap:
# its center is the tap's offset, its output projection the tap's column of weights.

# %%
photograph = torch.tensor(load_sample_image("flower.jpg")).float().mean(-1) / 255
photograph = photograph[:384, 96:480].unflatten(0, (96, 4)).unflatten(2, (96, 4))
photograph = photograph.mean((1, 3))[None, None]
edge = torch.tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]]) / 4
blur = torch.ones(3, 3) / 9
sharpen = torch.tensor([[0.0, -1, 0], [-1, 5, -1], [0, -1, 0]])
conv = nn.Conv2d(1, 3, 3, padding=1, bias=False)
with torch.no_grad():
    conv.weight.copy_(torch.stack([edge, blur, sharpen])[:, None])
attention = ex.attention_from_conv(conv)
with torch.no_grad():
    ours, theirs = attention(photograph), conv(photograph)
assert attention.num_heads == 9
assert (ours - theirs).abs().max() < 1e-5

figure, places = plt.subplots(1, 4, figsize=(10, 2.8), layout="constrained")
names = ("the image", "edge", "blur", "sharpen")
for axes, image, name in zip(places, (photograph[0, 0], *ours[0]), names, strict=True):
    axes.imshow(image, cmap="gray", vmin=-0.5 if name == "edge" else 0, vmax=1)
    axes.set_title(f"{name}{'' if axes is places[0] else ', by attention'}", fontsize=9)
    axes.axis("off")
plt.show()

# %% [markdown]
# ## How the error falls
#
# A head leaks about $4e^{-\alpha}$. So the error of the layer falls by a factor of e
# with every step of α, until rounding is all that is left. The dots are measured on the
# photograph. The black line is what no image with pixels in [−1, 1] exceeds in exact
# arithmetic, and some image attains it.

# %%
sweep = ex.error_sweep(conv, photograph, [1, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20])
ex.plots.plot_error_vs_alpha(sweep)

# %%
falls = [math.log(a / b) / 2 for a, b in pairwise(sweep.worst_case[4:10])]
print("slope of log(error) per unit of α:", ", ".join(f"{fall:.4f}" for fall in falls))
assert all(abs(fall - 1) < 0.01 for fall in falls)

# %% [markdown]
# ## The worst input
#
# The layer minus the convolution is a linear map. One of its outputs is a sum $\sum_k
# c_k x_k$ over the pixels. With $|x_k| \le 1$ it is largest for $x_k =
# \operatorname{sign} c_k$, and then it is $\sum_k |c_k|$. So the worst case over *all*
# inputs is a number that can be computed, and a certificate computes it.

# %%
soft = ex.attention_from_conv(conv, alpha=8.0)
certificate = ex.certify(soft, conv, size=(16, 16))
certificate

# %%
x = certificate.worst_input
with torch.no_grad():
    attained = (soft(x) - conv(x)).abs().max().item()
    on_photograph = (soft(photograph) - conv(photograph)).abs().max().item()
print(f"certified {certificate.bound.max().item():.3e}")
print(f"attained  {attained:.3e} by the worst input")
print(f"attained  {on_photograph:.3e} by the photograph")
assert 0.99 * certificate.exact_part.max() < attained <= certificate.bound.max()
assert on_photograph < attained / 3

figure, axes = plt.subplots(figsize=(3, 3), layout="constrained")
axes.imshow(x[0, 0], cmap="PuOr", vmin=-1, vmax=1)
axes.set_title("the worst input (0 where it does not matter)", fontsize=9)
axes.axis("off")
plt.show()

# %% [markdown] tags=["exercise", "predict"]
# ### Exercise 2.1: From α = 8 to α = 10
#
# By which factor does the worst-case error of the layer for `task.given["conv"]` fall
# when α grows from 8 to 10? Answer with an interval `(low, high)`, the ends within a
# factor of 1.25. You do not need the weights.

# %% tags=["exercise"]
task = course["2.1"]

# %% tags=["solution"]
factor = math.exp(10 - 8)
interval = (0.95 * factor, 1.05 * factor)

# %% tags=["check"]
course.check("2.1", interval)

# %% [markdown] tags=["exercise"]
# ### Exercise 2.2: Nine heads, one kernel
#
# Build the attention layer of `task.conv`, within `task.tolerance` for every input
# within ±1 of `task.size` pixels. A new layer with `ConvGeometry.create((3, 3),
# padding=1)` has nine heads, whose `centers`, in pixels, are on the taps already, in
# the order of `task.conv.weight`. Fill `alpha` and `output_weight`, of shape
# (1, 1, 1, heads), by hand.

# %% tags=["exercise"]
task = course["2.2"]
print(task.conv.weight[0, 0])

# %% tags=["solution"]
geometry = ex.ConvGeometry.create((3, 3), padding=1)
layer = ex.RelativeSelfAttention(1, 1, geometry, bias=False)
with torch.no_grad():
    offsets = torch.cartesian_prod(torch.arange(-1.0, 2), torch.arange(-1.0, 2))
    layer.centers.copy_(offsets)
    layer.alpha.fill_(18.0)
    layer.output_weight.copy_(task.conv.weight.reshape(1, 1, 1, 9))

# %% tags=["check"]
course.check("2.2", layer)

# %% [markdown]
# ## Tests on samples
#
# Somebody uses α = 8 for the same layer and tests it on images.

# %%
given = course["2.3"]
with torch.no_grad():
    ours, theirs = given.layer(photograph), given.conv(photograph)
passes = torch.allclose(ours, theirs, atol=1e-3)
print("torch.allclose on the photograph, with an absolute tolerance of 1e-3:", passes)
assert passes

# %% [markdown] tags=["exercise"]
# ### Exercise 2.3: It passes allclose
#
# Find an input within ±1, of `task.size` pixels, on which `task.layer` differs from
# `task.conv` by 90 % of the most that is possible. Hint: the difference is linear in
# the input, so autograd gives you its coefficients.

# %% tags=["exercise"]
task = course["2.3"]
print(task.size, task.layer)

# %% tags=["solution"]
x = torch.zeros(1, 1, *task.size, requires_grad=True)
difference = (task.layer(x) - task.conv(x))[0, 0]
rows = [torch.autograd.grad(d, x, retain_graph=True)[0] for d in difference.flatten()]
worst = max(rows, key=lambda row: row.abs().sum()).sign()

# %% tags=["check"]
course.check("2.3", worst)

# %% [markdown] tags=["exercise"]
# ### Exercise 2.4: A row of three pixels
#
# A head over one axis of three pixels has its target in the middle. Which share of its
# attention goes to the two others? Answer with an expression in α, not with its first
# order.

# %% tags=["exercise"]
from sympy import exp

task = course["2.4"]
(alpha,) = task.symbols()

# %% tags=["solution"]
share = 2 * exp(-alpha) / (1 + 2 * exp(-alpha))

# %% tags=["check"]
course.check("2.4", share)

# %% [markdown] tags=["written"]
# ### Exercise 2.5 (written): What a certificate says
#
# A colleague says: "I ran a million random inputs, and none came near the certified
# bound, so the bound is too pessimistic." Answer in three or four sentences.

# %% [markdown] tags=["written", "solution"]
# The bound is attained: the certificate carries an input that comes to within rounding
# of it. Random inputs do not come near, because they need the right sign at every pixel
# that the worst output looks at, and with many pixels this has next to no probability.
# A sample says what is typical. The bound says what is possible, for instance for an
# adversary or after training has moved the activations. It says nothing about how
# likely that is.
