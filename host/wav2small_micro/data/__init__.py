# SPDX-License-Identifier: Apache-2.0
"""Speech to learn from and to be measured on: manifests, checks, splits, labels."""
