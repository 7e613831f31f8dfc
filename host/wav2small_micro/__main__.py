# SPDX-License-Identifier: Apache-2.0
"""``python -m wav2small_micro`` is the command ``w2s``."""

from wav2small_micro.cli.app import main

if __name__ == "__main__":
    main()
