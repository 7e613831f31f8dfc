# SPDX-License-Identifier: Apache-2.0
"""Traces of every instrument: known energies come back, and what is broken is told."""

import contextlib
import itertools
import re
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import power

from wav2small_micro.energy.options import Options
from wav2small_micro.energy.readers import delimited, lpm01a, open_recording
from wav2small_micro.energy.trace import Notes, Recording, Trace
from wav2small_micro.errors import W2sError

BOUND = 0.005
"""Largest relative error of an energy that is known."""

TRACE = power.made()
GIVEN = Options(voltage=TRACE.volts)


def _lpm01a(write: Callable[[power.Made], bytes]) -> Callable[[Path, power.Made], Path]:
    def written(path: Path, trace: power.Made) -> Path:
        path.write_bytes(write(trace))
        return path

    return written


FORMATS: dict[str, tuple[Callable[[Path, power.Made], Path], Options]] = {
    "ppk2.csv": (power.ppk2_csv, GIVEN),
    "ppk2-columns.csv": (lambda p, t: power.ppk2_csv(p, t, style="columns"), GIVEN),
    "ppk2-plain.csv": (lambda p, t: power.ppk2_csv(p, t, style="none"), GIVEN),
    "kit.ppk2": (power.ppk2_session, GIVEN),
    "ours.csv": (power.plain_csv, Options()),
    "comma.csv": (lambda p, t: power.plain_csv(p, t, separator=";", decimal=","), Options()),
    "tabs.txt": (lambda p, t: power.plain_csv(p, t, separator="\t"), Options()),
    "js220.jls": (power.jls, Options()),
    "lpm01a.log": (_lpm01a(power.lpm01a_ascii), Options()),
    "lpm01a.bin": (_lpm01a(power.lpm01a_binary), Options()),
}


@pytest.mark.parametrize("name", FORMATS)
def test_a_known_energy_comes_back(tmp_path: Path, name: str) -> None:
    write, options = FORMATS[name]
    notes = Notes()
    found = open_recording(write(tmp_path / name, TRACE), options).whole(notes)
    assert found.energy == pytest.approx(TRACE.total, rel=BOUND)
    assert found.energy == pytest.approx(TRACE.total, rel=1e-5), "what the format's digits hold"
    assert len(found) == len(TRACE.current)
    assert found.seconds == pytest.approx(len(TRACE.current) / TRACE.rate, rel=1e-6)
    assert not found.gaps
    assert not notes.lines


@pytest.mark.parametrize(
    "name", ["ppk2.csv", "ppk2-columns.csv", "kit.ppk2", "ours.csv", "js220.jls"]
)
def test_the_marker_comes_with_it(tmp_path: Path, name: str) -> None:
    write, options = FORMATS[name]
    recording = open_recording(write(tmp_path / name, TRACE), options)
    channel = {"ours.csv": "Marker", "js220.jls": "gpi0"}.get(name, "d0")
    bits = recording.whole().digital >> recording.bit(channel) & 1
    np.testing.assert_array_equal(bits.astype(bool), TRACE.marker)


