# SPDX-License-Identifier: Apache-2.0
"""PlatformIO platform for the boards in firmware/boards.

It has no packages to download: the compiler and the programmers come from the PATH, as
distributions ship them. PlatformIO itself needs its build tool, `tool-scons`; where our Python
package is installed beside PlatformIO, it puts SCons from PyPI there, so that a build needs no
PlatformIO registry. Elsewhere PlatformIO downloads it as usual.
"""

from platformio.public import PlatformBase


class CortexmPlatform(PlatformBase):
    def is_embedded(self):
        return True

    def configure_project_packages(self, env, targets=None):
        super().configure_project_packages(env, targets)
        try:
            from wav2small_micro import pio
        except ImportError:
            return
        pio.seed_scons(self.config.get("platformio", "packages_dir"))
