# SPDX-License-Identifier: Apache-2.0
"""The command ``w2s``: one module a group of commands, put together in ``app``."""
