# SPDX-License-Identifier: Apache-2.0
"""UF2: a firmware as a file that a boot loader's drive takes.

Blocks of 512 bytes, each with 256 bytes of flash and their address, so that they may arrive in any
order (https://github.com/microsoft/uf2, "File format").
"""

import argparse
import struct
from pathlib import Path

MAGIC_START = (0x0A324655, 0x9E5D5157)
MAGIC_END = 0x0AB16F30
HAS_FAMILY = 0x2000
PAYLOAD = 256
DATA = 476


def uf2(image: bytes, address: int, family: int) -> bytes:
    """The blocks of `image`, which belongs at `address` of chips of `family`.

    >>> blocks = uf2(bytes(300), 0x27000, 0xADA52840)
    >>> len(blocks), struct.unpack_from("<8I", blocks, 512)[3:7]
    (1024, (159744, 256, 1, 2))
    """
    if address % PAYLOAD:
        raise ValueError(f"address {address:#x} is no multiple of {PAYLOAD}")
    pieces = [image[at : at + PAYLOAD] for at in range(0, len(image), PAYLOAD)]
    blocks = (
        struct.pack(
            "<8I",
            *MAGIC_START,
            HAS_FAMILY,
            address + number * PAYLOAD,
            PAYLOAD,
            number,
            len(pieces),
            family,
        )
        + piece.ljust(DATA, b"\0")
        + struct.pack("<I", MAGIC_END)
        for number, piece in enumerate(pieces)
    )
    return b"".join(blocks)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--address", type=lambda text: int(text, 0), required=True)
    parser.add_argument("--family", type=lambda text: int(text, 0), required=True)
    parser.add_argument("image", type=Path, help="the firmware, as in flash")
    parser.add_argument("output", type=Path)
    options = parser.parse_args()
    options.output.write_bytes(uf2(options.image.read_bytes(), options.address, options.family))


if __name__ == "__main__":
    main()
