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
# # What does training find?
#
# A layer *can* be a convolution. Does training make it one? Three experiments, all of
# them small: centers that start anywhere, data that are few, and a converted network
# that learns on. They are too small to say what large models do. They show what to
# measure.
#
# You need notebooks 1, 2 and 4. Reading takes half an hour, the exercises three
# quarters of an hour.

# %% tags=["setup"]
# %matplotlib inline
import math
from itertools import pairwise

import matplotlib.pyplot as plt
import torch
from torch import nn

import expressivity as ex
from expressivity.coursework import Course
from expressivity.digits import accuracy, load_digit_images

torch.set_num_threads(1)
course = Course()

# %% [markdown]
# ## Do heads find the taps?
#
# A teacher is a convolution with a Sobel kernel, six taps. A student is an attention
# layer with nine heads at random centers, α = 1, trained on random images to return the
# same. The picture follows every center.

# %%
torch.manual_seed(1)
teacher = nn.Conv2d(1, 1, 3, padding=1, bias=False)
with torch.no_grad():
    teacher.weight.copy_(torch.tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]]) / 4)
student = ex.RelativeSelfAttention(
    1, 1, ex.ConvGeometry.create((3, 3), padding=1), bias=False
)
with torch.no_grad():
    student.centers.normal_(0, 1)
optimizer = torch.optim.Adam(student.parameters(), lr=0.03)
paths, losses = [student.centers.detach().clone()], []
for _ in range(200):
    x = torch.randn(16, 1, 8, 8)
    loss = (student(x) - teacher(x)).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    ex.training.clamp_alpha(student)  # no head may attend away from its center
    losses.append(loss.item())
    paths.append(student.centers.detach().clone())
paths = torch.stack(paths)
print(f"loss {losses[0]:.3f} at first, {losses[-1]:.2e} at last")
assert losses[-1] < 0.1 * losses[0]

figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3.4), layout="constrained")
for head in range(student.num_heads):
    left.plot(paths[:, head, 1], paths[:, head, 0], lw=0.8, color="tab:blue")
    left.plot(*paths[-1, head].flip(0), "o", ms=5, color="tab:orange")
taps = student.geometry.centers()
left.plot(taps[:, 1], taps[:, 0], "k+", ms=10)
left.set(xlim=(-3, 3), ylim=(3, -3), xlabel="column", ylabel="row", aspect="equal")
left.set_title("paths of the centers; + marks the taps", fontsize=9)
right.semilogy(losses)
right.set(xlabel="steps of Adam", ylabel="mean squared error")
plt.show()

# %% [markdown]
# The loss is small. Is the student the convolution? The certificate compares it with
# the teacher on every input, and not on the distribution that it was trained on.

# %%
certificate = ex.certify(student, teacher, size=(8, 8))
rms = math.sqrt(losses[-1])
print(f"root mean squared error on random images: {rms:.3f}")
print(f"worst case over images within ±1:         {certificate.bound.max().item():.3f}")
assert certificate.attained > rms
off = (student.centers[:, None] - taps[None]).square().sum(-1).sqrt().amin(1)
print("distance of each center to the nearest tap:", off.detach().numpy().round(2))
assert off.mean() > 0.25

# %% [markdown]
# So no: most centers are half a pixel away from every tap. At α = 1 heads are as wide
# as that, they overlap, and many arrangements of them have next to the same loss.

# %% [markdown]
# ## How much data does a prior save?
#
# The same small network twice, on few digits. In one the heads of its first layer start
# on the taps of a convolution, sharp; in the other they start anywhere, soft. The
# curves are means over three seeds, with the single runs as dots.

# %%
digits = load_digit_images(seed=0)


