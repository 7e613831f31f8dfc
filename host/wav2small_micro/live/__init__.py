# SPDX-License-Identifier: Apache-2.0
"""The live view: a device, audio for it, and a page on this machine that shows what it says.

A player talks to the device and hands on every byte that comes from it. The feed gives them to all
pages that look, and the page decodes them itself, with a codec that is written from the registry of
messages: what it shows is what was on the wire.
"""
