# SPDX-License-Identifier: Apache-2.0
"""Numbers for people, without printf: the C formatting against Python's."""

import ctypes
from collections.abc import Callable
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from wav2small_micro import paths

TEXT_SIZE = 96


class Text(ctypes.Structure):
    """text_t."""

    _fields_ = (("characters", ctypes.c_char * TEXT_SIZE), ("length", ctypes.c_size_t))


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory, compile_c: Callable[..., Any]) -> ctypes.CDLL:
    source = paths.repo_root() / "firmware" / "src" / "text.c"
    trap = ["-fsanitize=undefined", "-fsanitize-undefined-trap-on-error", "-shared", "-fPIC"]
    return ctypes.CDLL(str(compile_c(tmp_path_factory.mktemp("text") / "text.so", [source], trap)))


def formatted(call: Callable[..., None], *arguments: Any) -> str:
    """What `call` appends to an empty line."""
    line = Text()
    call(ctypes.byref(line), *arguments)
    return ctypes.string_at(line.characters, line.length).decode("ascii")


@given(st.integers(-(2**31), 2**31 - 1), st.integers(1, 9))
@example(-(2**31), 9)
@example(-1, 2)
@example(8192, 2)  # 0.125, half way
@example(65535, 2)
def test_q16(text: ctypes.CDLL, number: int, decimals: int) -> None:
    exact = Decimal(number) / 65536
    expected = exact.quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_UP)
    shown = formatted(text.text_add_q16, ctypes.c_int32(number), ctypes.c_uint(decimals))
    assert shown == f"{abs(expected) if expected == 0 else expected:f}"


@given(st.integers(-(2**31), 2**31 - 1))
def test_five_decimals_tell_the_integer(text: ctypes.CDLL, number: int) -> None:
    shown = formatted(text.text_add_q16, ctypes.c_int32(number), ctypes.c_uint(5))
    assert round(float(shown) * 65536) == number


@given(st.integers(0, 2**64 - 1))
@example(0)
@example(2**64 - 1)
def test_number(text: ctypes.CDLL, number: int) -> None:
    assert formatted(text.text_add_number, ctypes.c_uint64(number)) == str(number)


@given(st.integers(0, 2**32 - 1))
def test_hex(text: ctypes.CDLL, number: int) -> None:
    shown = formatted(text.text_add_hex, ctypes.c_uint32(number), ctypes.c_uint(8))
    assert shown == f"{number:08x}"


def test_long_line_is_cut(text: ctypes.CDLL) -> None:
    assert formatted(text.text_add, b"x" * 200) == "x" * TEXT_SIZE
