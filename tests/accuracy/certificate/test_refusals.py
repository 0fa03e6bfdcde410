"""Certificates are refused where nothing rigorous is known."""

from dataclasses import replace
from operator import attrgetter
from typing import Any

import pytest
import torch
from torch import nn

import expressivity as ex
from expressivity.accuracy.certificate import rounding
from expressivity.accuracy.certificate.settings import reduced_precision
from expressivity.errors import (
    ArgumentError,
    CertificateError,
    InputError,
    UnsupportedModuleError,
)
from tests.accuracy.certificate.test_certificate import certified, changed
from tests.cases import BASE


class TestRefusals:
    def test_content_terms(self) -> None:
        attention, conv, _ = certified()
        attention.add_content_terms(2)
        with pytest.raises(CertificateError, match="content terms"):
            ex.certify(attention, conv)

    @pytest.mark.parametrize("value", [float("nan"), float("inf")])
    def test_numbers_that_are_not_finite(self, value: float) -> None:
        attention, conv, _ = certified()
        with torch.no_grad():
            attention.centers[0] = value
        with pytest.raises(CertificateError, match="need to be finite"):
            ex.certify(attention, conv)

    def test_two_dtypes(self) -> None:
        attention, conv, _ = certified()
        with pytest.raises(CertificateError, match="one dtype and one device"):
            ex.certify(attention.float(), conv)

    @pytest.mark.parametrize("name", ["mkldnn.matmul", "mkldnn.conv"])
    def test_fewer_bits_of_float32(self, name: str) -> None:
        attention, conv, _ = certified(dtype=torch.float32)
        owner = attrgetter(name)(torch.backends)
        if not hasattr(owner, "fp32_precision"):
            pytest.skip("this torch does not know the setting")
        with (
            changed(owner, fp32_precision="bf16"),
            pytest.raises(CertificateError, match=rf"{name}.*fp32_precision = 'ieee'"),
        ):
            ex.certify(attention, conv)

    def test_autocast(self) -> None:
        attention, conv, _ = certified(dtype=torch.float32)
        with (
            torch.autocast("cpu", torch.bfloat16),
            pytest.raises(CertificateError, match="autocast is on"),
        ):
            ex.certify(attention, conv)

    @pytest.mark.parametrize(
        "name",
        [
            "matmul.allow_fp16_reduced_precision_reduction",
            "matmul.allow_bf16_reduced_precision_reduction",
            "cudnn.enabled",
        ],
    )
    def test_settings_of_a_gpu(self, name: str) -> None:
        matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
        kinds = [
            f"allow_{kind}_reduced_precision_reduction" for kind in ("fp16", "bf16")
        ]
        with (
            changed(matmul, **dict.fromkeys(kinds, False)),
            changed(cudnn, enabled=False),
        ):
            assert (
                reduced_precision(torch.device("cuda"), torch.float32, (1, 1)) is None
            )
            owner, setting = name.split(".")
            with changed({"matmul": matmul, "cudnn": cudnn}[owner], **{setting: True}):
                assert name in str(
                    reduced_precision(torch.device("cuda"), torch.float32, (1, 1))
                )

    def test_a_device_that_nothing_is_known_of(self) -> None:
        assert "nothing is known" in str(
            reduced_precision(torch.device("meta"), torch.float32, (1, 1))
        )

    def test_a_strategy_that_nothing_is_known_of(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delitem(rounding.MODELS, "separable")
        with pytest.raises(CertificateError, match="strategy 'separable' rounds"):
            certified()

    def test_digits_in_float16(self) -> None:
        with pytest.raises(CertificateError, match="range of float16"):
            certified(dtype=torch.float16, strategy="fused")

    def test_scores_out_of_range(self) -> None:
        with pytest.raises(CertificateError, match=r"scores up to .* leave the range"):
            certified(dtype=torch.float32, strategy="fused", alpha=1e37)

    def test_outputs_out_of_range(self) -> None:
        conv = BASE.conv(torch.float16)
        attention = ex.attention_from_conv(conv)
        with pytest.raises(CertificateError, match="may leave the range of"):
            ex.certify(attention, conv, 6e4)

    @pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), "wide", None])
    def test_a_box_without_a_size(self, value: Any) -> None:
        attention, conv, _ = certified()
        with pytest.raises(ArgumentError, match="input_bound needs a"):
            ex.certify(attention, conv, value)

    def test_what_cannot_be_compared(self) -> None:
        attention, conv, _ = certified()
        with pytest.raises(ArgumentError, match="same geometry and channels"):
            ex.certify(attention, replace(BASE, stride=2).conv())
        with pytest.raises(InputError, match="works over 2 axes"):
            ex.certify(attention, conv, size=(5,))
        with pytest.raises(UnsupportedModuleError, match="Conv1d"):
            ex.certify(attention, nn.Linear(2, 2))
