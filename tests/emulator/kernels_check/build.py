# SPDX-License-Identifier: Apache-2.0
"""PlatformIO script: the library with the environment's kernel set, beside main.c."""

from pathlib import Path

Import("env")  # noqa: F821  (given by SCons)

library = Path(env.subst("$PROJECT_DIR")).parents[2] / "firmware" / "lib" / "wav2small"  # noqa: F821
kernels = env.GetProjectOption("custom_kernels")  # noqa: F821
env.Append(CPPPATH=[str(library)], CPPDEFINES=[f"W2S_KERNELS_{kernels.upper()}"])  # noqa: F821
env.Replace(OPTIMISATION="-O3")  # noqa: F821
env.BuildSources(  # noqa: F821
    "$BUILD_DIR/wav2small", str(library), ["+<*.c>", f"+<kernels/{kernels}/*>"]
)
