# SPDX-License-Identifier: Apache-2.0
"""Instruments read as they measure: their bytes go to a file, and are decoded from there.

So nothing is computed while samples come in, a recording can be gone through again, and hours of it
take disk, not memory.
"""
