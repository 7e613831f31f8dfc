# SPDX-License-Identifier: Apache-2.0
"""Energy of an inference: measured from a trace of current, or modelled."""
