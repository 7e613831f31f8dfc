# SPDX-License-Identifier: Apache-2.0
"""Build of the extensions ``wav2small_micro._native*``; everything else is in pyproject.toml."""

from setuptools import setup

BUILD = "host/wav2small_micro/native_build.py"

setup(cffi_modules=[f"{BUILD}:portable", f"{BUILD}:dsp", f"{BUILD}:compact"])
