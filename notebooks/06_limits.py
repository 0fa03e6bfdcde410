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
# # What can attention not do?
#
# The layers of the last notebooks compute every convolution. Other layers are called
# attention, too, and some of them cannot, however large they are and however long they
# are trained. A *witness* shows it: two inputs that no setting of the parameters tells
# apart, and that the convolution does. And even where attention can, it needs a least
# number of heads.
#
# You need notebooks 1 to 3. Reading takes half an hour, the exercises an hour.

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
# ## Many papers, three verdicts
#
# The atlas of the library has layers as their papers define them, each with a verdict:
# can one layer compute an arbitrary convolution?

# %%
for name, family in ex.atlas.FAMILIES.items():
    print(f"{family.verdict:12} {name:22} {family.title}")
assert {f.verdict for f in ex.atlas.FAMILIES.values()} == {"yes", "no", "conditional"}

# %% [markdown]
# ## A witness
#
# Attention without positions sees a set of tokens. If two tokens beside the query
# change places, nothing changes for the query. The picture shows both inputs of the
# witness, +1 in purple and −1 in orange; the frame is the query.

# %%
torch.manual_seed(0)
conv = nn.Conv2d(1, 1, 3, padding=1)
witness = ex.atlas.FAMILIES["content"].refute(conv, size=(5, 5))
print(witness.symmetry)
print(f"Every layer errs by {witness.bound:.3f} at least, on one of the two inputs.")
figure, places = plt.subplots(1, 2, figsize=(5, 2.6), layout="constrained")
for axes, x, number in zip(places, witness.inputs, (1, 2), strict=True):
    axes.imshow(x[0], cmap="PuOr", vmin=-1, vmax=1)
    row, column = witness.query[0]
    axes.plot(column, row, "s", ms=14, fillstyle="none", color="black")
    axes.set_title(f"input {number}", fontsize=9)
    axes.set_xticks([])
    axes.set_yticks([])
plt.show()

# %% [markdown]
# If both outputs are the same number, and the convolution returns $a$ and $b$, one of
# the two is wrong by $|a - b|/2$ at least. Training cannot help, and we can watch it
# fail: two hundred steps of Adam, on nothing but the two inputs. With positions added
# (the control) the same steps succeed.

# %%
attacked, control = witness.trace(200), witness.trace(200, control=True)
figure, axes = plt.subplots(figsize=(5.5, 3), layout="constrained")
axes.semilogy(attacked, label="without positions")
axes.semilogy(control, "--", label="with positions")
axes.axhline(witness.bound, color="black", ls=":", label="the bound")
axes.set_xlabel("steps of Adam")
axes.set_ylabel("smallest error so far")
axes.legend(frameon=False)
plt.show()
assert attacked[-1] >= witness.bound * (1 - 1e-9)
assert control[-1] < 0.5 * witness.bound

# %% [markdown]
# ## How many heads?
#
# A head that looks at positions alone mixes pixels with a fixed table of weights, and
# applies one matrix to the mean. So a layer is a sum of products: table times matrix.
# The taps of a convolution are matrices, too. If they span ρ dimensions, no fewer than
# ρ heads can do. Weights of attention are positive, which costs one head more at most:
# with free tables ρ or ρ + 1 heads always suffice.

# %%
for name, kernel in {
    "box": torch.ones(3, 3),
    "laplacian": torch.tensor([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]]),
    "sobel": torch.tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]]),
}.items():
    conv = nn.Conv2d(1, 1, 3, padding=1, bias=False)
    with torch.no_grad():
        conv.weight.copy_(kernel)
    count = ex.head_count(conv)
    print(f"{name}: {count.rank} dimension, {count.needed} heads, {count.taps} taps")
    layer = ex.attention_from_conv(conv, heads="minimal")
    assert layer.num_heads == count.needed
    assert ex.worst_case_error(layer, conv, size=(8, 8)).max() < 1e-5

# %% [markdown]
# A box needs one head: it is a mean. An edge needs two: attention weights are positive,
# so one head adds and the other subtracts. For a layer with many channels the error of
# too few heads has a floor.

# %%
torch.manual_seed(0)
ex.head_count(nn.Conv2d(4, 8, 3)).curve().plot()

# %% [markdown] tags=["exercise", "predict"]
# ### Exercise 6.1: How few heads?
#
# `task.given["conv"]` has nine taps, each a 2×2 matrix; below, each row is a tap. How
# many heads with free tables does it need? Answer with `(number, number)`. Compute the
# rank. Then decide whether the taps can cancel: ρ + 1 heads are needed if and only if
# positive multiples of all of them add up to zero. `scipy.optimize.linprog` tells.

