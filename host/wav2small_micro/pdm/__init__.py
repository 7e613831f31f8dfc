# SPDX-License-Identifier: Apache-2.0
"""PDM microphones on the host: the filters' design, a modulator, and the C that takes its bits."""
