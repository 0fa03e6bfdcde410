"""How many patches a patch looks at when a convolution is computed between them."""

from sympy import Expr, Integer, ceiling, floor, symbols

from proofs.engine import (
    Control,
    Equal,
    Formula,
    Formulas,
    Nonnegative,
    Positive,
    Rounded,
    Statement,
    Step,
)
from proofs.lemmas import expressions

K, P = symbols("K P", integer=True, positive=True)
m, c, e, b, far_pixel = symbols("m c e b b'", integer=True, nonnegative=True)
less, short, far = symbols("i i' n", integer=True, nonnegative=True)
q, D = symbols("q D", integer=True)

FORMULAS = {
    "reach": Formula(
        (K, P), ceiling((K - 1) / (2 * P)), "patches on either side that are seen"
    ),
    "count": Formula(
        (K, P), 2 * ceiling((K - 1) / (2 * P)) + 1, "heads, along one axis"
    ),
    "tap": Formula(
        (P, D, far_pixel, b),
        P * D + far_pixel - b,
        "the tap by which pixel b of a patch sees pixel b' of the patch D further on",
    ),
}


def build(formulas: Formulas) -> Statement:
    """Derive the statement from its formulas."""
    reach, count, tap = expressions(formulas)
    width = e + c + 1  # P; divided by it, r - 1 leaves e
    r = m * width + e + 1

    def at(formula: Expr, taps: Expr) -> Expr:
        return formula.subs({K: taps, P: width}, simultaneous=True)

    def place(*, pixel: Expr, read: Expr, patches: Expr) -> Expr:
        """Return where in its patch a tap finds what it reads."""
        return pixel + read - patches * width

    return Statement(
        name="patch_count",
        title="Patches in reach",
        source="Li et al. (2021), Can Vision Transformers Perform Convolution?",
        words="Between patches a convolution is one of fewer taps and more channels. "
        "Each patch in reach is a tap; along an axis there are one and twice the reach "
        "of the kernel in patches, rounded up, and the pixels of a patch see all of "
        "them.",
        formula=r"2 \left\lceil \frac{K - 1}{2P} \right\rceil + 1, \qquad "
        r"9\ \text{in the plane for}\ 1 < K \le 2P + 1",
        hypotheses=(
            (
                "The kernel has $K = 2r + 1$ taps $j = -r, \\dots, r$ along each axis, "
                "none of which is zero for all channels; a patch has $P$ pixels along "
                "it. With a dilation $K$ is the extent, from the first tap to the "
                "last."
            ),
            (
                r"Pixel $x = Pq + b$ is pixel $b$ of patch $q$, $0 \le b < P$ "
                "(Euclidean division)."
            ),
            (
                r"For $r \ge 1$ let $r - 1 = mP + e$ with $0 \le e < P$, and "
                "$P = e + c + 1$ with $c \\ge 0$."
            ),
        ),
        steps=(
            Step(
                "Pixel $b$ of patch $q$ sees pixel $b'$ of patch $q + D$ through the "
                "tap $j = PD + b' - b$, and through no other: between patches the "
                "convolution has a matrix for each $D$, with a row for each $b$ and a "
                "column for each $b'$, times the channels.",
                Equal(P * (q + D) + far_pixel - (P * q + b), tap),
            ),
            Step(
                r"No patch beyond $D = m + 1$ is seen: with $b = P - 1 - i$ and $j = r "
                r"- i'$ the pixel $b + j$ lies before the patch $m + 2$.",
                Positive(-place(pixel=width - 1 - less, read=r - short, patches=m + 2)),
                shown=r"(m + 2)\,P - (b + j) = c + 1 + i + i' > 0",
                where={"b": width - 1 - less, "j": r - short},
            ),
            Step(
                r"None before $D = -(m + 1)$ either; here $j = -r + i'$.",
                Nonnegative(place(pixel=b, read=-r + short, patches=-(m + 1))),
                shown=r"b + j + (m + 1)\,P = c + b + i' \ge 0",
                where={"j": short - r},
            ),
            Step(
                "Both are seen: the last pixel of a patch finds, by its last tap, "
                "pixel $e$ of the patch $m + 1$ further on, ...",
                Equal(place(pixel=width - 1, read=r, patches=m + 1), e),
                shown=r"(P - 1) + r - (m + 1)\,P = e",
            ),
            Step(
                "... and the first pixel finds, by its first tap, pixel $c$ of the "
                "patch $m + 1$ before.",
                Equal(place(pixel=Integer(0), read=-r, patches=-(m + 1)), c),
                shown=r"0 - r + (m + 1)\,P = c",
            ),
            Step(
                "So are all in between: the first pixel finds that of patch $D$ by the "
                r"tap $PD$, which the kernel has for $|D| \le m$; here $|D| = m - i$.",
                Positive(r - (m - less) * width, less * width + e + 1),
                shown=r"r - P\,|D| = i P + e + 1 > 0",
                where={"|D|": m - less},
            ),
            Step(
                "The largest $D$ is $r / P$, rounded up, ...",
                Rounded(at(reach, 2 * r + 1), m + 1),
                shown=r"\left\lceil \frac{(2r + 1) - 1}{2P} \right\rceil = m + 1",
            ),
            Step(
                "... and $D$ runs over that many on both sides and zero: heads that "
                "look at one patch each need, and have, one for each.",
                Rounded(at(count, 2 * r + 1), 2 * (m + 1) + 1),
                shown=r"2 \left\lceil \frac{(2r + 1) - 1}{2P} \right\rceil + 1 = "
                r"2\,(m + 1) + 1",
            ),
            Step(
                "A kernel of one tap sees its own patch.",
                Equal(count.subs(K, 1), 1),
                shown=r"2 \left\lceil \frac{1 - 1}{2P} \right\rceil + 1 = 1",
            ),
            Step(
                r"Axes multiply. In the plane there are $3 \cdot 3$ heads as long as "
                "$m = 0$, that is for $1 \\le r \\le P$, or $K \\le 2P + 1$: then "
                r"$P - r = c \ge 0$, ...",
                Nonnegative((width - r).subs(m, 0)),
                shown=r"P - (e + 1) = c \ge 0",
                where={"P": width, "e": e},
            ),
            Step(
                "... and for $m = n + 1$ it is not.",
                Positive((r - width).subs(m, far + 1), far * width + e + 1),
                shown=r"(n + 1)\,P + e + 1 - P = nP + e + 1 > 0",
            ),
            Step(
                "Even kernels, with $r$ taps before the middle and $r + 1$ after it "
                "($K = 2r + 2$): the same formula rounds the larger reach. Here $r = "
                "mP + e$.",
                Rounded(at(reach, 2 * r), m + 1),
                shown=r"\left\lceil \frac{(2r + 2) - 1}{2P} \right\rceil = m + 1",
                where={"r": r - 1},
            ),
        ),
        controls=(
            Control(
                "$K$ for $K - 1$.",
                Rounded(at(2 * ceiling(K / (2 * P)) + 1, 2 * r + 1), 2 * (m + 1) + 1),
                shown=r"2 \left\lceil \frac{2r + 1}{2P} \right\rceil + 1 = "
                r"2\,(m + 1) + 1",
            ),
            Control(
                "Rounded down.",
                Rounded(at(2 * floor((K - 1) / (2 * P)) + 1, 2 * r + 1), 2 * m + 3),
                shown=r"2 \left\lfloor \frac{(2r + 1) - 1}{2P} \right\rfloor + 1 = "
                r"2\,(m + 1) + 1",
                where={"r": r},
            ),
            Control(
                "Three patches along an axis for a kernel of $2P + 2$ taps.",
                Equal(count.subs(K, 2 * P + 2), 3),
                shown=r"2 \left\lceil \frac{(2P + 2) - 1}{2P} \right\rceil + 1 = 3",
                where={"P": P},
            ),
            Control(
                "Every pixel sees the last patch: the first pixel of a patch, by its "
                "last tap, does not.",
                Nonnegative(place(pixel=Integer(0), read=r, patches=m + 1)),
                shown=r"0 + r - (m + 1)\,P \ge 0",
            ),
        ),
        notation={"P": width, "r": r},
        scope="Any sizes of kernels and patches, any number of axes.",
        formulas=formulas,
        remarks=(
            (
                "An even kernel reaches less far on one side. Where $P$ divides "
                "$K/2 - 1$ the first of the patches is not seen, and one head less "
                "will do along that axis: $K = 2P + 2$ sees four patches, not five."
            ),
            (
                "The number is that of heads that look at one patch each. Other heads "
                "can do with the dimension that the matrices span, or one more (see "
                "the least number of heads)."
            ),
        ),
    )
