"""A user's folder with a module of factories, as the command line meets it."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import nn
from typer.testing import CliRunner, Result

from expressivity.cli import app

MODULE = "user_models"
SHAPE = (2, 3, 9, 7)

_SOURCE = '''
import sys
import torch
from torch import nn

print("a module that talks")


class Net(nn.Module):
    """Strided, padded, depthwise, shared, and two that cannot be converted."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, (3, 5), stride=2, padding=(1, 2), bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.deep = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.again = self.deep
        self.up = nn.ConvTranspose2d(8, 4, 2)
        self.last = nn.Conv2d(4, 2, 1)

    def forward(self, x):
        print("a model that talks")
        x = torch.relu(self.norm(self.stem(x)))
        return self.last(self.up(self.again(torch.relu(self.deep(x)))))


class NanOnceConverted(nn.Sequential):
    def forward(self, x):
        y = super().forward(x)
        return y if type(self[0]) is nn.Conv2d else y / 0


class ReadsTheWeight(nn.Sequential):
    def forward(self, x):
        return super().forward(x) * self[0].weight.norm()

    def penalty(self):
        return sum(m.weight.norm() for m in self if isinstance(m, nn.Conv2d))


class CallsInternals(nn.Sequential):
    def forward(self, x):
        return self[0]._conv_forward(x, self[0].weight, None)


class TwoOfWhichOneIsHidden(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3)
        self.last = nn.Conv2d(4, 2, 1)
        HIDDEN["last"] = self.last

    def forward(self, x):
        return HIDDEN["last"](self.first(x))


HIDDEN = {}


def build():
    return Net()


def single():
    return nn.Conv2d(3, 2, 3)


def linear():
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 9 * 7, 2))


def infinite():
    model = nn.Sequential(nn.Conv2d(3, 2, 3))
    nn.init.constant_(model[0].bias, float("inf"))
    return model


def half():
    return nn.Conv2d(3, 2, 3).half()


def nan_once_converted():
    return NanOnceConverted(nn.Conv2d(3, 2, 3))


def reads_the_weight():
    return ReadsTheWeight(nn.Conv2d(3, 2, 3))


def calls_internals():
    return CallsInternals(nn.Conv2d(3, 2, 3))


def hidden():
    return TwoOfWhichOneIsHidden()


class ChangesItsInput(nn.Sequential):
    def forward(self, x):
        return super().forward(x.mul_(2).add_(1))


def changes_its_input():
    return ChangesItsInput(nn.Conv2d(3, 2, 3))


class Empty(nn.Sequential):
    def forward(self, x):
        return super().forward(x)[:0]


def empty():
    return Empty(nn.Conv2d(3, 2, 3))


def text():
    return "no model"


def fails():
    raise RuntimeError("out of luck")


def leaves():
    sys.exit(0)


def wants(width):
    return nn.Conv2d(width, 2, 3)


number = 3
'''


@dataclass(frozen=True)
class UserProject:
    """The current directory of the test."""

    folder: Path

    @classmethod
    def create(cls, folder: Path, monkeypatch: pytest.MonkeyPatch) -> "UserProject":
        """Write the module and move into the folder, for one test."""
        (folder / f"{MODULE}.py").write_text(_SOURCE)
        monkeypatch.chdir(folder)
        monkeypatch.syspath_prepend(folder)
        monkeypatch.delitem(sys.modules, MODULE, raising=False)
        return cls(folder)

    def run(self, *arguments: str) -> Result:
        return CliRunner().invoke(app, arguments, env={"COLUMNS": "100"})

    def convert(self, *arguments: str, factory: str = "build") -> Result:
        options = ["--input", "x".join(map(str, SHAPE)), "--output", "out.safetensors"]
        return self.run("convert", f"{MODULE}:{factory}", *options, *arguments)

    def model(self, seed: int = 1) -> nn.Module:
        """Return the user's model with weights of its own."""
        torch.manual_seed(seed)
        build: Callable[[], nn.Module] = __import__(MODULE).build
        model = build().eval()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.1 * torch.randn_like(parameter))
        return model

    def files(self) -> set[str]:
        """Return what lies in the folder beside the module."""
        names = {path.name for path in self.folder.iterdir()}
        return names - {f"{MODULE}.py", "__pycache__"}
