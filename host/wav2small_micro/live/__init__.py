# SPDX-License-Identifier: Apache-2.0
"""Live use: a player that keeps a session going on a device, and those who listen to it.

The terminal, a recording and the feed of the page are sinks of the same player. The feed hands on
every byte that came from the device, and the page decodes them itself, with a codec that is written
from the registry of messages: what it shows is what was on the wire.
"""
