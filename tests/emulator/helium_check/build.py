# SPDX-License-Identifier: Apache-2.0
"""PlatformIO script: the library with the Helium kernels, beside main.c."""

from pathlib import Path

Import("env")  # noqa: F821  (given by SCons)

library = Path(env.subst("$PROJECT_DIR")).parents[2] / "firmware" / "lib" / "wav2small"  # noqa: F821
env.Append(CPPPATH=[str(library)], CPPDEFINES=["W2S_KERNELS_MVE"])  # noqa: F821
env.Replace(OPTIMISATION="-O3")  # noqa: F821
env.BuildSources(  # noqa: F821
    "$BUILD_DIR/wav2small", str(library), ["+<*.c>", "+<kernels/mve/*>"]
)
