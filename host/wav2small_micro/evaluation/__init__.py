# SPDX-License-Identifier: Apache-2.0
"""How well answers agree: with people, with a teacher, with each other, and when disturbed."""
