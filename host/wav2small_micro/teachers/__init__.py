# SPDX-License-Identifier: Apache-2.0
"""Models that a student learns from: the paper's, any ONNX or Keras file, one trained here."""
