r"""What a reader has to know before the statements: words, symbols, and no results."""

TITLE = "Self-attention computes any convolution: the proofs"

ABOUT = (
    (
        "A multi-head self-attention layer with quadratic relative scores computes any "
        "convolution, up to an error that falls exponentially with its locality "
        r"strength $\alpha$. The package *expressivity* builds such layers and states "
        "their error. These notes hold every statement that it relies on: what is "
        "claimed, under which hypotheses, by which steps, and for which sizes."
    ),
    (
        "A derivation is read like any other. The words of a step say why it is taken "
        "and what follows; together they are the argument. The displayed formula is "
        "what the step asserts, and that formula is not checked by eye: the computer "
        "algebra system sympy has decided it, each time these notes were written."
    ),
)

MEANING = (
    "A formula is *decided* if it is derived for everything that it quantifies over: "
    "all numbers that the hypotheses admit, all sizes, any functions in the place of "
    "letters. Nothing is concluded from samples. Each step says how it was decided:"
)

DECIDED = (
    (
        "one normal form",
        (
            "Both sides have the same normal form: fractions over one denominator, all "
            "products multiplied out, sums over symbolic ranges split, shifted to "
            "start at zero and put in one order."
        ),
    ),
    (
        "simplified to zero",
        "Identities of elementary functions reduce the difference to zero.",
    ),
    (
        "the sign of every term and factor",
        (
            "Written as shown, each term and factor has a sign that the hypotheses "
            "give, and these signs settle the sign of the whole."
        ),
    ),
    ("limit computed", "Gruntz's algorithm gives the limit."),
    (
        "induction",
        (
            "The first case holds, and from $n$ to $n + 1$ both sides grow alike; both "
            "by normal form."
        ),
    ),
    (
        "Sturm",
        (
            "Sturm's theorem counts the roots of a polynomial in an interval exactly; "
            "there is none, and one value has the right sign."
        ),
    ),
    (
        "intervals",
        (
            "Two constants lie in intervals, computed with every rounding outward, "
            "that do not meet."
        ),
    ),
)

LIMITS = (
    (
        "**Negative controls.** Whoever accepts everything proves nothing. So each "
        "statement is followed by false ones: a sign, an index or a constant is wrong. "
        "Each of them has to be refuted by a counter-example: exact numbers, put in "
        "exactly, at which it fails."
    ),
    (
        "**Two kinds of proof.** A derivation is not a formal proof: it trusts sympy, "
        "the assumptions made about symbols, the classical theorems that are named, "
        "and the words between the formulas. A proof in the proof assistant Coq trusts "
        "Coq's kernel alone: every step is checked, the words are not needed, and what "
        "it assumes is on record. Each statement says whether Coq has proved it as "
        "well, in full or in part, and which theorem of the folder *proofs/coq* does."
    ),
    (
        "**What no proof here is about.** All of them speak of real numbers: what "
        "rounding does to them is the business of the certificates that the package "
        "issues for a layer. And they speak of formulas: that the package computes "
        "just these is what its tests compare, number by number."
    ),
)

NOTATION = (
    (
        r"$\Omega$",
        (
            "the canvas: all tokens that the layer attends to, which is the input, "
            "padded as the convolution pads it"
        ),
    ),
    (r"$d$", "the number of axes"),
    (r"$q$, $k$", r"positions of a query and of a key: points of $\Omega$, in pixels"),
    (r"$\delta = k - q$", "displacement: key minus query"),
    (
        r"$\Delta_h$",
        "attention center of head $h$; one head for each tap of the kernel",
    ),
    (r"$t = q + \Delta_h$", "target: the pixel that head $h$ should copy"),
    (r"$\alpha > 0$", "locality strength of a head, per squared pixel"),
    (
        r"$\varepsilon = e^{-\alpha}$",
        r"the unit of errors: between $0$ and $1$, small for large $\alpha$",
    ),
    (
        r"$r_\delta = (\|\delta\|^2, \delta)$",
        "quadratic relative encoding: $d + 1$ numbers",
    ),
    (
        r"$v_h = -\alpha\,(1, -2\Delta_h)$",
        r"vector of head $h$; its scores are $v_h \cdot r_\delta$",
    ),
    (
        r"$W_\Delta$",
        (
            r"matrix of the tap at $\Delta$: product of the value and the output "
            "projection of its head"
        ),
    ),
    (
        r"$\mathrm{Conv}_W$, $\mathrm{Attn}_\alpha$",
        "the convolution, and the attention layer that is made of it",
    ),
    (
        r"$G_\alpha$",
        (
            r"smoothing of the canvas: $(G_\alpha X)_t$ is a mean of $X$, with weights "
            r"proportional to $e^{-\alpha \|k - t\|^2}$"
        ),
    ),
    (
        r"$\theta_3(\varepsilon) = \sum_{n \in \mathbb{Z}} \varepsilon^{n^2}$",
        "Jacobi's theta function: the normaliser of one axis far from borders",
    ),
    (
        r"$\lambda(\alpha) = 1 - \theta_3(\varepsilon)^{-d}$",
        "leak: the probability off the target, far from borders",
    ),
    (
        r"$\nabla^2$",
        "graph Laplacian of the canvas: neighbours less the pixel itself, added up",
    ),
)
