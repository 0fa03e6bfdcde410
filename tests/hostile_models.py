"""Factories that the hostile tests of the command line name: quiet, small, or nasty."""

import sys
from typing import NoReturn

import torch
from torch import nn

ORDERS = "\x1b[2J\x1b]0;owned\x07\n\tsecond line"
number = 3


class Overload(BaseException):
    """No error that ``except Exception`` sees."""


def build() -> nn.Module:
    return nn.Conv2d(3, 4, 3)


def vast() -> nn.Module:
    return nn.Conv2d(3, 4, 129, padding=64)


def two() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 2, 1))


def nothing() -> None:
    return None


def kind() -> type:
    return nn.Conv2d


def wants(width: int) -> nn.Module:
    return nn.Conv2d(width, 1, 1)


def fails() -> NoReturn:
    raise RuntimeError(ORDERS)


def leaves() -> NoReturn:
    sys.exit(0)


def overloads() -> NoReturn:
    raise Overload(ORDERS)


def recurses() -> nn.Module:
    return recurses()


def asserts() -> NoReturn:
    raise AssertionError


def stops() -> NoReturn:
    raise StopIteration


def grabs() -> torch.Tensor:
    return torch.empty(2**60)


def refuses() -> NoReturn:
    raise OSError(28, "No space left on device", "x" * 10)


def linear() -> nn.Module:
    return nn.Linear(6, 2)


def transposed() -> nn.Module:
    return nn.ConvTranspose2d(3, 4, 3)


def lazy() -> nn.Module:
    return nn.LazyConv2d(4, 3)


def infinite() -> nn.Module:
    conv = nn.Conv2d(3, 4, 3)
    nn.init.constant_(conv.weight, float("inf"))
    return conv


def meta() -> nn.Module:
    return nn.Conv2d(3, 4, 3, device="meta")


class Failing(nn.Sequential):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        raise RuntimeError(ORDERS)


class Leaving(nn.Sequential):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if type(self[0]) is nn.Conv2d:
            return self[0](x)
        sys.exit(0)


class Grabbing(nn.Sequential):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if type(self[0]) is not nn.Conv2d:
            torch.empty(2**60)
        return self[0](x)


class Overloading(nn.Sequential):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        raise Overload(ORDERS)


class Saying(nn.Sequential):
    def forward(self, x: torch.Tensor) -> str:
        return "no tensor"


class Empty(nn.Sequential):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x)[:0]


def failing() -> nn.Module:
    return Failing(build())


def leaving() -> nn.Module:
    return Leaving(build())


def grabbing() -> nn.Module:
    return Grabbing(build())


def overloading() -> nn.Module:
    return Overloading(build())


def saying() -> nn.Module:
    return Saying(build())


def empty() -> nn.Module:
    return Empty(build())
