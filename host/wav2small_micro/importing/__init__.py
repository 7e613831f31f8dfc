# SPDX-License-Identifier: Apache-2.0
"""Weights from elsewhere: the released checkpoint, or a student as ONNX, into a model folder."""
