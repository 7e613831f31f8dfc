# SPDX-License-Identifier: Apache-2.0
"""firmware/lib/pdm under sanitizers: the samples of the extension, whatever comes in."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from wav2small_micro import paths
from wav2small_micro.pdm import library

SANITIZERS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]


@pytest.fixture(scope="module")
def listen(
    tmp_path_factory: pytest.TempPathFactory,
    compile_c: Callable[[Path, list[Path], list[str]], Path],
) -> Path:
    folder = paths.repo_root() / "firmware" / "lib" / "pdm"
    sources = [*folder.glob("*.c"), Path(__file__).with_name("listen.c")]
    output = tmp_path_factory.mktemp("listen") / "listen"
    return compile_c(output, sources, [*SANITIZERS, f"-I{folder}"])


def run(binary: Path, clock_hz: int, layout: int, gain: int, call: int, data: bytes) -> np.ndarray:
    arguments = [str(value) for value in (clock_hz // 1000, layout, gain, call)]
    answer = subprocess.run([binary, *arguments], input=data, capture_output=True, timeout=60)
    assert answer.returncode == 0, answer.stderr.decode()
    return np.frombuffer(answer.stdout, np.int16)


def inputs() -> dict[str, np.ndarray]:
    """A tenth of a second of the faster clock, each."""
    rng = np.random.default_rng(6)
    count = 25_600
    return {
        "random": rng.integers(0, 256, count).astype(np.uint8),
        "ones": np.full(count, 255, np.uint8),
        "zeros": np.zeros(count, np.uint8),
        "square": np.where(np.arange(count) // 640 % 2, 255, 0).astype(np.uint8),
    }


@pytest.mark.parametrize("call", [4, 128, 1000, 4096])
@pytest.mark.parametrize("gain", [0, 4096, 65535])
@pytest.mark.parametrize("name", inputs())
def test_pdm(listen: Path, name: str, gain: int, call: int) -> None:
    data = inputs()[name]
    for clock_hz in library.CLOCKS_HZ:
        for layout, value in library.LAYOUTS.items():
            got = run(listen, clock_hz, value, gain, call, data.tobytes())
            assert np.array_equal(got, library.Pdm(clock_hz, layout, gain).pcm(data))


@pytest.mark.parametrize("gain", [0, 4096, 65535])
@pytest.mark.parametrize("name", inputs())
def test_i2s(listen: Path, name: str, gain: int) -> None:
    data = inputs()[name]
    for layout, value in library.SLOT_LAYOUTS.items():
        got = run(listen, 0, value, gain, 256, data.tobytes())
        assert np.array_equal(got, library.I2s(layout, "right", gain).pcm(data))


def test_what_is_no_whole_word_is_left(listen: Path) -> None:
    """Up to 3 bytes at the end of a call, as pdm.h says."""
    data = inputs()["random"]
    got = run(listen, 1_024_000, 0, 4096, 7, data.tobytes())
    kept = data[: len(data) // 7 * 7].reshape(-1, 7)[:, :4].ravel()
    assert np.array_equal(got, library.Pdm(1_024_000).pcm(kept)[: len(got)])
