# SPDX-License-Identifier: Apache-2.0
"""The very firmware of the boards with an nRF52840, on a machine that knows its registers.

What is written is compared with what Nordic's nRF52840 Product Specification v1.7 ("PS", by
chapter) asks for, what passes over USB with USB 2.0 ("USB") and with what the C library answers on
this machine. Pins are those of the boards' schematics, as in Arduino's and Seeed's cores.
"""

import itertools
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from support.cortexm import SystemControl
from support.nrf52840 import Nrf52840, Pdm, Power, Uart, Usbd, Watchdog
from support.usb_host import Stalled, UsbHost
from support.wire import Wire
from unicorn import arm_const

from wav2small_micro import native, pio
from wav2small_micro.audio import Clip
from wav2small_micro.engines.base import Model
from wav2small_micro.link.client import Device
from wav2small_micro.link.messages import Flag, Norm, ResetCause, Source

pytestmark = pytest.mark.emulator

HFCLKSTART, DCDCEN, DCDCEN0, APPROTECT_DISABLE = 0x40000000, 0x40000578, 0x40000580, 0x40000558
ICACHECNF, SYST_RVR = 0x4001E540, 0xE000E014
PDM, USBD, WDT, UART = 0x4001D000, 0x40027000, 0x40010000, 0x40002000
SETTLING = 1600  # samples that the firmware throws away first
BLOCK = 160


@dataclass(frozen=True)
class Facts:
    """A board on paper. Pins are (port, number)."""

    env: str
    marker: tuple[int, int]
    mic_power: tuple[int, int]
    mic_clock: tuple[int, int]
    mic_data: tuple[int, int]
    uart_tx: tuple[int, int]
    uart_rx: tuple[int, int]
    boot_loader: int  # in GPREGRET
    boot_loader_feeds: bool


NANO = Facts("nano33ble_sense", (1, 11), (0, 17), (0, 26), (0, 25), (1, 3), (1, 10), 0xB0, False)
XIAO = Facts("xiao_nrf52840_sense", (0, 2), (1, 10), (1, 0), (0, 16), (1, 11), (1, 12), 0x57, True)


def pin(place: tuple[int, int]) -> int:
    """A PSEL register's value: port in bit 5, connected (PS, PDM, "PSEL.CLK")."""
    return place[0] << 5 | place[1]


@dataclass
class Bench:
    """A board before its first instruction."""

    facts: Facts
    elf: Path

    def board(self, **changes: object) -> Nrf52840:
        board = pio.board(self.facts.env)
        origin = {NANO: 0x10000, XIAO: 0x27000}[self.facts]
        return Nrf52840(self.elf, (origin, board.flash_size), **changes)  # type: ignore[arg-type]


@pytest.fixture(scope="session", params=[NANO, XIAO], ids=lambda facts: facts.env)
def bench(request: pytest.FixtureRequest) -> Bench:
    return Bench(request.param, pio.build(request.param.env))


@pytest.fixture(scope="session")
def nano() -> Bench:
    return Bench(NANO, pio.build(NANO.env))


@pytest.fixture(scope="session")
def started(bench: Bench) -> Nrf52840:
    """A board that has run for a moment, unplugged; its log is what the tests look at."""
    board = bench.board()
    board.power[Power.RESETREAS] = 0
    board.machine.run(0.05)
    return board


@contextmanager
def link(host: UsbHost) -> Iterator[Device]:
    """The host's end of the link, over USB."""
    wire = Wire(host.board.machine, host)
    with Device(wire) as device:
        device.hello()
        yield device
        assert wire.fault is None


# --- start ------------------------------------------------------------------------------------


