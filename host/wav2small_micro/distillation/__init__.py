# SPDX-License-Identifier: Apache-2.0
"""Distillation: disturbed speech, a teacher's answers as targets, students that learn them."""
