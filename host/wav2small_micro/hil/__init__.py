# SPDX-License-Identifier: Apache-2.0
"""Hardware in the loop: is this board the one that it should be, and does it compute right?"""
