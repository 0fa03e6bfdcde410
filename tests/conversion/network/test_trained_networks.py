"""Trained networks that packages ship decide the same after their conversion."""

import importlib
import sys
import types
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import expressivity as ex

pytestmark = pytest.mark.zoo

SAMPLE_RATE = 16_000  # Hz


def imported(name: str) -> Any:
    """Return a library, or skip the test."""
    try:
        return importlib.import_module(name)
    except (ImportError, RuntimeError, OSError) as error:  # or made for another torch
        return pytest.skip(f"make zoo installs {name}: {error}")


@pytest.fixture
def crepe(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return torchcrepe; it needs torchaudio only to read files."""
    if "torchaudio" not in sys.modules and not importlib.util.find_spec("torchaudio"):
        monkeypatch.setitem(sys.modules, "torchaudio", types.ModuleType("torchaudio"))
    return imported("torchcrepe")


def tone(hertz: float | Tensor, seconds: float = 0.4) -> Tensor:
    """Return a tone of constant or changing pitch."""
    time = torch.arange(int(SAMPLE_RATE * seconds)) / SAMPLE_RATE
    rate = torch.as_tensor(hertz).expand(time.shape).double() / SAMPLE_RATE
    return (2 * torch.pi * rate.cumsum(0)).sin().float()


def sounds() -> dict[str, Tensor]:
    sweep = torch.logspace(2, 3, int(SAMPLE_RATE * 0.4))  # 100 Hz to 1 kHz
    return {
        "a'": tone(440.0),
        "sweep": tone(sweep),
        "chord": tone(220.0) + tone(277.18) + tone(329.63),
        "noise": torch.randn(int(SAMPLE_RATE * 0.4)),
        "noisy": tone(196.0) + 0.5 * torch.randn(int(SAMPLE_RATE * 0.4)),
        "silence": torch.zeros(int(SAMPLE_RATE * 0.1)),
    }


def loaded(crepe: Any, capacity: str) -> torch.nn.Module:
    crepe.load.model("cpu", capacity)
    return crepe.infer.model


def frames(crepe: Any, sound: Tensor) -> Tensor:
    return torch.cat(list(crepe.preprocess(sound[None], SAMPLE_RATE, 160)))


@pytest.mark.parametrize("capacity", ["tiny", "full"])
def test_the_pitch_tracker_hears_the_same(crepe: Any, capacity: str):
    network = loaded(crepe, capacity)
    conversion = ex.convert(network, inputs=frames(crepe, tone(440.0))[:2])
    assert len(conversion.converted) == 6
    assert conversion.kept == conversion.remarks == ()
    for name, sound in sounds().items():
        with torch.no_grad():
            wanted = network(frames(crepe, sound))
            found = conversion.model(frames(crepe, sound))
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-5)
        assert torch.equal(found.argmax(1), wanted.argmax(1)), name


@pytest.mark.parametrize("capacity", ["tiny", "full"])
def test_the_pitch_tracker_names_the_pitch(crepe: Any, capacity: str):
    network = loaded(crepe, capacity)
    crepe.infer.model = ex.convert(network).model
    for hertz in (110.0, 440.0, 880.0):
        pitch = crepe.predict(
            tone(hertz)[None],
            SAMPLE_RATE,
            model=capacity,
            decoder=crepe.decode.argmax,
        )
        cents = 1200 * (pitch / hertz).log2()
        assert cents.median().abs() < 30
    crepe.infer.model = network


def test_a_pitch_tracker_with_soft_heads_hears_something_else(crepe: Any):
    """The decisions above are no matter of course."""
    network = loaded(crepe, "tiny")
    soft = ex.convert(network, alpha=0.5).model
    sound = frames(crepe, sounds()["sweep"])
    with torch.no_grad():
        same = soft(sound).argmax(1) == network(sound).argmax(1)
    assert not same.all()


def photographs() -> dict[str, Any]:
    """Return pictures that scikit-image and scikit-learn ship."""
    data = imported("skimage.data")
    astronaut = data.astronaut()
    samples = imported("sklearn.datasets").load_sample_images().images
    faces = data.lfw_subset()[:36]  # the first half shows faces, 25 x 25
    large = (faces.repeat(3, 1).repeat(3, 2) * 255).astype(np.uint8)
    sheet = np.block([[*large[row : row + 6]] for row in range(0, 36, 6)])
    pictures = {
        "astronaut": astronaut,
        "mirrored": np.ascontiguousarray(astronaut[::2, ::-2]),
        "coffee": data.coffee(),
        "36 faces": np.repeat(sheet[..., None], 3, -1),
        **{f"sample {number}": image for number, image in enumerate(samples)},
    }
    image = imported("PIL.Image")
    return {name: image.fromarray(picture) for name, picture in pictures.items()}


def test_the_face_detector_sees_the_same():
    detector = imported("facenet_pytorch").MTCNN(keep_all=True, device="cpu").eval()
    pictures = photographs()
    conversion = ex.convert(detector, inputs=(pictures["astronaut"],))
    assert len(conversion.converted) == 12
    assert conversion.kept == ()
    counts = {}
    for name, picture in pictures.items():
        found = conversion.model.detect(picture, landmarks=True)
        wanted = detector.detect(picture, landmarks=True)
        counts[name] = 0 if wanted[0] is None else len(wanted[0])
        for one, other in zip(found, wanted, strict=True):
            assert (one is None) == (other is None), name
            if other is not None and counts[name]:
                np.testing.assert_allclose(
                    np.asarray(one, float), np.asarray(other, float), atol=1e-2
                )
    assert counts["astronaut"] >= 1
    assert counts["36 faces"] >= 10
    assert 0 in counts.values()


def test_a_face_detector_with_soft_heads_sees_something_else():
    """The decisions above are no matter of course."""
    detector = imported("facenet_pytorch").MTCNN(keep_all=True, device="cpu").eval()
    picture = photographs()["36 faces"]
    soft = ex.convert(detector, alpha=0.5).model
    boxes, _ = soft.detect(picture)
    wanted, _ = detector.detect(picture)
    assert boxes is None or boxes.shape != wanted.shape
