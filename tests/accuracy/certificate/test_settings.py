"""Certificates under settings, libraries and modes that compute otherwise."""

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

import expressivity as ex
from expressivity.accuracy.certificate import spot_check
from expressivity.accuracy.certificate.settings import reduced_precision
from expressivity.errors import CertificateError
from expressivity.strategies import dense
from tests.cases import BASE, BASE_1D, BASE_3D, Case

CPU, GPU = torch.device("cpu"), torch.device("cuda")
WIDE = replace(BASE, in_channels=8, out_channels=8, kernel_size=(3, 3), size=(9, 8))


def pair(
    case: Case = BASE, dtype: torch.dtype = torch.float32, **options: Any
) -> tuple[ex.RelativeSelfAttention, Any]:
    conv = case.conv(dtype).requires_grad_(False)
    options.setdefault("alpha", 2.0)
    return ex.attention_from_conv(conv, **options).requires_grad_(False), conv


class Altered(TorchDispatchMode):
    """What a library, a setting or a fault might do to convolutions in a dtype."""

    def __init__(self, change: Callable[[Tensor], Tensor], dtype: torch.dtype) -> None:
        super().__init__()
        self.change, self.dtype = change, dtype

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if func is torch.ops.aten.convolution.default and result.dtype == self.dtype:
            return self.change(result)
        return result


def in_bfloat16(output: Tensor) -> Tensor:
    return output.bfloat16().to(output.dtype)


