# SPDX-License-Identifier: Apache-2.0
"""Build of the extension ``wav2small_micro._native``; everything else is in pyproject.toml."""

from setuptools import setup

setup(cffi_modules=["host/wav2small_micro/native_build.py:ffi"])
