"""The shapes in annotations are checked while tests run, and other hints are not."""

import pytest
import torch
from jaxtyping import TypeCheckError

from expressivity.errors import ArgumentError
from expressivity.geometry import ConvGeometry
from expressivity.heads.encoding import head_vectors, relative_encoding
from expressivity.heads.parameters import Heads


def test_sizes_that_do_not_match_are_seen() -> None:
    assert head_vectors(torch.ones(2), torch.ones(2, 3)).shape == (2, 4)
    with pytest.raises(TypeCheckError, match="head_vectors"):
        head_vectors(torch.ones(2), torch.ones(3, 2))


def test_dtypes_that_do_not_match_are_seen() -> None:
    assert relative_encoding(torch.ones(2, dtype=torch.long)).dtype == torch.long
    with pytest.raises(TypeCheckError, match="head_vectors"):
        head_vectors(torch.ones(2, dtype=torch.long), torch.ones(2, 1))


def test_fields_of_records_are_seen() -> None:
    weight = torch.ones(1, 3, 3, 2)
    assert Heads(torch.ones(2), torch.zeros(2, 1), None, weight).groups == 1
    with pytest.raises(TypeCheckError, match="Heads"):
        Heads(torch.ones(2), torch.zeros(5, 1), None, weight)


def test_other_arguments_get_the_errors_of_the_package() -> None:
    with pytest.raises(ArgumentError, match="padding_mode needs one of"):
        ConvGeometry.create((3,), padding_mode=3)
