# SPDX-License-Identifier: Apache-2.0
"""The library with generated weights, under sanitizers: every kernel set that runs on a host."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from wav2small_micro import codegen, native, paths
from wav2small_micro import plan as plans
from wav2small_micro.audio import Clip

SANITIZERS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]

MODELS = ["wav2small-72k", "wav2small-17k"]


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("kernels", ["portable", "dsp", "compact"])
def test_generated_c_answers_as_the_plan_does(
    tmp_path: Path,
    compile_c: Callable[[Path, list[Path], list[str]], Path],
    clips: list[Clip],
    model: str,
    kernels: str,
) -> None:
    library = paths.repo_root() / "firmware" / "lib" / "wav2small"
    generated = paths.model_dir(model) / "c"
    binary = compile_c(
        tmp_path / "run_clip",
        [
            *library.glob("*.c"),
            *(library / "kernels" / kernels).glob("*.c"),
            *generated.glob("*.c"),
            Path(__file__).with_name("run_clip.c"),
        ],
        [*SANITIZERS, f"-I{generated}", f"-DW2S_KERNELS_{kernels.upper()}"],
    )
    pcm = clips[0].pcm[:24_001]
    run = subprocess.run(
        [binary, "333"], input=pcm.tobytes(), capture_output=True, check=False, timeout=120
    )
    assert run.returncode == 0, run.stderr.decode()
    answers = np.array([line.split() for line in run.stdout.decode().splitlines()], int)
    expected = native.Network(plans.read(paths.model_dir(model) / "int8.tflite")).run(
        pcm, "live", window_segments=2, block=333
    )
    assert answers[-1].tolist() == expected.adv_q16.tolist()
    # Kernels that work in batches may still hold the last half second when the clip ends.
    windows = answers[:-1].tolist()
    assert len(expected.windows) - len(windows) in (0, 1)
    assert windows == expected.windows[: len(windows)].tolist()


def test_tflite_as_an_array(
    tmp_path: Path, compile_c: Callable[[Path, list[Path], list[str]], Path]
) -> None:
    data = (paths.model_dir(MODELS[1]) / "int8.tflite").read_bytes()
    source, main = tmp_path / "tflite.c", tmp_path / "main.c"
    source.write_text(codegen.tflite_array(data, MODELS[1], "0" * 64))
    main.write_text(
        "#include <stdint.h>\n#include <stdio.h>\n"
        "extern const uint8_t w2s_tflite[];\nextern const uint32_t w2s_tflite_bytes;\n"
        "int main(void) {\n"
        "    return (uintptr_t)w2s_tflite % 16 != 0 ||\n"
        "           fwrite(w2s_tflite, 1, w2s_tflite_bytes, stdout) != w2s_tflite_bytes;\n}\n"
    )
    binary = compile_c(tmp_path / "array", [source, main], [])
    assert subprocess.run([binary], capture_output=True, check=True).stdout == data