# %% tags=["exercise"]
task = course["6.1"]
taps = task.given["conv"].weight.flatten(2).movedim(2, 0).flatten(1)
print(taps)

# %% tags=["solution"]
from scipy.optimize import linprog

rank = torch.linalg.matrix_rank(taps.double()).item()
equations = taps.double().T.numpy()
cancels = linprog([1] * 9, A_eq=equations, b_eq=[0] * 4, bounds=(1, None)).status == 0
interval = (rank + cancels, rank + cancels)

# %% tags=["check"]
course.check("6.1", interval)

# %% [markdown] tags=["exercise"]
# ### Exercise 6.2: Two heads
#
# `task.conv` has weights of both signs. Build a layer with **two heads** that computes
# it within `task.tolerance`: `num_heads=2`, in `torch.float64`.
# `layer.add_table(low=(-1, -1), size=(3, 3))` adds a table of scores over the nine
# displacements, `layer.table` of shape (heads, 3, 3). Set α to zero. A score of −∞ is a
# weight of zero. The softmax divides every table by its sum: give it back in
# `layer.output_weight`, of shape (1, 1, 1, heads).

# %% tags=["exercise"]
task = course["6.2"]
print(task.conv.weight[0, 0])

# %% tags=["solution"]
kernel = task.conv.weight[0, 0].double()
geometry = ex.ConvGeometry.create((3, 3), padding=1)
layer = ex.RelativeSelfAttention(
    1, 1, geometry, num_heads=2, bias=False, dtype=torch.float64
)
layer.add_table(low=(-1, -1), size=(3, 3))
parts = torch.stack([kernel.clamp(min=0), (-kernel).clamp(min=0)])
with torch.no_grad():
    layer.alpha.zero_()
    layer.table.copy_(parts.log())
    layer.output_weight.copy_(torch.tensor([1.0, -1.0]) * parts.sum((1, 2)))

# %% tags=["check"]
course.check("6.2", layer)

# %% [markdown] tags=["exercise"]
# ### Exercise 6.3: Without positions
#
# Find a witness against attention without positions for `task.conv`: two inputs of
# shape (1, 5, 5) within ±1, and an output position, so that every such layer returns
# the same for both there, and the convolution does not. The bound is the grade: half of
# what the best witness reaches is enough. Answer with `(first, second, (row, column))`.

# %% tags=["exercise"]
task = course["6.3"]
print(task.conv.weight[0, 0])

# %% tags=["solution"]
# Exchange the two pixels beside the query that the kernel weighs most differently.
kernel = task.conv.weight[0, 0]
beside = [(r, c) for r in range(3) for c in range(3) if (r, c) != (1, 1)]
high = max(beside, key=lambda place: kernel[place])
low = min(beside, key=lambda place: kernel[place])
x = torch.zeros(1, 5, 5)
x[0, 1 + high[0], 1 + high[1]] = 1
x[0, 1 + low[0], 1 + low[1]] = -1
witness = (x, -x, (2, 2))

# %% tags=["check"]
course.check("6.3", witness)

# %% [markdown] tags=["exercise"]
# ### Exercise 6.4: Left and right
#
# ALiBi adds a bias that depends on the distance, |δ|. Find a witness against its
# symmetric form for `task.conv`, a kernel over one axis: inputs of shape (1, 7). Answer
# with `(first, second, (position,))`.

# %% tags=["exercise"]
task = course["6.4"]
print(task.conv.weight[0, 0])

# %% tags=["solution"]
# Left and right of the query have the same distance.
x = torch.zeros(1, 7)
x[0, 2], x[0, 4] = 1, -1
mirrored = (x, -x, (3,))

# %% tags=["check"]
course.check("6.4", mirrored)

# %% [markdown] tags=["written"]
# ### Exercise 6.5 (written): What a witness does not say
#
# A paper reports that a transformer without positional encodings reaches the accuracy
# of a CNN on some task. Does a witness contradict that? Answer in three or four
# sentences.

# %% [markdown] tags=["written", "solution"]
# No. The witness is about one layer and the convolution as a function of every input:
# it says that on one of two inputs the layer is wrong by the bound. A task may never
# show such inputs, or not depend on the difference. Other parts of the network may
# carry positions: patches, padding, a mask, several layers. The statement that does
# follow is that such a layer, alone, computes no convolution that tells the two inputs
# apart.
