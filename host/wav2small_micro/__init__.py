# SPDX-License-Identifier: Apache-2.0
"""Wav2Small on microcontrollers: models, conversion, engines, link and the command ``w2s``."""

__version__ = "0.1.0"
