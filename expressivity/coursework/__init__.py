"""Exercises whose checks hold for every input, drawn for each student by name.

A check never compares samples. It judges a layer by its certificate or by its exact
worst case, a witness by the atlas, a prediction by ball arithmetic and a step of a
derivation by the proof engine. So it needs no hidden test and no answer key.

Example:
    >>> import expressivity as ex
    >>> course = Course("Ada")
    >>> task = course["2.2"]
    >>> course.check("2.2", ex.attention_from_conv(task.conv)).passed
    True
    >>> verdict = course.check("2.2", ex.attention_from_conv(task.conv, alpha=1.0))
    >>> verdict.passed, verdict.counterexample.shape
    (False, torch.Size([1, 1, 8, 8]))
"""

from expressivity.coursework.course import Course
from expressivity.coursework.verdict import Verdict

__all__ = ["Course", "Verdict"]