def network(on_taps):
    geometry = ex.ConvGeometry.create((3, 3), padding=1)
    layer = ex.RelativeSelfAttention(1, 8, geometry)
    with torch.no_grad():
        if on_taps:
            layer.alpha.fill_(6.0)
        else:
            layer.centers.normal_(0, 3)
            layer.alpha.fill_(0.1)
    return nn.Sequential(
        layer, nn.ReLU(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(128, 10)
    )


def score(on_taps, count, seed):
    torch.manual_seed(seed)
    model = network(on_taps)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    images, labels = digits.train_images[:count], digits.train_labels[:count]
    for _ in range(25):
        for batch in torch.randperm(count).split(100):
            loss = nn.functional.cross_entropy(model(images[batch]), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            ex.training.clamp_alpha(model)
    return accuracy(model, digits.test_images, digits.test_labels)


amounts = (25, 75, 200)
results = {
    on_taps: [[score(on_taps, count, seed) for seed in range(3)] for count in amounts]
    for on_taps in (True, False)
}
figure, axes = plt.subplots(figsize=(5.5, 3.2), layout="constrained")
for on_taps, marker in ((True, "o"), (False, "s")):
    runs = torch.tensor(results[on_taps])
    name = "heads start on the taps" if on_taps else "heads start anywhere, soft"
    (line,) = axes.plot(amounts, runs.mean(1), marker=marker, label=name)
    for seed in range(3):
        axes.plot(amounts, runs[:, seed], ".", ms=4, color=line.get_color())
axes.set_xscale("log")
axes.minorticks_off()
axes.set_xticks(amounts, [str(count) for count in amounts])
axes.set(xlabel="training images", ylabel="accuracy on test images")
axes.legend(frameon=False)
plt.show()
first, second = (torch.tensor(results[key]).mean(1) for key in (True, False))
print("on the taps: ", first.numpy().round(3))
print("anywhere:    ", second.numpy().round(3))
assert first[-1] > first[0]
assert first.mean() > 0.5

# %% [markdown]
# ## Recast before you fine-tune
#
# Saturated heads, the default of a conversion, have no gradient: their attention does
# not move. Converted at a smaller α they do. Moving a center changes squared distances,
# so its gradient falls like $\alpha e^{-\alpha}$.


# %%
def form(alpha):
    return alpha * math.exp(-alpha)


conv = nn.Conv2d(1, 1, 3, padding=1)
alphas, slopes = (2.0, 4.0, 6.0, 8.0, 10.0, 12.0), []
images = digits.test_images[:32]
for alpha in alphas:
    layer = ex.attention_from_conv(conv, alpha=alpha)
    layer(images).square().mean().backward()
    slopes.append(layer.centers.grad.abs().max().item())
assert all(a > b for a, b in pairwise(slopes))
assert abs(slopes[3] / slopes[5] / (form(8.0) / form(12.0)) - 1) < 0.05
assert not ex.attention_from_conv(conv).centers.requires_grad
figure, axes = plt.subplots(figsize=(5.5, 3), layout="constrained")
axes.semilogy(alphas, slopes, "o-", label="largest gradient of a center")
expected = [slopes[-1] * form(alpha) / form(12.0) for alpha in alphas]
axes.semilogy(alphas, expected, ":", label="∝ α exp(−α)")
axes.set(xlabel="α at which the layer was converted", ylabel="gradient")
axes.legend(frameon=False)
plt.show()

# %% [markdown] tags=["exercise", "predict"]
# ### Exercise 7.1: How steep is saturation?
#
# How large is the slope of the leak with respect to α, over two axes, at
# `task.given["alpha"]`? Its sign does not count. Answer with an interval, the ends
# within a factor of 1.25.

# %% tags=["exercise"]
task = course["7.1"]
task.given

# %% tags=["solution"]
# The leak is about 4 e^−α there, and so is its slope.
slope = 4 * math.exp(-task.given["alpha"])
interval = (0.95 * slope, 1.05 * slope)

# %% tags=["check"]
course.check("7.1", interval)

# %% [markdown] tags=["exercise"]
# ### Exercise 7.2: Read the kernel off the heads
#
# `task.layer` has learned to be a convolution with two channels in and out, and its
# heads have ended up in some order. Return the `nn.Conv2d` that it computes, within
# `task.tolerance`. Head h has its center in `layer.centers[h]` and its matrix, outputs
# by inputs, in `layer.output_weight[0, :, :, h]`.

# %% tags=["exercise"]
task = course["7.2"]
print(task.layer.centers)

# %% tags=["solution"]
conv = nn.Conv2d(2, 2, 3, padding=1, bias=False)
with torch.no_grad():
    for head, (row, column) in enumerate(task.layer.centers.round().long().tolist()):
        conv.weight[:, :, row + 1, column + 1] = task.layer.output_weight[0, :, :, head]

# %% tags=["check"]
course.check("7.2", conv)

# %% [markdown] tags=["exercise"]
# ### Exercise 7.3: Centers that are nearly right
#
# The centers of `task.layer` are off the taps by a tenth of a pixel, as after training.
# Find an input within ±1 of `task.size` pixels on which it differs from `task.conv` by
# 90 % of the most that is possible.

# %% tags=["exercise"]
task = course["7.3"]
print(task.layer.centers)

# %% tags=["solution"]
x = torch.zeros(1, 1, *task.size, requires_grad=True)
difference = (task.layer(x) - task.conv(x))[0, 0]
rows = [torch.autograd.grad(d, x, retain_graph=True)[0] for d in difference.flatten()]
worst = max(rows, key=lambda row: row.abs().sum()).sign()

# %% tags=["check"]
course.check("7.3", worst)

# %% [markdown] tags=["written"]
# ### Exercise 7.4 (written): Has it learned a convolution?
#
# A student layer has a mean squared error of 1e-4 against a convolution, on images like
# those it was trained on. Which three further measurements would you ask for before you
# write that it has learned the convolution? Say what each would rule out.

# %% [markdown] tags=["written", "solution"]
# For example: the worst case over all inputs with the input that attains it, which
# rules out that the layer is right on the training distribution alone; the distances of
# the centers to the taps together with α, which rule out that several soft heads
# imitate a tap; other sizes of the input, and its borders, which rule out that the
# layer has learned one size. Several seeds belong to each of them.
