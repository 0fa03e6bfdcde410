"""Which settings of torch, and of libraries below it, break the model of arithmetic.

Only what can be recognised. Anything else shows, if at all, where the worst input
is evaluated: see ``spot_check``.
"""

import os
from collections.abc import Callable, Mapping, Sequence

import torch

from expressivity.numbers.precision import autocast_is_on

# Convolutions over more axes are none of NNPACK's.
_NNPACK_AXES = 2


def reduced_precision(
    device: torch.device, dtype: torch.dtype, stride: Sequence[int]
) -> str | None:
    """Return which setting computes in less than the model assumes.

    Args:
        device: Where the layer runs.
        dtype: Dtype of its parameters.
        stride: Pixels between queries along each axis that it works over.

    Returns:
        The setting and how to change it; ``None`` if there is none.
    """
    if autocast_is_on(device):
        return "autocast is on: certify outside of it"
    if device.type not in ("cpu", "cuda"):
        return f"nothing is known of how {device.type} rounds: move the layer to a CPU"
    of_device = _on_cpu if device.type == "cpu" else _on_cuda
    return of_device(dtype, stride)


def _on_cpu(dtype: torch.dtype, stride: Sequence[int]) -> str | None:
    if _half_sums_on_cpu() and dtype == torch.float16:
        return (
            "products in float16 may be accumulated in fewer bits than float32 has: "
            "disallow reduced-precision reductions of float16 on the CPU"
        )
    if dtype == torch.float64:  # what follows is about float32
        return None
    if _onednn_is_on():
        return _reduced_float32("mkldnn") or _variable(_OF_CPU) or _amx(dtype, stride)
    return _variable(_OF_MKL) or _nnpack(dtype, len(stride))


def _on_cuda(dtype: torch.dtype, stride: Sequence[int]) -> str | None:
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    if dtype != torch.float64:
        if reason := _reduced_float32("cuda") or _variable(_OF_GPU):
            return reason
        if matmul.allow_tf32:
            return "float32 products may be rounded to TF32: disallow that"
    elif reason := _variable(_OF_GPU_IN_FLOAT64):
        return reason
    for name in (
        "allow_fp16_reduced_precision_reduction",
        "allow_bf16_reduced_precision_reduction",
        "allow_fp16_accumulation",
    ):
        if getattr(matmul, name, False):
            return (
                "products may be accumulated in fewer bits than float32 has: set "
                f"torch.backends.cuda.matmul.{name} = False"
            )
    if cudnn.enabled:
        return (
            "cuDNN may convolve by Winograd's scheme, or in TF32: set "
            "torch.backends.cudnn.enabled = False"
        )
    return None


def _reduced_float32(library: str) -> str | None:
    """Return where torch says that not all bits of float32 are used."""
    backend = getattr(torch.backends, library)
    prefix = f"torch.backends.{library}"
    for name, setting in {
        "torch.backends": torch.backends,
        prefix: backend,
        f"{prefix}.matmul": getattr(backend, "matmul", None),
        f"{prefix}.conv": getattr(backend, "conv", None),
    }.items():
        if getattr(setting, "fp32_precision", "ieee") not in ("ieee", "none"):
            return (
                "float32 may be rounded to fewer bits on the way: set "
                f"{name}.fp32_precision = 'ieee'"
            )
    if not hasattr(torch.backends, "fp32_precision") and (
        torch.get_float32_matmul_precision() != "highest"
    ):
        return (
            "float32 products may be rounded to fewer bits: call "
            "torch.set_float32_matmul_precision('highest')"
        )
    return None


def _nnpack(dtype: torch.dtype, axes: int) -> str | None:
    """Return whether NNPACK convolves large batches, as it does without oneDNN."""
    nnpack = getattr(torch.backends, "nnpack", None)
    if nnpack is None or not nnpack.is_available():
        return None
    is_on: Callable[[], bool] = getattr(torch._C, "_get_nnpack_enabled", lambda: True)
    if dtype != torch.float32 or axes > _NNPACK_AXES or not is_on():
        return None
    return (
        "NNPACK convolves batches of 16 images and more by Winograd's scheme or a "
        "Fourier transform while oneDNN is off: set torch.backends.mkldnn.enabled = "
        "True, or call torch.backends.nnpack.set_flags(False)"
    )


def _amx(dtype: torch.dtype, stride: Sequence[int]) -> str | None:
    """Return whether a convolution may read memory that nobody wrote.

    In torch 2.13, oneDNN's for AMX do, in half precision, with some strides along the
    last axis: of random ones, one in a hundred returned NaN where there was NaN in that
    memory.
    """
    is_supported: Callable[[], bool] = getattr(
        torch.cpu, "_is_amx_tile_supported", lambda: False
    )
    most = os.environ.get("ONEDNN_MAX_CPU_ISA", "ALL").upper()
    is_used = most in ("ALL", "DEFAULT") or "AMX" in most or most.startswith("AVX10")
    if dtype.itemsize > 2 or stride[-1] == 1 or not is_used or not is_supported():
        return None
    return (
        "oneDNN's convolutions of half precision with AMX and a stride may read memory "
        "that nobody wrote: set ONEDNN_MAX_CPU_ISA=AVX512_CORE_BF16 in the environment "
        "and start Python again"
    )


def _onednn_is_on() -> bool:
    mkldnn = torch.backends.mkldnn
    return mkldnn.is_available() and bool(getattr(mkldnn, "enabled", True))


def _half_sums_on_cpu() -> bool:
    allowed: Callable[[], bool] = getattr(
        torch._C, "_get_cpu_allow_fp16_reduced_precision_reduction", lambda: False
    )
    return allowed()


def _is_on(value: str) -> bool:
    return value.strip().lower() not in ("", "0", "false", "off", "no")


def _is_fewer_bits(value: str) -> bool:
    return value.strip().lower() in ("bf16", "f16", "tf32", "any")


def _is_alternate(value: str) -> bool:
    return value.strip().lower() not in ("", "standard")


# What libraries read from the environment, and the values that round to fewer bits.
_OF_MKL = {"MKL_BLAS_COMPUTE_MODE": _is_alternate}
_OF_CPU = {
    "ONEDNN_DEFAULT_FPMATH_MODE": _is_fewer_bits,
    "DNNL_DEFAULT_FPMATH_MODE": _is_fewer_bits,
    **_OF_MKL,
}
_OF_GPU = {
    "NVIDIA_TF32_OVERRIDE": _is_on,
    "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE": _is_on,
    "HIPBLASLT_ALLOW_TF32": _is_on,
    "CUBLAS_EMULATE_SINGLE_PRECISION": _is_on,
}
_OF_GPU_IN_FLOAT64 = {"CUBLAS_EMULATE_DOUBLE_PRECISION": _is_on}


def _variable(harmful: Mapping[str, Callable[[str], bool]]) -> str | None:
    """Return which variable of the environment rounds float32 to fewer bits."""
    for name, is_harmful in harmful.items():
        value = os.environ.get(name, "")
        if is_harmful(value):
            return (
                f"products may be rounded to fewer bits on the way, since the "
                f"environment has {name}={value}: unset it and start Python again"
            )
    return None
