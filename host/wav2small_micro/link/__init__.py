# SPDX-License-Identifier: Apache-2.0
"""The serial link between host and device: messages, frames, transports, client."""
