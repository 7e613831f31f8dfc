# SPDX-License-Identifier: Apache-2.0
"""The C header and the protocol page say what the registry says."""

import shutil
import subprocess
from pathlib import Path

import pytest

from wav2small_micro.link import generate, messages
from wav2small_micro.link.messages import MESSAGES, Direction
from wav2small_micro.paths import repo_root


@pytest.mark.parametrize("path", sorted(generate.outputs()))
def test_generated_file_is_up_to_date(path: Path) -> None:
    text = (repo_root() / path).read_text("utf-8")
    assert text == generate.outputs()[path], "run python -m wav2small_micro.link.generate"


def test_every_request_names_a_reply() -> None:
    names = {m.wire_name() for m in MESSAGES if m.direction is Direction.REPLY}
    for message in MESSAGES:
        assert (message.reply in names) == (message.direction is Direction.REQUEST)


def test_every_message_fits_the_largest_payload() -> None:
    assert all(m.fixed_size() <= messages.MAX_PAYLOAD for m in MESSAGES)
    full_audio = messages.Audio.fixed_size() + 2 * messages.BLOCK_SAMPLES
    assert full_audio <= messages.MAX_PAYLOAD


def test_a_code_is_taken_once() -> None:
    with pytest.raises(TypeError, match="0x01 is taken"):

        class Twice(messages.Message, code=0x01, direction=Direction.EVENT):
            pass


def test_page_names_every_message_field_and_value() -> None:
    page = generate.page()
    for message in MESSAGES:
        assert f"### 0x{message.code:02X} {message.wire_name()}\n" in page
        assert all(f"`{field.name}`" in page for field in message.wire_fields())
    for enum in messages.ENUMS:
        assert all(f"| {member.name} |" in page for member in enum)


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
def test_header_compiles_and_lays_fields_out_as_the_registry(tmp_path: Path) -> None:
    """Offsets in C equal offsets on the wire, by assertions that the compiler checks."""
    checks = []
    for message in MESSAGES:
        offset = 0
        for field in message.wire_fields():
            if message.fixed_size():
                struct_name = f"link_{message.wire_name().lower()}_t"
                checks.append(f"offsetof({struct_name}, {field.name}) == {offset}")
            offset += field.size
        checks.append(f"LINK_{message.wire_name()} == {message.code}")
    source = tmp_path / "offsets.c"
    source.write_text(
        '#include <stddef.h>\n#include "messages.h"\n'
        + "".join(f"typedef char check_{i}[({c}) ? 1 : -1];\n" for i, c in enumerate(checks))
        + "int check_anchor = LINK_LAYERS;\n"
    )
    folder = repo_root() / generate.HEADER_PATH.parent
    flags = ["-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Werror", f"-I{folder}"]
    subprocess.run(["cc", *flags, "-c", source, "-o", tmp_path / "offsets.o"], check=True)
