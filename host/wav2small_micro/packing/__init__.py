# SPDX-License-Identifier: Apache-2.0
"""Weights as the kernel sets want them: one module a set, for ``weights_<set>.c``."""
