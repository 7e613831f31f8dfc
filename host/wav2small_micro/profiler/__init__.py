# SPDX-License-Identifier: Apache-2.0
"""What the firmware costs: counted in QEMU by a plugin of our own, timed by a model of the core."""
