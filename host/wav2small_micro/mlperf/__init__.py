# SPDX-License-Identifier: Apache-2.0
"""MLPerf Tiny: the device under test as its runner drives it, and what the runner wants to read."""
