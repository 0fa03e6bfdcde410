"""Answers to every exercise: a second right one, and wrong ones that are plausible.

The first right answer is the solution of the notebook. An answer is a function of the
exercise, as a student would write it.
"""

import math
from dataclasses import dataclass

import expressivity as ex
from tests.coursework.attempts import (
    NOT_THE_WORST,
    Answer,
    alpha_of,
    around,
    as_they_come,
    beside_another_query,
    best_exchange,
    border_row,
    bright_pixel,
    certified,
    corner,
    exchanged,
    faint_exchange,
    gaussian,
    head_of_one_axis,
    heads,
    interior,
    matrix_vector,
    of_exp,
    of_the_weights,
    one_head,
    ones,
    ordered_taps,
    padded_otherwise,
    ramp,
    random_pair,
    random_signs,
    same_everywhere,
    scores,
    shift,
    smoothing,
    summed_leak,
    taps,
    too_large,
    two_tables,
    vector,
    vector_by_a_trick,
    vector_without_strength,
    worst_row,
)


@dataclass(frozen=True)
class Answers:
    """Answers to one exercise.

    Attributes:
        second: A right answer that is not the notebook's.
        wrong: Answers of students who believe something else.
    """

    second: Answer
    wrong: tuple[Answer, ...]


ANSWERS = {
    "1.1": Answers(
        summed_leak,
        (
            lambda task: around(alpha_of(task)),
            lambda task: around(2 * alpha_of(task)),
            lambda task: around(8 * alpha_of(task)),
            lambda task: (1e-3, 0.9),
        ),
    ),
    "1.2": Answers(
        lambda task: ex.attention_from_conv(task.conv, heads="minimal"),
        (
            lambda task: one_head(task, (-shift(task)[0], -shift(task)[1])),
            lambda task: one_head(task, shift(task)[::-1]),
            lambda task: one_head(task, shift(task), alpha=2.0),
            lambda task: ex.attention_from_conv(task.conv),
        ),
    ),
    "1.3": Answers(
        matrix_vector,
        (
            vector(-1, -2, -2),
            vector(-1, 1, 1),
            vector_without_strength,
            vector_by_a_trick,
        ),
    ),
    "1.4": Answers(certified, NOT_THE_WORST),
    "2.1": Answers(
        lambda task: around(math.e**2, 0.03),
        (
            lambda task: around(10 / 8),
            lambda task: around((10 / 8) ** 2),
            lambda task: around(math.e),
            lambda task: around(math.e**4),
        ),
    ),
    "2.2": Answers(
        lambda task: ex.attention_from_conv(task.conv, heads="minimal"),
        (
            lambda task: taps(task.conv.weight.flip(2, 3)),
            lambda task: taps(task.conv.weight.mT),
            lambda task: taps(task.conv.weight, alpha=8.0),
            lambda task: task.conv,
        ),
    ),
    "2.3": Answers(certified, (*NOT_THE_WORST, ramp)),
    "2.4": Answers(
        of_exp(lambda e: 1 - 1 / (1 + 2 * e)),
        (
            of_exp(lambda e: 2 * e),
            of_exp(lambda e: e / (1 + e)),
            of_exp(lambda e: 1 / (1 + 2 * e)),
        ),
    ),
    "3.1": Answers(
        border_row,
        (
            lambda task: around(float(task.given["zeros"].weight.abs().sum())),
            lambda task: around(float(task.given["zeros"].weight.abs().max()) / 2),
            lambda task: (1e-9, 1e-9),
        ),
    ),
    "3.2": Answers(
        lambda task: ex.attention_from_conv(task.conv),
        (
            padded_otherwise(),
            padded_otherwise(padding=1, padding_mode="replicate"),
            padded_otherwise(padding=1, padding_mode="circular"),
            padded_otherwise(padding=1, padding_mode="reflect"),
        ),
    ),
    "3.3": Answers(
        lambda task: ex.attention_from_conv(task.conv),
        (
            padded_otherwise(),
            padded_otherwise(padding=1),
            padded_otherwise(padding=1, padding_mode="circular"),
        ),
    ),
    "3.4": Answers(worst_row, (bright_pixel, interior, corner, too_large)),
    "4.1": Answers(
        lambda task: around(ex.alpha_for(**task.given)),
        (
            of_the_weights(lambda w, e: math.log(1 / e)),
            of_the_weights(lambda w, e: math.log(float(w.abs().amax()) / e)),
            of_the_weights(lambda w, e: 1 / math.sqrt(e)),
        ),
    ),
    "4.2": Answers(
        lambda task: ex.attention_from_conv(task.conv),
        (
            lambda task: ex.attention_from_conv(task.conv, tolerance=task.tolerance),
            lambda task: ex.attention_from_conv(task.conv, alpha=8.0),
            lambda task: ex.attention_from_conv(
                task.conv, tolerance=task.tolerance * task.input_bound
            ),
        ),
    ),
    "4.3": Answers(worst_row, NOT_THE_WORST),
    "5.1": Answers(
        scores(lambda h, w: 9 * h * w * (h + 2) * (w + 2)),
        (
            scores(lambda h, w: 9 * (h * w) ** 2),
            scores(lambda h, w: h * w * (h + 2) * (w + 2)),
            scores(lambda h, w: 9 * 9 * h * w),
        ),
    ),
    "5.2": Answers(
        head_of_one_axis,
        (
            smoothing(gaussian, over=None),
            same_everywhere,
            smoothing(gaussian, over=0),
            smoothing(lambda distance, alpha: -alpha * distance.abs()),
            smoothing(lambda distance, alpha: gaussian(distance, alpha) / 2),
        ),
    ),
    "5.3": Answers(
        certified,
        (lambda task: worst_row(task, (4, 4)), ones, random_signs, too_large),
    ),
    "6.1": Answers(
        lambda task: heads(ex.head_count(task.given["conv"]).needed)(task),
        (heads(9), heads(4), heads(1), heads(18)),
    ),
    "6.2": Answers(
        lambda task: two_tables(task, signs=(1.0, -1.0)),
        (
            lambda task: ex.attention_from_conv(task.conv),
            lambda task: two_tables(task, signs=(1.0,)),
            lambda task: two_tables(task, signs=(1.0, 1.0)),
            lambda task: two_tables(task, signs=(1.0, -1.0), share=False),
        ),
    ),
    "6.3": Answers(
        best_exchange,
        (
            exchanged((0, 0), (1, 1)),
            exchanged((-2, -2), (2, 2)),
            random_pair,
            faint_exchange,
        ),
    ),
    "6.4": Answers(
        exchanged((1,), (-1,)),
        (
            exchanged((-1,), (2,)),
            beside_another_query,
            exchanged((-3,), (3,)),
            random_pair,
        ),
    ),
    "7.1": Answers(
        lambda task: around(4 * alpha_of(task), 0.02),
        (
            lambda task: around(alpha_of(task)),
            lambda task: around(2 * alpha_of(task)),
            lambda task: around(4 * task.given["alpha"] * alpha_of(task)),
            lambda task: around(1 / task.given["alpha"]),
        ),
    ),
    "7.2": Answers(
        lambda task: ex.conv_from_attention(task.layer),
        (
            as_they_come,
            ordered_taps(lambda weight: weight.flip(2, 3)),
            ordered_taps(lambda weight: weight.mT),
        ),
    ),
    "7.3": Answers(worst_row, (*NOT_THE_WORST, ramp)),
}