class TestEnvironment:
    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("ONEDNN_DEFAULT_FPMATH_MODE", "BF16"),
            ("ONEDNN_DEFAULT_FPMATH_MODE", "any"),
            ("DNNL_DEFAULT_FPMATH_MODE", "TF32"),
            ("MKL_BLAS_COMPUTE_MODE", "FLOAT_TO_BF16"),
        ],
    )
    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
    def test_fewer_bits_of_float32_are_refused(
        self,
        name: str,
        value: str,
        dtype: torch.dtype,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        attention, conv = pair(dtype=dtype)
        certificate = ex.certify(attention, conv)
        monkeypatch.setenv(name, value)
        for refused in (certificate.check, lambda: ex.certify(attention, conv)):
            with pytest.raises(CertificateError, match=f"{name}={value}: unset it"):
                refused()

    @pytest.mark.parametrize("value", ["", "STRICT", "strict"])
    def test_what_is_harmless_is_not_refused(
        self, value: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("ONEDNN_DEFAULT_FPMATH_MODE", value)
        monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "1")  # of another device
        certificate = ex.certify(*pair())
        certificate.check()
        assert certificate.bound.isfinite().all()

    def test_float64_has_no_fewer_bits(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("ONEDNN_DEFAULT_FPMATH_MODE", "BF16")
        ex.certify(*pair(dtype=torch.float64)).check()
        assert reduced_precision(CPU, torch.float64, (1, 1)) is None

    def test_a_library_that_is_off_reads_nothing(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("ONEDNN_DEFAULT_FPMATH_MODE", "BF16")
        monkeypatch.setattr(torch.backends.mkldnn, "enabled", False)
        certificate = ex.certify(*pair(BASE_3D))
        certificate.check()
        assert certificate.bound.isfinite().all()

    @pytest.mark.parametrize("most", ["", "all", "AVX512_CORE_AMX", "avx10_1_512_amx"])
    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
    def test_convolutions_that_may_read_anything_are_refused(
        self, dtype: torch.dtype, most: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: True)
        attention, conv = pair(replace(BASE, stride=(1, 2)), dtype=dtype)
        certificate = ex.certify(attention, conv)
        monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", most or "DEFAULT")
        for refused in (certificate.check, lambda: ex.certify(attention, conv)):
            with pytest.raises(CertificateError, match="memory that nobody wrote"):
                refused()
        ex.certify(*pair(replace(BASE, stride=(2, 1)), dtype=dtype)).check()
        ex.certify(*pair(replace(BASE, stride=(1, 2)), dtype=torch.float32)).check()

    def test_processors_without_amx(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
        monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
        assert reduced_precision(CPU, torch.bfloat16, (1, 2)) is None

    @pytest.mark.parametrize(
        ("name", "dtype"),
        [
            ("NVIDIA_TF32_OVERRIDE", torch.float32),
            ("TORCH_ALLOW_TF32_CUBLAS_OVERRIDE", torch.bfloat16),
            ("HIPBLASLT_ALLOW_TF32", torch.float32),
            ("CUBLAS_EMULATE_SINGLE_PRECISION", torch.float32),
            ("CUBLAS_EMULATE_DOUBLE_PRECISION", torch.float64),
        ],
    )
    def test_variables_of_a_gpu(
        self, name: str, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(torch.backends.cudnn, "enabled", False)
        monkeypatch.setenv(name, "1")
        assert name in str(reduced_precision(GPU, dtype, (1, 1)))
        monkeypatch.setenv(name, "0")
        assert name not in str(reduced_precision(GPU, dtype, (1, 1)))
        assert name not in str(reduced_precision(CPU, dtype, (1, 1)))

    def test_in_a_process_of_its_own(self) -> None:
        program = (
            "import torch, expressivity as ex\n"
            "conv = torch.nn.Conv2d(4, 4, 3)\n"
            "layer = ex.attention_from_conv(conv, alpha=2.0)\n"
            "try:\n"
            "    certificate = ex.certify(layer, conv)\n"
            "except ex.errors.CertificateError as error:\n"
            "    raise SystemExit('refused: ' + str(error))\n"
        )
        run = subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "ONEDNN_DEFAULT_FPMATH_MODE": "ANY"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert "refused: products may be rounded to fewer bits" in run.stderr


class TestNNPACK:
    """Without oneDNN, NNPACK convolves large batches by other schemes."""

    @pytest.fixture(autouse=True)
    def without_onednn(self, monkeypatch: pytest.MonkeyPatch) -> None:
        if not torch.backends.nnpack.is_available():
            pytest.skip("this torch has no NNPACK")
        monkeypatch.setattr(torch.backends.mkldnn, "enabled", False)

    @pytest.mark.parametrize("case", [WIDE, BASE_1D], ids=str)
    @pytest.mark.parametrize("strategy", ["dense", "separable"])
    def test_is_refused(self, case: Case, strategy: str) -> None:
        with pytest.raises(CertificateError, match="NNPACK convolves batches"):
            ex.certify(*pair(case, strategy=strategy))

    @pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16], ids=str)
    def test_has_nothing_to_do_with_other_dtypes(self, dtype: torch.dtype) -> None:
        self.assert_holds(*pair(WIDE, dtype))

    def test_has_nothing_to_do_with_three_axes(self) -> None:
        self.assert_holds(*pair(BASE_3D))

    def test_may_be_off(self) -> None:
        with torch.backends.nnpack.flags(enabled=False):
            self.assert_holds(*pair(WIDE))

    def assert_holds(self, attention: ex.RelativeSelfAttention, conv: Any) -> None:
        size = BASE_3D.size if len(conv.kernel_size) == 3 else WIDE.size
        certificate = ex.certify(attention, conv, size=size)
        x = torch.randn(16, conv.in_channels, *size).sign().to(conv.weight.dtype)
        exact = conv.double()(x.double())
        gap = conv.to(x.dtype)(x).double() - exact
        assert (gap.abs().flatten(2).amax((0, 2)) <= certificate.rounding_part).all()


class TestSpotCheck:
    @pytest.mark.parametrize("strategy", ["dense", "separable", "fused"])
    @pytest.mark.parametrize("alpha", [None, 2.0])
    @pytest.mark.parametrize("size", [None, WIDE.size])
    def test_sees_fewer_bits(
        self, strategy: str, alpha: float | None, size: tuple[int, ...] | None
    ) -> None:
        attention, conv = pair(WIDE, strategy=strategy, alpha=alpha)
        certificate = ex.certify(attention, conv, size=size)
        with Altered(in_bfloat16, torch.float32):
            for refused in (
                certificate.check,
                lambda: ex.certify(attention, conv, size=size),
            ):
                with pytest.raises(CertificateError, match="on the worst input the"):
                    refused()

    def test_says_what_was_seen(self) -> None:
        attention, conv = pair(WIDE)
        with (
            Altered(lambda output: output * float("nan"), torch.float32),
            pytest.raises(CertificateError, match=r"by nan in channel 0, at most"),
        ):
            ex.certify(attention, conv)

    def test_sees_a_fault_of_outputs_of_one_pixel(self) -> None:
        """Certificates for every size include the smallest."""

        def spoilt(output: Tensor) -> Tensor:
            return output + 1 if output.shape[-1] == 1 else output

        attention, conv = pair(WIDE, torch.bfloat16)
        with Altered(spoilt, torch.bfloat16):
            with pytest.raises(CertificateError, match="on the worst input"):
                ex.certify(attention, conv)
            ex.certify(attention, conv, size=WIDE.size)

    @pytest.mark.parametrize("images", [2, 16])
    def test_sees_a_library_that_takes_over_for_several_images(
        self, images: int
    ) -> None:
        def spoilt(output: Tensor) -> Tensor:
            return in_bfloat16(output) if len(output) >= images else output

        attention, conv = pair(WIDE)
        with (
            Altered(spoilt, torch.float32),
            pytest.raises(CertificateError, match="on the worst input"),
        ):
            ex.certify(attention, conv)

    def test_changes_nothing(self) -> None:
        conv = WIDE.conv(torch.float32)
        attention = ex.attention_from_conv(conv, alpha=2.0, head_dim=2).train()
        every = [*attention.parameters(), *conv.parameters()]
        versions = [p._version for p in every]
        state, kept = torch.get_rng_state(), dict(attention._memo._entries)
        ex.certify(attention, conv).check()
        assert torch.equal(torch.get_rng_state(), state)
        assert attention._memo._entries == kept
        assert [p._version for p in every] == versions
        assert all(p.grad is None and p.requires_grad for p in every)
        assert attention.training
        assert torch.is_grad_enabled()

    @pytest.mark.parametrize(
        "mode",
        [torch.no_grad, torch.inference_mode, torch.enable_grad, nullcontext],
        ids=lambda mode: str(mode.__name__),
    )
    @pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16], ids=str)
    def test_runs_in_every_mode(
        self, mode: Callable[[], AbstractContextManager[object]], dtype: torch.dtype
    ) -> None:
        conv = BASE.conv(dtype)
        attention = ex.attention_from_conv(conv, alpha=2.0)
        with mode():
            certificate = ex.certify(attention, conv)
            certificate.check()
        assert certificate.bound.isfinite().all()

    def test_is_left_out_where_memory_would_not_do(self) -> None:
        """The certificate says so, whatever memory is free."""
        case = replace(BASE_1D, in_channels=1, out_channels=1, size=(6000,))
        attention, conv = pair(case, strategy="dense", alpha=20.0)
        certificate = ex.certify(attention, conv, size=case.size)
        assert spot_check.NOT_EVALUATED in certificate.assumptions
        assert spot_check.NOT_EVALUATED in str(certificate)
        small = ex.certify(attention, conv, size=(60,))
        assert spot_check.NOT_EVALUATED not in small.assumptions

    def test_memory_that_is_not_free_is_an_error(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        attention, conv = pair(strategy="dense")
        monkeypatch.setattr(dense, "free_bytes", lambda _: 0)
        with pytest.raises(CertificateError, match="cannot be evaluated by 'dense'"):
            ex.certify(attention, conv)

    def test_modules_of_other_padding_are_evaluated_as_torch_does(self) -> None:
        for mode in ("reflect", "replicate", "circular"):
            case = replace(WIDE, padding_mode=mode, padding=(2, 1))
            for dtype in (torch.float32, torch.bfloat16):
                certificate = ex.certify(*pair(case, dtype))
                certificate.check()
                assert certificate.bound.isfinite().all()


@pytest.mark.parametrize("strategy", ["dense", "separable", "fused"])
def test_a_certificate_holds_where_subnormals_are_flushed(strategy: str) -> None:
    """They are part of the model: weights that the processor takes for zeros."""
    for dtype in (torch.float32, torch.bfloat16):
        for width in (None, 2):
            conv = nn.Conv2d(4, 4, 3, padding=1, bias=False).to(dtype)
            conv.requires_grad_(False).weight.fill_(0.9 * torch.finfo(dtype).tiny)
            attention = ex.attention_from_conv(
                conv, alpha=4.0, strategy=strategy, head_dim=width
            ).requires_grad_(False)
            certificate = ex.certify(attention, conv, 1e30, size=(6, 6))
            x = certificate.worst_input
            x[0, :, 3] = x.abs().max()
            exact = {m: m.double()(x.double()) for m in (conv, attention)}
            for module, allowed in (
                (conv, certificate.convolution_rounding),
                (attention, certificate.layer_rounding),
            ):
                module.to(dtype)
                if not torch.set_flush_denormal(True):
                    pytest.skip("this processor does not flush")
                try:
                    output = module(x)
                finally:
                    torch.set_flush_denormal(False)
                gap = (output.double() - exact[module]).abs().amax((0, 2, 3))
                assert (gap <= allowed).all()
                assert gap.max() > 0


def test_parameters_that_are_flushed_are_not_read() -> None:
    attention, conv = pair()
    conv.weight[0, 0, 0, 0] = 1e-40
    if not torch.set_flush_denormal(True):
        pytest.skip("this processor does not flush")
    try:
        with pytest.raises(CertificateError, match="takes for zeros"):
            ex.certify(attention, conv)
        ex.certify(*pair()).check()
        ex.certify(*pair(dtype=torch.float16)).check()  # no processor flushes those
    finally:
        torch.set_flush_denormal(False)
