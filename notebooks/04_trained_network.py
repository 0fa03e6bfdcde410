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
# # Does a trained CNN survive when its convolutions become self-attention?
#
# A multi-head self-attention layer with relative positional encodings can compute any
# convolution: one head per kernel tap, each attending to one pixel. Here a small CNN
# learns to read digits, every one of its convolutions is replaced by the attention
# layer built from its weights, and the two networks are compared. Every claim below is
# checked by an `assert`.
#
# You need notebooks 1 to 3. Reading takes half an hour, the exercises three quarters of
# an hour.

# %% tags=["setup"]
# %matplotlib inline
import copy
import math

import torch
from torch import nn

import expressivity as ex
from expressivity.coursework import Course
from expressivity.digits import DigitsCNN, accuracy, load_digit_images, train

# On images this small a second thread costs more time than it saves.
torch.set_num_threads(1)
course = Course()

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
# Nothing is trained or fitted: the value and output projections of a head are its tap's
# matrix, its attention center $\Delta$ is the tap's offset in pixels, and the locality
# strength $\alpha$ makes the softmax one-hot up to float32 rounding.

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
# ## An error budget, and a certificate beside every layer
#
# The default α spends no error at all. With a budget heads may be softer, which leaves
# them gradients. `tolerance` is the error that one layer may add, for inputs *within
# ±1*. The activations inside a network are larger, and the certificate of a layer takes
# a bound for them: here the largest that the training images produce.

# %%
budget = ex.convert(cnn, tolerance=1e-4)
largest = {}


def watch(name):
    def hook(module, inputs):
        largest[name] = max(largest.get(name, 0.0), inputs[0].abs().max().item())

    return hook


watched = [(record.name, cnn.get_submodule(record.name)) for record in budget.converted]
hooks = [conv.register_forward_pre_hook(watch(name)) for name, conv in watched]
with torch.no_grad():
    cnn(digits.train_images)
for hook in hooks:
    hook.remove()
for name, conv in watched:
    layer = budget.model.get_submodule(name)
    certificate = ex.certify(layer, conv, largest[name])
    print(
        f"{name}: heads {layer.num_heads}, alpha {layer.alpha[0].item():.1f}, inputs "
        f"within {largest[name]:.1f}, certified {certificate.bound.max().item():.1e}"
    )
    assert certificate.exact_part.max() <= 1.001e-4 * max(1.0, largest[name])
budgeted = accuracy(budget.model, digits.test_images, digits.test_labels)
assert abs(budgeted - before) < 0.005

# %% [markdown]
# The certificate covers every input within the stated box, seen or not. It does not say
# that activations stay in the box on other images.
#
# ## Fine-tuning with content terms
#
# An attention layer can do what its convolution cannot: look at the tokens. The content
# terms start at zero, so that the network is the same at first. Here the images get a
# contrast between 30 % and 100 %, and noise, which the CNN has never seen. A few passes
# train all parameters.


# %%
def disturbed(images, seed):
    generator = torch.Generator().manual_seed(seed)
    contrast = 0.3 + 0.7 * torch.rand(len(images), 1, 1, 1, generator=generator)
    noise = 0.25 * torch.randn(images.shape, generator=generator)
    return contrast * images + noise


tuned = copy.deepcopy(budget.model)
first = tuned.features[0].add_content_terms(4)
harder = disturbed(digits.test_images, seed=1)
with torch.no_grad():
    assert torch.allclose(tuned(harder), budget.model(harder), atol=1e-4)
untuned = accuracy(tuned, harder, digits.test_labels)
optimizer = torch.optim.Adam(tuned.parameters(), lr=2e-3)
generator = torch.Generator().manual_seed(0)
tuned.train()
for epoch in range(2):
    images = disturbed(digits.train_images, seed=10 + epoch)
    for batch in torch.randperm(len(images), generator=generator).split(64):
        loss = nn.functional.cross_entropy(
            tuned(images[batch]), digits.train_labels[batch]
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
tuned.eval()
after_tuning = accuracy(tuned, harder, digits.test_labels)
moved = first.query_weight.abs().max().item()
print(f"disturbed digits: {untuned:.1%} before, {after_tuning:.1%} after fine-tuning")
print(f"largest content weight: {moved:.3f}, it was 0")
assert after_tuning > untuned
assert moved > 0

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

# %% [markdown] tags=["exercise", "predict"]
# ### Exercise 4.1: The α of a tolerance
#
# `task.given["conv"]` has four channels in and out. Which α keeps its error within
# `task.given["tolerance"]`, for every input within ±1 of every size? The leak is about
# $4e^{-\alpha}$, and a head that leaks λ errs by 2λ at most: it lacks λ of its target
# and adds λ of something else. Answer with an interval, the ends within 4 %.

# %% tags=["exercise"]
task = course["4.1"]
print(task.given["tolerance"], task.given["conv"].weight.abs().sum(dim=(1, 2, 3)))

# %% tags=["solution"]
weights = task.given["conv"].weight.abs().sum(dim=(1, 2, 3)).max().item()
alpha = math.log(8 * weights / task.given["tolerance"])
interval = (0.99 * alpha, 1.01 * alpha)

# %% tags=["check"]
course.check("4.1", interval)

# %% [markdown] tags=["exercise"]
# ### Exercise 4.2: In the middle of a network
#
# `task.conv` is the second layer of a network: its inputs are activations within
# ±`task.input_bound`. Return an attention layer whose error is within `task.tolerance`
# there. You may use `ex.attention_from_conv`, but mind what its tolerance means.

# %% tags=["exercise"]
task = course["4.2"]
print(task.conv, task.tolerance, task.input_bound)

# %% tags=["solution"]
layer = ex.attention_from_conv(task.conv, tolerance=task.tolerance / task.input_bound)

# %% tags=["check"]
course.check("4.2", layer)

# %% [markdown] tags=["exercise"]
# ### Exercise 4.3: A strided layer
#
# `task.layer` stands for `task.conv`, of stride 2, at α = 5. Find an input of
# `task.size` pixels within ±1 that attains 90 % of the certified error. This time let a
# certificate find it, and look at it: which output is it for?

# %% tags=["exercise"]
task = course["4.3"]
print(task.conv)

# %% tags=["solution"]
certificate = ex.certify(task.layer, task.conv, size=task.size)
x = certificate.worst_input

# %% tags=["check"]
course.check("4.3", x)

# %% [markdown] tags=["written"]
# ### Exercise 4.4 (written): From layers to the network
#
# Each layer of a network is certified. What more do you need to bound the error of the
# logits, and why is the product of what you need often useless for a deep network?

# %% [markdown] tags=["written", "solution"]
# One needs, for each layer behind, by how much it can enlarge a difference of its
# inputs: a Lipschitz constant in the same norm, for a convolution the largest sum of
# absolute weights of an output. An error of one layer is then multiplied by the
# constants of all layers behind it, and the errors add up. The product takes the worst
# case at every layer at once, though no input attains all of them together, and it
# grows exponentially with the depth.
