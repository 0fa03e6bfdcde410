"""Settings of torch that change how a layer is evaluated, drawn at random."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from random import Random

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

_MKLDNN, _NNPACK = torch.backends.mkldnn, torch.backends.nnpack


@dataclass(frozen=True)
class Settings:
    """What a user may have set, by accident or not.

    Attributes:
        threads: Threads of one operation.
        onednn: Whether oneDNN is on.
        nnpack: Whether NNPACK is on.
        precision: Bits of float32 in products and convolutions, as torch calls it.
        batch: Images that are evaluated together.
        flush: Whether subnormal numbers are flushed to zero.
        literal: Whether attention kernels hold all scores.
        deterministic: Whether torch avoids what is not.
        channels_last: Whether images are laid out channels last.
        default_dtype: Dtype of new tensors.
    """

    threads: int = 1
    onednn: bool = True
    nnpack: bool = True
    precision: str = "none"
    batch: int = 20
    flush: bool = False
    literal: bool = False
    deterministic: bool = False
    channels_last: bool = False
    default_dtype: torch.dtype = torch.float32

    @classmethod
    def draw(cls, random: Random) -> "Settings":
        """Change some of the settings, each alone as often as all together."""
        chosen = cls(
            threads=random.choice([1, 2, 3]),
            onednn=random.random() < 0.5,
            nnpack=random.random() < 0.7,
            precision=random.choice(["none", "none", "none", "ieee", "bf16", "tf32"]),
            batch=random.choice([1, 2, 15, 16, 17, 32]),
            flush=random.random() < 0.5,
            literal=random.random() < 0.5,
            deterministic=random.random() < 0.3,
            channels_last=random.random() < 0.3,
            default_dtype=random.choice([torch.float32, torch.float64, torch.float16]),
        )
        if random.random() < 0.5:
            return chosen
        name = random.choice(list(vars(chosen)))
        return replace(USUAL, **{name: getattr(chosen, name)})

    def __str__(self) -> str:
        usual = vars(USUAL)
        changed = {n: v for n, v in vars(self).items() if v != usual[n]}
        return " ".join(f"{n}={v}" for n, v in changed.items()) or "usual"

    def laid_out(self, x: Tensor) -> Tensor:
        """Return an input in the layout that was drawn."""
        if self.channels_last and x.dim() == 4:
            return x.to(memory_format=torch.channels_last)
        return x

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Evaluate something under these settings, and restore the others."""
        with ExitStack() as stack:
            stack.callback(torch.set_num_threads, torch.get_num_threads())
            torch.set_num_threads(self.threads)
            stack.callback(setattr, _MKLDNN, "enabled", _MKLDNN.enabled)
            _MKLDNN.enabled = self.onednn
            (before,) = _NNPACK.set_flags(self.nnpack)
            stack.callback(_NNPACK.set_flags, before)
            for kind in ("matmul", "conv"):
                owner = getattr(_MKLDNN, kind, None)
                if hasattr(owner, "fp32_precision"):
                    stack.callback(
                        setattr, owner, "fp32_precision", owner.fp32_precision
                    )
                    owner.fp32_precision = self.precision
            if self.flush and torch.set_flush_denormal(True):
                stack.callback(torch.set_flush_denormal, False)
            if self.literal:
                stack.enter_context(sdpa_kernel(SDPBackend.MATH))
            stack.callback(
                torch.use_deterministic_algorithms,
                torch.are_deterministic_algorithms_enabled(),
            )
            torch.use_deterministic_algorithms(self.deterministic)
            stack.callback(torch.set_default_dtype, torch.get_default_dtype())
            torch.set_default_dtype(self.default_dtype)
            yield


USUAL = Settings()
