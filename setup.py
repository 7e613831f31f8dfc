# SPDX-License-Identifier: Apache-2.0
"""Build of the extension ``wav2small_micro._native``; everything else is in pyproject.toml."""

from pathlib import Path

from setuptools import setup

NATIVE_BUILD = next(
    (p for p in ("host/native_build.py", "host/wav2small_micro/native_build.py") if Path(p).exists()),
    None,
)

setup(cffi_modules=[f"{NATIVE_BUILD}:ffi"] if NATIVE_BUILD else [])