def test_clock_power_and_cache(started: Nrf52840) -> None:
    machine = started.machine
    assert machine.writes(HFCLKSTART) == [1]  # CLOCK, "HFCLK controller": the crystal
    assert machine.writes(DCDCEN) == [1]  # POWER, "DCDCEN": REG1
    assert machine.writes(DCDCEN0) == []  # REG0 is not in use where VDD and VDDH are one
    assert machine.writes(ICACHECNF) == [1]  # NVMC, "ICACHECNF": CACHEEN alone
    assert machine.writes(SYST_RVR) == [64_000_000 // 1000 - 1]


def test_without_a_crystal_the_board_runs_and_stays_off_the_bus(bench: Bench) -> None:
    board = bench.board(crystal=False)
    UsbHost(board).plug()
    board.machine.run(0.2)
    assert board.watchdog[Watchdog.RUNSTATUS]
    assert not board.usbd.is_on_the_bus


@pytest.mark.parametrize(("uicr", "written"), [(0xFFFFFFFF, []), (0xFFFFFF5A, [0x5A]), (0, [])])
def test_the_debug_port_is_open_where_uicr_says_so(
    bench: Bench, uicr: int, written: list[int]
) -> None:
    board = bench.board(approtect=uicr)
    board.machine.run(0.01)
    assert board.machine.writes(APPROTECT_DISABLE) == written


@pytest.mark.parametrize(
    ("flags", "cause"),
    [
        (0, ResetCause.POWER_ON),
        (Power.PIN, ResetCause.PIN),
        (Power.PIN | Power.DOG | Power.SREQ, ResetCause.PIN),  # anomaly 136
        (Power.DOG, ResetCause.WATCHDOG),
        (Power.DOG | Power.SREQ, ResetCause.WATCHDOG),
        (Power.LOCKUP, ResetCause.FAULT),
        (Power.OFF, ResetCause.LOW_POWER),
    ],
)
def test_reset_cause(started: Nrf52840, flags: int, cause: ResetCause) -> None:
    """POWER, "RESETREAS"."""
    started.power[Power.RESETREAS] = flags
    assert started.machine.call("port_reset_cause") == cause
    assert started.power[Power.RESETREAS] == 0


def test_marker_is_a_header_pin(bench: Bench, started: Nrf52840) -> None:
    port, n = bench.facts.marker
    assert started.gpio.configuration(port, n) == 0b11  # GPIO, "PIN_CNF": output, not an input
    started.machine.call("port_marker", 1)
    started.machine.call("port_marker", 0)
    edges = [edge[1:] for edge in started.gpio.edges if edge[1:3] == (port, n)]
    assert edges == [(port, n, True), (port, n, False)]


def test_vectors(bench: Bench) -> None:
    """An interrupt's number is bits 12 to 17 of its peripheral's address (PS, "Peripheral ID")."""
    machine = bench.board().machine
    table = machine.flash[0]
    for address, handler in ((PDM, "Microphone_Handler"), (USBD, "UART_Handler")):
        number = address >> 12 & 0x3F
        assert machine.word(table + 4 * (16 + number)) == machine.symbol(handler) | 1
    spare = machine.symbol("fault_entry") | 1
    used = {16 + (address >> 12 & 0x3F) for address in (PDM, USBD)}
    entries = {n: machine.word(table + 4 * n) for n in range(16, 64)}
    assert all(entry == spare for n, entry in entries.items() if n not in used)


def test_no_word_of_the_image_asks_the_boot_loader_for_anything(bench: Bench) -> None:
    """Adafruit's boot loader looks for 0x87EEB07C at 0x200 of the firmware (its src/main.c)."""
    machine = bench.board().machine
    assert machine.word(machine.flash[0] + 0x200) != 0x87EEB07C


def test_the_uf2_beside_the_elf_is_the_same_firmware() -> None:
    """Blocks of 512 bytes: address at 12, size at 16, family at 28, content from 32 on."""
    bench = Bench(XIAO, pio.build(XIAO.env))
    machine = bench.board().machine
    blocks = bench.elf.with_suffix(".uf2").read_bytes()
    assert len(blocks) > 100_000
    for at in range(0, len(blocks), 512):
        address, size = struct.unpack_from("<II", blocks, at + 12)
        assert struct.unpack_from("<I", blocks, at + 28) == (0xADA52840,)
        content = blocks[at + 32 : at + 32 + size].rstrip(b"\0")
        assert machine.read_memory(address, len(content)) == content


def test_interrupts_that_a_boot_loader_left_on_do_not_come(bench: Bench) -> None:
    """It jumps to the firmware with interrupts masked, but perhaps some enabled."""
    board = bench.board()
    core = board.machine.core
    board.machine._uc.reg_write(arm_const.UC_ARM_REG_PRIMASK, 1)
    core.enabled |= {16, 16 + 6, 16 + 39}  # POWER_CLOCK, GPIOTE, USBD
    core.pending |= core.enabled
    board.machine.run(0.05)
    assert board.power.restarts == []
    assert 16 not in core.enabled


# --- watchdog ---------------------------------------------------------------------------------


def test_watchdog_bites_after_two_seconds(started: Nrf52840) -> None:
    machine = started.machine
    (crv,) = machine.writes(WDT + Watchdog.CRV)
    assert (crv + 1) / 32768 == 2.0  # WDT, "Reload criteria"
    assert machine.writes(WDT + Watchdog.CONFIG) == [1]  # counts in sleep, not while halted
    assert machine.writes(WDT + Watchdog.RREN) == [1]
    configured = max(machine.first(WDT + offset) for offset in (0x504, 0x508, 0x50C))
    assert configured < machine.first(WDT, bits=1)


def test_watchdog_is_fed(bench: Bench) -> None:
    board = bench.board()
    board.machine.logging = False
    board.machine.run(5.0)
    assert board.power.restarts == []
    assert board.watchdog[Watchdog.RUNSTATUS]


def test_a_watchdog_that_runs_already_is_fed_as_it_wants(bench: Bench) -> None:
    board = bench.board()
    board.watchdog.run_already(crv=16383, rren=0b10000101)
    board.machine.run(2.0)
    assert board.power.restarts == []
    assert board.machine.writes(WDT) == []


# --- microphone -------------------------------------------------------------------------------


@pytest.fixture
def listening(bench: Bench) -> Nrf52840:
    board = bench.board()
    board.machine.run(0.02)
    assert board.machine.call("board_microphone_start")
    return board


def test_pdm_gives_16_khz_exactly(listening: Nrf52840) -> None:
    pdm = listening.pdm
    assert pdm.clock_hz() == 32e6 / 25
    assert 1.2e6 <= pdm.clock_hz() <= 3.25e6  # MP34DT05-A, table 4 ("fclk"): the narrower one
    assert pdm.rate() == 16000
    assert pdm[Pdm.MODE] == 1  # mono, the left channel at the falling edge
    assert (pdm[Pdm.GAINL], pdm[Pdm.GAINR]) == (0x28, 0x28)  # 0 dB
    assert pdm[Pdm.MAXCNT] == BLOCK


def test_pdm_pins(bench: Bench, listening: Nrf52840) -> None:
    facts, gpio = bench.facts, listening.gpio
    assert listening.pdm[Pdm.PSELCLK] == pin(facts.mic_clock)
    assert listening.pdm[Pdm.PSELDIN] == pin(facts.mic_data)
    # PDM, "Pin configuration": the clock an output that is low, the data an input
    assert gpio.configuration(*facts.mic_clock) == 0b11
    assert not gpio.is_high(*facts.mic_clock)
    assert gpio.configuration(*facts.mic_data) == 0
    # the microphone's supply is a pin with a high drive for 1 (GPIO, "DRIVE": S0H1)
    assert gpio.configuration(*facts.mic_power) == 0b11 | 2 << 8
    assert gpio.is_high(*facts.mic_power)


def test_pdm_is_set_up_before_it_is_enabled_and_started(listening: Nrf52840) -> None:
    machine = listening.machine
    enabled = machine.first(PDM + Pdm.ENABLE, bits=1)
    for offset in (Pdm.PSELCLK, Pdm.PSELDIN, Pdm.CLKCTRL, Pdm.RATIO, Pdm.MODE, Pdm.PTR, Pdm.MAXCNT):
        assert machine.first(PDM + offset) < enabled
    assert enabled < machine.first(PDM + Pdm.START, bits=1)
    assert machine.writes(PDM + 0x304) == [1 << 0 | 1 << 2]  # INTENSET: STARTED, END


def test_pdm_fills_two_blocks_in_turn(listening: Nrf52840) -> None:
    machine = listening.machine
    machine.run(0.1)
    places = machine.writes(PDM + Pdm.PTR)
    first, second = sorted(set(places))
    assert second - first == 2 * BLOCK
    assert all(a != b for a, b in itertools.pairwise(places))
    # one before the start, and one as each block begins; the last may be due
    assert len(places) - listening.pdm.blocks in (1, 2)


def test_priorities(listening: Nrf52840) -> None:
    """The link and the clock may interrupt the microphone, which has 10 ms to be heard."""
    core = listening.machine.core
    link, microphone, tick = (core.priority(n) for n in (16 + 39, 16 + 29, SystemControl.SYSTICK))
    assert link == tick == 0
    assert microphone == 0x80


def test_a_microphone_that_is_stopped_rests(bench: Bench, listening: Nrf52840) -> None:
    listening.machine.run(0.05)
    listening.machine.call("board_microphone_stop")
    blocks = listening.pdm.blocks
    listening.machine.run(0.05)
    assert listening.pdm.blocks == blocks
    assert listening.pdm[Pdm.ENABLE] == 0
    assert not listening.gpio.is_high(*bench.facts.mic_power)
    assert listening.machine.call("board_microphone_start")
    listening.machine.run(0.1)
    assert listening.pdm.blocks > blocks


def test_what_a_late_interrupt_loses_is_counted(listening: Nrf52840) -> None:
    machine = listening.machine
    machine.run(0.05)
    assert machine.call("board_microphone_overruns") == 0
    ms = machine.symbol("ms")
    clock = machine.word(ms)
    machine.write_memory(ms, struct.pack("<I", clock + 30))  # as if 30 ms had gone by, unseen
    machine.run(0.02)
    assert machine.call("board_microphone_overruns") == 3 * BLOCK


# --- USB: the registers -----------------------------------------------------------------------


def test_usbd_wakes_up_by_the_book(bench: Bench) -> None:
    board = bench.board()
    host = UsbHost(board)
    board.machine.run(0.02)
    assert board.machine.writes(USBD + Usbd.ENABLE) == []  # nothing to be seen on VBUS
    host.plug()
    host.wait_for_device()
    machine = board.machine
    # anomaly 223: twice; anomalies 171 and 187: with these on, and off again
    assert [value for value in machine.writes(USBD + Usbd.ENABLE) if value] == [1, 1]
    assert machine.writes(0x4006EC14) == [0xC0, 0] * 2
    assert machine.writes(0x4006ED14) == [3, 0] * 2
    assert machine.writes(0x4006EC00).count(0x9375) % 2 == 0
    pullup = machine.first(USBD + Usbd.PULLUP, bits=1)
    assert machine.first(HFCLKSTART) < machine.first(USBD + Usbd.ENABLE, bits=1) < pullup
    # USBD, "INTENSET": USBRESET, EP0DATADONE, USBEVENT, EP0SETUP, EPDATA
    bits = 1 << 0 | 1 << 10 | 1 << 22 | 1 << 23 | 1 << 24
    assert machine.writes(USBD + 0x304) == [bits]
    assert machine.core.enabled >= {16 + 39}


def test_endpoints_are_enabled_as_the_descriptors_say(bench: Bench) -> None:
    board = bench.board()
    host = UsbHost(board)
    host.plug()
    configuration = host.enumerate()
    addresses = {
        configuration[at] for at in range(2, len(configuration)) if is_endpoint(configuration, at)
    }
    enabled = {n | 0x80 for n in range(1, 8) if board.usbd[Usbd.EPINEN] >> n & 1}
    enabled |= {n for n in range(1, 8) if board.usbd[Usbd.EPOUTEN] >> n & 1}
    assert enabled == addresses == {0x81, 0x02, 0x82}


def is_endpoint(configuration: bytes, at: int) -> bool:
    """Is there the address of an endpoint descriptor?"""
    return configuration[at - 2 : at] == b"\x07\x05" and at - 2 in starts(configuration)


def starts(configuration: bytes) -> set[int]:
    found, at = set(), 0
    while at < len(configuration):
        found.add(at)
        at += configuration[at]
    return found


# --- USB: a host ------------------------------------------------------------------------------


@pytest.fixture
def host(bench: Bench) -> UsbHost:
    board = bench.board()
    board.machine.logging = False
    host = UsbHost(board)
    host.connect()
    return host


def test_a_host_sees_which_board_it_is(bench: Bench, host: UsbHost) -> None:
    device = host.control(0x80, 6, 0x0100, length=18)
    assert struct.unpack_from("<HH", device, 8) == (0x1209, 0x0001)
    names = [host.text(n) for n in device[14:17]]
    low, high = Nrf52840.DEVICE_ID
    assert names == ["Wav2Small Micro", bench.facts.env, f"{high:08X}{low:08X}"]


def test_unknown_requests_are_stalled_and_others_answered(host: UsbHost) -> None:
    for request in [(0x80, 6, 0x0600, 0, 10), (0xC0, 32, 0, 4, 16), (0x21, 0x23, 100, 0, 0)]:
        with pytest.raises(Stalled):
            host.control(*request)
        assert host.control(0x80, 8, length=1) == b"\1"


def test_line_coding_goes_both_ways(host: UsbHost) -> None:
    assert host.control(0xA1, 0x21, length=7) == struct.pack("<IBBB", 921600, 0, 0, 8)


def test_a_halted_endpoint_is_freed_by_the_host(host: UsbHost) -> None:
    host.control(0x02, 3, 0, 0x82)
    assert host.usbd.stalled == {0x82}
    host.control(0x02, 1, 0, 0x82)
    host._toggles[0x82] = 0  # USB, 9.4.5: the host's toggle begins anew as well
    assert host.usbd.stalled == set()
    host.receive(b"help\r")
    host.board.machine.run(0.1)
    assert b"counters" in host.sent


def test_packets_are_short_and_complete(host: UsbHost) -> None:
    host.receive(b"help\r")
    host.board.machine.run(0.2)
    assert b"MLPerf" in host.sent
    assert all(len(packet) < Usbd.PACKET for packet in host.packets)  # each ends a transfer


def test_nothing_is_said_to_a_closed_port(host: UsbHost) -> None:
    host.close()
    host.receive(b"")
    host.board.machine.run(0.05)
    said = len(host.sent)
    host.board.machine.run(0.5)
    assert len(host.sent) == said
    host.open()
    host.receive(b"info\r")
    host.board.machine.run(0.1)
    assert host.board.power.restarts == []
    assert len(host.sent) > said


def test_a_board_asks_for_its_boot_loader(bench: Bench, host: UsbHost) -> None:
    host.control(0x21, 0x20, data=struct.pack("<IBBB", 1200, 0, 0, 8))
    host.close()
    power = host.board.power
    expected = ["software"] if bench.facts.boot_loader_feeds else ["watchdog", "software"]
    assert host.board.machine.run(4.0, until=lambda: len(power.restarts) == len(expected))
    assert power.restarts == expected
    assert power[Power.GPREGRET] == bench.facts.boot_loader
    runs = bool(host.board.watchdog[Watchdog.RUNSTATUS])
    assert runs == bench.facts.boot_loader_feeds


# --- sessions ---------------------------------------------------------------------------------


@pytest.fixture
def nano_host(nano: Bench) -> UsbHost:
    board = nano.board()
    board.machine.logging = False
    host = UsbHost(board)
    host.connect()
    return host


@pytest.fixture(scope="session")
def network() -> native.Network:
    return native.Network(Model.load(pio.DEFAULT_MODEL).plan)


def test_a_clip_over_usb_is_answered_as_by_the_library(
    nano_host: UsbHost, network: native.Network, clips: list[Clip]
) -> None:
    clip = min(clips, key=lambda c: c.seconds)
    with link(nano_host) as device:
        facts = device.facts
        assert facts is not None
        assert facts.board == "nano33ble_sense"
        assert facts.clock_hz == 64_000_000
        assert facts.flags == Flag.MICROPHONE | Flag.WATCHDOG
        answer = device.run(clip.pcm)
        counters = device.counters()
    expected = network.run(clip.pcm, "utterance")
    np.testing.assert_array_equal(answer.adv_q16, expected.adv_q16)
    assert counters.rx_overruns == 0
    assert counters.tick_hz == 64_000_000


def test_kernels_that_run_from_code_ram_answer_the_same(
    network: native.Network, clips: list[Clip]
) -> None:
    """Placement `code`: at 0x00800000 the chip shows its RAM on the buses for code."""
    bench = Bench(NANO, pio.build(NANO.env, placement="code"))
    board = bench.board()
    machine = board.machine
    machine.logging = False
    host = UsbHost(board)
    host.connect()
    first = machine.symbol("memory_code_start")
    last = machine.symbol("memory_code_end")
    assert 0x00800000 <= first < last <= 0x00800000 + Nrf52840.RAM[1]
    physical = first - 0x00800000 + Nrf52840.RAM[0]
    assert physical >= machine.symbol("memory_spare_end")
    assert first <= machine.symbol("w2s_logmel") < last
    clip = min(clips, key=lambda c: c.seconds)
    with link(host) as device:
        answer = device.run(clip.pcm)
    np.testing.assert_array_equal(answer.adv_q16, network.run(clip.pcm, "utterance").adv_q16)


def test_a_host_that_does_not_read_costs_a_quarter_second_once(nano_host: UsbHost) -> None:
    nano_host.reads = False
    nano_host.receive(b"help\r" * 3)
    nano_host.board.machine.run(0.5)
    assert nano_host.board.power.restarts == []  # the watchdog was fed
    nano_host.reads = True
    nano_host.board.machine.run(0.05)
    nano_host.sent.clear()
    nano_host.receive(b"info\r")
    nano_host.board.machine.run(0.2)
    assert NANO.env.encode() in nano_host.sent


def test_a_host_that_is_too_fast_has_to_wait(nano_host: UsbHost) -> None:
    """More than the ring holds, and nobody reads: packets are refused, and nothing is lost."""
    board = nano_host.board
    board.machine.run(0.05)
    nano_host.reads = False  # so that the answer takes a quarter of a second
    nano_host.receive(b"help\r" + b"\0" * 6000)
    board.machine.run(0.15)
    assert nano_host.refusals > 0
    assert nano_host.coming > 1000
    board.machine.run(1.0)  # the device has given its answer up, and goes on by itself
    assert nano_host.coming == 0
    nano_host.reads = True
    board.machine.run(0.05)
    with link(nano_host) as device:
        assert device.counters().rx_overruns == 0


def test_the_microphone_is_heard_and_answered(
    nano_host: UsbHost, network: native.Network, clips: list[Clip]
) -> None:
    clip = max(clips, key=lambda c: c.seconds)
    pcm = clip.pcm[: 16000 * 2]
    air = np.concatenate([np.full(SETTLING, 20000, np.int16), pcm, np.zeros(16000, np.int16)])
    played = 0

    def hears(count: int) -> bytes:
        nonlocal played
        block = air[played : played + count]
        played += count
        return np.pad(block, (0, count - len(block))).astype("<i2").tobytes()

    nano_host.board.pdm.hears = hears
    with link(nano_host) as device:
        session = device.start(norm=Norm.LIVE, source=Source.MICROPHONE, window_segments=2)
        windows = []
        while len(windows) < 3:
            session.poll(0.05)
            while session.windows:
                windows.append(session.windows.popleft())
        session.stop()
        counters = device.counters()
    expected = network.run(pcm, "live", window_segments=2).windows
    got = [[w.arousal, w.dominance, w.valence] for w in windows]
    np.testing.assert_array_equal(got, expected)
    assert counters.microphone_overruns == 0


@pytest.mark.parametrize("last_words", [b"", b"\0"])
def test_it_can_be_unplugged_after_any_number_of_bytes(
    nano_host: UsbHost, last_words: bytes
) -> None:
    """EasyDMA is left even (the model sees to that), or the next start would go wrong."""
    nano_host.receive(last_words)
    nano_host.board.machine.run(0.05)
    nano_host.unplug()
    nano_host.board.machine.run(0.1)
    assert nano_host.usbd[Usbd.ENABLE] == 0
    nano_host.connect()


def test_a_host_that_sleeps_does_not_hold_the_microphone_up(nano_host: UsbHost) -> None:
    """What is said to a bus that is suspended is dropped at once, not after a quarter second."""
    board = nano_host.board
    with link(nano_host) as device:
        device.start(norm=Norm.LIVE, source=Source.MICROPHONE, window_segments=2, audio=True)
    board.usbd.cause(Usbd.SUSPEND)
    nano_host.reads = False
    board.machine.run(1.0)
    board.usbd.cause(Usbd.RESUME)
    nano_host.reads = True
    with link(nano_host) as device:
        assert device.counters().microphone_overruns == 0


@pytest.mark.parametrize("way", ["unplug", "bus reset", "suspend"])
def test_the_link_comes_back(nano_host: UsbHost, way: str) -> None:
    board = nano_host.board
    with link(nano_host) as device:
        boot_id = device.hello().boot_id
    if way == "unplug":
        nano_host.receive(b"half a fr")
        board.machine.run(0.001)
        nano_host.unplug()
        board.machine.run(0.3)
        assert board.usbd[Usbd.ENABLE] == 0
        nano_host.connect()
    elif way == "bus reset":
        nano_host.enumerate()
        nano_host.open()
    else:
        board.usbd.cause(Usbd.SUSPEND)
        nano_host.reads = False
        said = len(nano_host.sent)
        board.machine.run(0.5)
        board.usbd.cause(Usbd.RESUME)
        nano_host.reads = True
        board.machine.run(0.01)
        assert len(nano_host.sent) == said
    with link(nano_host) as device:
        assert device.hello().boot_id == boot_id  # it has not restarted
        assert device.ping(b"still there") > 0
    assert board.power.restarts == []


# --- the other link ---------------------------------------------------------------------------


@pytest.fixture(scope="session")
def on_uart() -> Bench:
    os.environ["W2S_LINK"] = "uart"
    try:
        return Bench(NANO, pio.build(NANO.env))
    finally:
        del os.environ["W2S_LINK"]


def test_the_header_uart_is_a_link_too(on_uart: Bench) -> None:
    board = on_uart.board()
    machine = board.machine
    machine.run(0.02)
    facts, uart = on_uart.facts, board.uart
    assert uart[Uart.PSELTXD] == pin(facts.uart_tx)
    assert uart[Uart.PSELRXD] == pin(facts.uart_rx)
    assert board.gpio.configuration(*facts.uart_tx) == 0b11
    assert board.gpio.is_high(*facts.uart_tx)  # the line idles at 1
    assert board.gpio.configuration(*facts.uart_rx) == 3 << 2  # an input with a pull-up
    # UART, "BAUDRATE": 2^32 times the rate by 16 MHz, in steps of 2^12
    (rate,) = machine.writes(UART + Uart.BAUDRATE)
    assert rate % 0x1000 == 0
    assert abs(uart.baud / 921600 - 1) < 1e-4
    assert machine.writes(UART + Uart.CONFIG) == [0]  # 8N1, no flow control
    assert machine.word(machine.flash[0] + 4 * (16 + 2)) == machine.symbol("UART_Handler") | 1
    machine.logging = False
    with Device(Wire(machine, uart)) as device:
        assert device.hello().board == facts.env
        assert device.ping(bytes(range(64))) > 0
        assert device.counters().rx_overruns == 0