def test_pieces_join_without_a_seam(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = {}
    for name, (write, options) in FORMATS.items():
        whole[name] = open_recording(write(tmp_path / name, TRACE), options).whole()
    monkeypatch.setattr("wav2small_micro.energy.readers.delimited._CHUNK", 1021)
    monkeypatch.setattr("wav2small_micro.energy.readers.jls._CHUNK", 1000)
    monkeypatch.setattr("wav2small_micro.energy.readers.ppk2_session._CHUNK", 6000)
    monkeypatch.setattr("wav2small_micro.energy.readers.lpm01a._CHUNK", 997)
    for name, (_, options) in FORMATS.items():
        pieces = list(open_recording(tmp_path / name, options).pieces())
        assert len(pieces) > 1
        for field in ("time", "width", "current", "digital"):
            joined = np.concatenate([getattr(piece, field) for piece in pieces])
            np.testing.assert_allclose(joined, getattr(whole[name], field), rtol=1e-12, atol=1e-12)


def test_progress_ends_at_one(tmp_path: Path) -> None:
    for name, (write, options) in FORMATS.items():
        shares: list[float] = []
        for _ in open_recording(write(tmp_path / name, TRACE), options).pieces(None, shares.append):
            pass
        assert shares == sorted(shares)
        assert shares[-1] == pytest.approx(1.0)


# --- What a text can be like ---------------------------------------------------------------------


def read_text(
    tmp_path: Path, text: str | bytes, options: Options | None = None
) -> tuple[Trace, list[str]]:
    path = tmp_path / "a.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    notes = Notes()
    found = open_recording(path, options or Options(voltage=3.0)).whole(notes)
    return found, notes.lines


LINES = "0,1000\n1,1000\n2,1000\n3,1000\n"


@pytest.mark.parametrize(
    "header",
    [
        "Timestamp(ms),Current(uA)",
        "time_ms,current_ua",
        "t [ms],I [µA]",
        "T (ms), i (UA)",
        '"Time (ms)","Current (uA)"',
        "\ufefftimestamp(ms),current(uA)",
        "# made by hand\n\nTime_ms,Current_uA",
    ],
)
def test_headers(tmp_path: Path, header: str) -> None:
    found, _ = read_text(tmp_path, f"{header}\n{LINES}")
    np.testing.assert_allclose(found.current, 1e-3)
    np.testing.assert_allclose(found.time, [0, 1e-3, 2e-3, 3e-3])


def test_latin_1_and_windows_lines(tmp_path: Path) -> None:
    text = ("time_s;current (µA)\n" + LINES.replace(",", ";")).replace("\n", "\r\n")
    found, _ = read_text(tmp_path, text.encode("latin-1"))
    np.testing.assert_allclose(found.current, 1e-3)


def test_columns_in_any_order_and_others_between(tmp_path: Path) -> None:
    text = (
        "note,voltage_mv,D3,current_ma,x,time_us\na,3000,1,5,,0\nb,3000,0,5,,10\nc,3000,1,5,,20\n"
    )
    found, _ = read_text(tmp_path, text, Options())
    assert found.voltage[0] == 3.0
    assert list(found.digital) == [1, 0, 1]
    assert found.time[-1] == pytest.approx(20e-6)


def test_a_given_voltage_and_rate_go_before_the_file(tmp_path: Path) -> None:
    text = "time_s,current_a,voltage_v\n" + "0,1,5\n" * 4
    found, _ = read_text(tmp_path, text, Options(voltage=2.0, rate=10.0))
    assert found.energy == pytest.approx(4 * 0.1 * 1 * 2)


def test_digital_signs_of_power_profiler(tmp_path: Path) -> None:
    text = "Timestamp(ms),Current(uA),D0-D7\n0,-5,1000000-\n1,5,X0000001\n2,5,01000000\n"
    found, notes = read_text(tmp_path, text)
    assert list(found.digital) == [1, 129, 2]
    assert found.current[0] == pytest.approx(-5e-6), "the sign of a current stays"
    assert any("changed within" in line for line in notes)


def test_a_gap_is_not_integrated(tmp_path: Path) -> None:
    text = "Timestamp(ms),Current(uA)\n" + "".join(f"{i},1000\n" for i in (0, 1, 2, 12, 13, 14))
    found, notes = read_text(tmp_path, text)
    assert found.seconds == pytest.approx(6e-3)
    assert [(gap.start, gap.end) for gap in found.gaps] == [
        (pytest.approx(3e-3), pytest.approx(12e-3))
    ]
    assert any("gap" in line for line in notes)
    assert any("0.009 s have no samples" in line for line in notes)


def test_irregular_times_hold_until_the_next(tmp_path: Path) -> None:
    times, amps = (0, 1, 3, 4, 7, 8, 10), (1, 2, 3, 4, 5, 6, 7)
    text = "time_s,current_a\n" + "".join(f"{t},{i}\n" for t, i in zip(times, amps, strict=True))
    found, notes = read_text(tmp_path, text)
    assert found.energy == pytest.approx(3.0 * (1 + 4 + 3 + 12 + 5 + 12 + 7 * 1.5))
    assert any("irregular" in line for line in notes)


def test_a_cut_last_line_is_left_out(tmp_path: Path) -> None:
    found, notes = read_text(tmp_path, "time_ms,current_ua\n0,1000\n1,1000\n2,10")
    assert len(found) == 2
    assert any("may be cut" in line for line in notes)


def test_missing_numbers_leave_a_gap(tmp_path: Path) -> None:
    found, notes = read_text(tmp_path, "time_ms,current_ua\n0,1\n1,nan\n2,1\n3,1\n")
    assert len(found) == 3
    assert len(found.gaps) == 1
    assert any("not a number" in line for line in notes)


def test_the_end_of_the_range_is_marked(tmp_path: Path) -> None:
    text = "Timestamp(ms),Current(uA)\n0,1000\n1,1000000\n2,1000\n"
    found, notes = read_text(tmp_path, text)
    assert found.saturated is not None
    assert list(found.saturated) == [False, True, False]
    assert any("end of the range of 1 A" in line for line in notes)


BROKEN: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "is empty"),
    "header alone": (b"time_s,current_a\n", "no samples"),
    "no current": (b"time_s,power_w\n0,1\n", "no column of current with its unit"),
    "no unit": (b"time_s,current\n0,1\n", "no column of current with its unit"),
    "no unit of time": (b"time,current_a\n0,1\n", "has no unit"),
    "no time": (b"current_a\n1\n2\n", "no column of times"),
    "words": (b"time_s,current_a\n0,1\n1,many\n", "line 3 has 'many'"),
    "too few": (b"time_s,current_a,voltage_v\n0,1,3\n1,1\n", "line 3 has 2 columns"),
    "decimal comma": (b"time_ms,current_ua\n0,5,1,5\n1,5,1,5\n", "line 2 has 4 columns"),
    "back": (b"time_s,current_a\n0,1\n2,1\n1,1\n", "goes backwards"),
    "one time": (b"time_s,current_a\n" + b"1,1\n" * 9, "same time"),
    "no time in a line": (b"time_s,current_a\n0,1\nnan,1\n", "line 3 has no time"),
    "utf-16": ("time_s,current_a\n0,1\n".encode("utf-16"), "UTF-16"),
    "binary": (bytes(range(256)) * 8, "is not text"),
    "digital": (b"time_s,current_a,D0\n0,1,0\n1,1,7\n", "line 3 has a digital channel"),
    "no lines": (b"time_s,current_a\n" + b"1" * 70_000, "more than 65536 bytes"),
    "prose": (b"Dear Sir,\nI write to you\n", "no column of current"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_text_is_told(tmp_path: Path, name: str) -> None:
    data, says = BROKEN[name]
    with pytest.raises(W2sError, match=re.escape(says)) as caught:
        read_text(tmp_path, data)
    assert caught.value.hint


def test_without_a_voltage(tmp_path: Path) -> None:
    with pytest.raises(W2sError, match="has no voltage") as caught:
        read_text(tmp_path, f"time_ms,current_ua\n{LINES}", Options())
    assert "--voltage" in caught.value.hint


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(W2sError, match="cannot be read"):
        open_recording(tmp_path / "no.csv")


@pytest.mark.parametrize("wrong", [{"voltage": 0.0}, {"rate": -1.0}, {"rate": float("inf")}])
def test_wrong_options(wrong: dict[str, float]) -> None:
    with pytest.raises(W2sError):
        Options(**wrong)


# --- Power Profiler's own files ------------------------------------------------------------------


def archive(path: Path, members: dict[str, bytes]) -> Path:
    """A .ppk2 of these."""
    with zipfile.ZipFile(path, "w") as file:
        for name, data in members.items():
            file.writestr(name, data)
    return path


def test_samples_that_power_profiler_lacks_are_a_gap(tmp_path: Path) -> None:
    frames = np.array(
        [(1000, 0x5555), (np.nan, 0x5555), (1000, 0x5559)], [("i", "<f4"), ("b", ">u2")]
    )
    members = {"session.raw": frames.tobytes() + b"cut", "metadata.json": META}
    notes = Notes()
    found = open_recording(archive(tmp_path / "a.ppk2", members), GIVEN).whole(notes)
    np.testing.assert_allclose(found.current, 1e-3)
    assert list(found.digital) == [0, 2]
    assert len(found.gaps) == 1
    assert any("is cut" in line for line in notes.lines)


META = b'{"metadata": {"samplesPerSecond": 1000}, "formatVersion": 2}'


@pytest.mark.parametrize(
    ("members", "says"),
    [
        ({"metadata.json": META}, "not one of Power Profiler"),
        ({"session.raw": b"123456"}, "does not say its rate"),
        ({"session.raw": b"123456", "metadata.json": b"[]"}, "does not say its rate"),
        ({"session.raw": b"1", "metadata.json": META.replace(b"1000", b"-1")}, "says -1"),
        ({"session.raw": b"123", "metadata.json": META}, "no samples"),
    ],
)
def test_archives_that_are_none(tmp_path: Path, members: dict[str, bytes], says: str) -> None:
    with pytest.raises(W2sError, match=says):
        open_recording(archive(tmp_path / "a.ppk2", members), GIVEN).whole()


def test_damaged_archives(tmp_path: Path) -> None:
    whole = power.ppk2_session(tmp_path / "a.ppk2", TRACE).read_bytes()
    path = tmp_path / "b.ppk2"
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(W2sError, match="is damaged"):
        open_recording(path, GIVEN)
    path.write_bytes(whole[:2000] + b"x" * 50 + whole[2050:])
    with pytest.raises(W2sError, match="is damaged"):
        open_recording(path, GIVEN).whole()
    with pytest.raises(W2sError, match="has no voltage"):
        open_recording(path)


# --- Joulescope ----------------------------------------------------------------------------------


def test_samples_that_joulescope_lost_are_a_gap(tmp_path: Path) -> None:
    notes = Notes()
    path = power.jls(tmp_path / "a.jls", TRACE, lost=slice(100, 200))
    found = open_recording(path).whole(notes)
    assert len(found) == len(TRACE.current) - 100
    assert len(found.gaps) == 1
    assert any("not a number (100 times)" in line.replace(") (", " (") for line in notes.lines)


def test_signals_of_other_rates(tmp_path: Path) -> None:
    from pyjls import DataType, SignalType, Writer

    path = tmp_path / "a.jls"
    with Writer(str(path)) as file:
        file.source_def(source_id=1, name="a", vendor="", model="", version="", serial_number="")
        for number, name, rate in ((1, "current", 1000), (2, "voltage", 100)):
            file.signal_def(
                signal_id=number,
                source_id=1,
                signal_type=SignalType.FSR,
                data_type=DataType.F32,
                sample_rate=rate,
                name=name,
                units="",
            )
        file.fsr_f32(1, 0, np.full(1000, 0.5, np.float32))
        file.fsr_f32(2, 0, np.repeat([2.0, 4.0], 50).astype(np.float32))
    found = open_recording(path).whole()
    assert found.energy == pytest.approx(0.5 * (2 + 4) / 2)


def test_without_pyjls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = power.jls(tmp_path / "a.jls", TRACE)
    monkeypatch.setitem(sys.modules, "pyjls", None)
    with pytest.raises(W2sError, match="needs pyjls") as caught:
        open_recording(path)
    assert caught.value.hint == "pip install pyjls"


def test_damaged_jls(tmp_path: Path) -> None:
    path = power.jls(tmp_path / "a.jls", TRACE)
    data = path.read_bytes()
    (tmp_path / "b.jls").write_bytes(data[:24])
    with pytest.raises(W2sError):
        open_recording(tmp_path / "b.jls").whole()
    (tmp_path / "c.jls").write_bytes(b"\xd3tagfmt \r\n \n  \x1a\x1c" + bytes(64))
    with pytest.raises(W2sError, match="version 1"):
        open_recording(tmp_path / "c.jls")


@pytest.mark.parametrize("kept", [0.3, 0.75, 0.999])
def test_a_jls_that_was_not_closed_stays_as_it_is(tmp_path: Path, kept: float) -> None:
    """pyjls mends such a file in place, or cuts it: that must not happen to the only recording."""
    whole = power.jls(tmp_path / "a.jls", TRACE).read_bytes()
    path = tmp_path / "b.jls"
    flipped = bytearray(whole)
    flipped[-7] ^= 1
    for data in (whole[: int(kept * len(whole))], bytes(flipped)):
        path.write_bytes(data)
        notes = Notes()
        with contextlib.suppress(W2sError):
            open_recording(path).whole(notes)
            assert any("not closed" in line for line in notes.lines)
        assert path.read_bytes() == data


# --- LPM01A --------------------------------------------------------------------------------------


def read_log(
    tmp_path: Path, data: bytes, options: Options | None = None
) -> tuple[Trace, list[str]]:
    path = tmp_path / "a.log"
    path.write_bytes(data)
    notes = Notes()
    return open_recording(path, options or Options()).whole(notes), notes.lines


def test_words_by_hand() -> None:
    """UM2269: four bits of the negated power of 16, twelve of the value."""
    np.testing.assert_allclose(lpm01a._words(b"\x52\xa1\x20\x01"), [0x2A1 / 16**5, 1 / 16**2])


@pytest.mark.parametrize("write", [power.lpm01a_ascii, power.lpm01a_binary])
def test_the_rate_can_come_from_the_timestamps(
    tmp_path: Path, write: Callable[[power.Made], bytes]
) -> None:
    trace = power.made(rate=1000, blocks=150)
    data = re.sub(rb"PowerShield > ack freq \d+\r\n", b"", write(trace))
    found, notes = read_log(tmp_path, data)
    assert found.energy == pytest.approx(trace.total, rel=BOUND)
    assert not notes
    short = re.sub(rb"PowerShield > ack freq \d+\r\n", b"", write(power.made(rate=1000, blocks=20)))
    with pytest.raises(W2sError, match="how many samples"):
        read_log(tmp_path, short)
    read_log(tmp_path, short, Options(rate=1000))


@pytest.mark.parametrize("write", [power.lpm01a_ascii, power.lpm01a_binary])
def test_without_dialogue_the_user_says_it(
    tmp_path: Path, write: Callable[[power.Made], bytes]
) -> None:
    data = re.sub(rb".*ack .*\r\n", b"", write(TRACE))
    with pytest.raises(W2sError, match=r"voltage|how many samples"):
        read_log(tmp_path, data)
    found, _ = read_log(tmp_path, data, Options(voltage=TRACE.volts, rate=TRACE.rate))
    assert found.energy == pytest.approx(TRACE.total, rel=BOUND)


def test_lost_samples_leave_a_gap(tmp_path: Path) -> None:
    trace = power.made(rate=1000, blocks=140)
    lines = power.lpm01a_ascii(trace).split(b"\r\n")
    second = next(i for i, line in enumerate(lines) if b"001s" in line)
    found, notes = read_log(tmp_path, b"\r\n".join(lines[: second - 300] + lines[second:]))
    assert len(found.gaps) == 1
    assert found.gaps[0].end - found.gaps[0].start == pytest.approx(0.3, abs=1e-6)
    assert any("samples lost" in line for line in notes)


def test_a_lost_byte_costs_its_stretch_and_is_told(tmp_path: Path) -> None:
    trace = power.made(rate=1000, blocks=140)
    data = power.lpm01a_binary(trace)
    at = data.index(power.lpm01a_stamp(1000)) + 500
    found, notes = read_log(tmp_path, data[:at] + data[at + 1 :])
    assert any("bytes lost" in line for line in notes)
    kept = trace.current[:1000], trace.current[2000:]
    np.testing.assert_allclose(found.current, np.concatenate(kept), rtol=0.02)
    assert found.gaps[0].end - found.gaps[0].start == pytest.approx(1.0, abs=1e-6)


def test_what_the_board_reports(tmp_path: Path) -> None:
    data = b"PowerShield > ack volt 3000m\r\nPowerShield > ack freq 10\r\n"
    data += b"1000-05\r\nerror overcurrent\r\n1000-05\r\nwhat is this\r\nend\r\n"
    found, notes = read_log(tmp_path, data)
    assert found.saturated is not None
    assert found.saturated.any()
    assert found.voltage[0] == 3.0
    assert any("overcurrent" in line for line in notes)
    assert any("neither a sample nor known" in line for line in notes)


def test_binary_metadata(tmp_path: Path) -> None:
    words = power.lpm01a_words(np.full(10, 0.01))
    data = b"ack freq 10\r\n" + power.lpm01a_stamp(0) + b"\xf0\xf7\x0c\xe4\xff\xff" + words
    data += b"\xf0\xf1something\xff\xff" + words + b"\xf0\xf5\xff\xff" + b"\xf0\xf4\xff\xff"
    found, notes = read_log(tmp_path, data)
    assert found.voltage[0] == 3.3
    assert len(found) == 20
    assert any("something" in line for line in notes)
    assert any("overcurrent" in line for line in notes)


def test_digits_that_are_none(tmp_path: Path) -> None:
    """Latin-1 has digits in superscript, which are no part of a number."""
    data = b"ack volt 3000m\r\nPowerShield > ack freq 10\r\n1000-05\r\n10\xb20-05\r\nend\r\n"
    found, notes = read_log(tmp_path, data)
    assert len(found) == 1
    assert any("neither a sample nor known" in line for line in notes)


def test_a_log_without_its_end(tmp_path: Path) -> None:
    for write in (power.lpm01a_ascii, power.lpm01a_binary):
        data = write(TRACE)
        cut = data[: len(data) // 2]
        _, notes = read_log(tmp_path, cut)
        assert any("no end" in line for line in notes)


def test_energies_are_not_currents(tmp_path: Path) -> None:
    with pytest.raises(W2sError, match="energies and not currents"):
        read_log(tmp_path, b"PowerShield > ack output energy\r\n1000-05\r\n")


# --- Anything at all -----------------------------------------------------------------------------


def sane(recording: Recording) -> None:
    """Whatever comes out holds together; W2sError is a fine answer too."""
    last = -np.inf
    for piece in recording.pieces():
        assert len({len(piece.time), len(piece.width), len(piece.current)}) == 1
        assert np.isfinite(piece.current).all()
        assert np.isfinite(piece.voltage).all()
        assert np.isfinite(piece.time).all()
        assert np.all(piece.width >= 0)
        assert np.all(np.diff(piece.time) >= 0)
        assert piece.time[0] >= last - 1e-9
        ends = piece.time + piece.width
        assert np.all(ends[:-1] <= piece.time[1:] * (1 + 1e-9) + 1e-9), "samples overlap"
        last = piece.time[-1]


def read_anything(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    for options in (Options(), Options(voltage=3.0, rate=1000.0)):
        with contextlib.suppress(W2sError):
            sane(open_recording(path, options))


ANY = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
CELLS = st.one_of(
    st.floats(allow_nan=True, allow_infinity=True).map(str),
    st.integers(-(10**9), 10**9).map(str),
    st.sampled_from(["", "nan", "-", "00000001", "1,5", '"', "1e400", "0x10", "µ", "\x00"]),
)


@ANY
@given(
    header=st.sampled_from(
        ["Timestamp(ms),Current(uA),D0-D7", "time_s;current_a;D0", "current_ma,time_us,marker"]
    ),
    rows=st.lists(st.lists(CELLS, max_size=4), max_size=8),
    separator=st.sampled_from(",;\t"),
    end=st.sampled_from(["\n", "\r\n", ""]),
)
def test_any_text(
    tmp_path: Path, header: str, rows: list[list[str]], separator: str, end: str
) -> None:
    text = "\n".join([header, *(separator.join(row) for row in rows)]) + end
    read_anything(tmp_path / "a.csv", text.encode("utf-8", "replace"))


@ANY
@given(st.binary(max_size=300))
def test_any_bytes(tmp_path: Path, data: bytes) -> None:
    read_anything(tmp_path / "a", data)


@ANY
@given(
    st.lists(
        st.one_of(
            st.binary(max_size=12),
            st.integers(0, 2**32 - 1).map(power.lpm01a_stamp),
            st.sampled_from(
                [b"\xf0\xf4\xff\xff", b"\xf0\xf5\xff\xff", b"\xf0\xf7\x0c\xe4\xff\xff"]
            ),
            st.sampled_from([b"ack freq 1k\r\n", b"ack volt 3300m\r\n", b"\xf0\xf1", b"\xf0"]),
            st.lists(st.floats(0, 0.05), max_size=20).map(
                lambda amps: power.lpm01a_words(np.array(amps))
            ),
        ),
        max_size=12,
    )
)
def test_any_binary_log(tmp_path: Path, parts: list[bytes]) -> None:
    read_anything(tmp_path / "a", power.lpm01a_stamp(0) + b"".join(parts))


@ANY
@given(
    st.lists(
        st.one_of(
            st.text(max_size=12),
            st.floats(1e-9, 1).map(power.lpm01a_ascii_sample),
            st.tuples(st.integers(0, 99), st.integers(0, 999)).map(
                lambda t: f"TimeStamp: {t[0]:03d}s {t[1]:03d}ms, buff 02%"
            ),
            st.sampled_from(["end", "error", "PowerShield > ack freq 100", "ack volt 3300m"]),
        ),
        max_size=20,
    )
)
def test_any_text_log(tmp_path: Path, lines: list[str]) -> None:
    text = "\r\n".join(["PowerShield > ack start", *lines])
    read_anything(tmp_path / "a", text.encode("utf-8", "replace"))


@ANY
@given(
    amps=st.lists(st.floats(1e-7, 0.049), min_size=2, max_size=60),
    cuts=st.lists(st.integers(0, 400), max_size=6),
)
def test_a_stream_may_be_cut_anywhere(amps: list[float], cuts: list[int]) -> None:
    """The decoder gives the same samples however the bytes come."""
    current = np.array(amps)
    for binary in (False, True):
        if binary:
            data = b"ack freq 1k\r\n" + power.lpm01a_stamp(0) + power.lpm01a_words(current)
            data += b"\xf0\xf4\xff\xff"
        else:
            lines = ["ack freq 1k", *map(power.lpm01a_ascii_sample, current), "end", ""]
            data = "\r\n".join(lines).encode()
        decoder = lpm01a.Decoder("a", Options(voltage=3.0), Notes(), binary=binary)
        found: list[Trace] = []
        places = sorted({0, len(data), *(cut % len(data) for cut in cuts)})
        for begin, end in itertools.pairwise(places):
            found += decoder.feed(data[begin:end])
        found += decoder.finish()
        assert decoder.ended
        got = np.concatenate([piece.current for piece in found])
        # Twelve bits after a power of 16 are 8 significant ones at worst; text has four digits.
        np.testing.assert_allclose(got, current, rtol=1 / 256 if binary else 1e-3)


@given(st.text(max_size=30))
def test_any_name_of_a_column(name: str) -> None:
    kind, factor = delimited._meaning(name.lower())
    assert kind in (None, "time", "current", "voltage")
    assert factor is None or factor > 0
