# SPDX-License-Identifier: Apache-2.0
"""STM32F4DISCOVERY: its microphone and both of its clocks, by the very file that is flashed.

What is written to registers is held against ST's manuals: RM0090, the reference manual of the
STM32F405/407; DS8626, its datasheet; UM1472, the board's manual; the microphone's is that of the
MP45DT02. Then the test is the air: bits of a sigma-delta modulator come in by DMA, and what the
firmware makes of them is what the libraries make of the same bits on this machine, to the last one.
"""

import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from support.boards import Discovery
from support.cortexm import SystemControl
from support.stm32 import Gpio, Rcc
from support.stm32_i2s import PLLI2SCFGR, Dma1, I2s2
from support.wire import Wire

from wav2small_micro import native, pio, streaming
from wav2small_micro.audio import Clip
from wav2small_micro.engines.base import Model
from wav2small_micro.link.client import Device, Timing
from wav2small_micro.link.messages import Flag, Norm, Source
from wav2small_micro.pdm import library
from wav2small_micro.pdm.modulator import speech_chunks

pytestmark = pytest.mark.emulator

ENV = "stm32f407_discovery"
MODEL = "wav2small-17k"  # the one for which 64 MHz are enough
MHZ = 1_000_000
RCC, PWR_CR, FLASH_ACR = 0x40023800, 0x40007000, 0x40023C00
GPIOB, GPIOC = 0x40020400, 0x40020800
USART2_BRR = 0x40004408
SPI2, DMA1 = 0x40003800, 0x40026000
SETTLING = 1600  # samples that the firmware throws away first
BITS = 64  # of the microphone, for a sample at 16 kHz


@pytest.fixture(scope="module")
def elf() -> Path:
    return pio.build(ENV, MODEL)


@pytest.fixture(scope="module")
def slow_elf() -> Iterator[Path]:
    """At 64 MHz."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("W2S_CLOCK", "64")
        yield pio.build(ENV, MODEL)


@pytest.fixture(scope="module", params=[168, 64])
def mhz(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture(scope="module")
def make(mhz: int, elf: Path, slow_elf: Path) -> Callable[..., Discovery]:
    """Makes a board with its microphone, 20 ms after power-on."""

    def make(**options: object) -> Discovery:
        found = elf if mhz == 168 else slow_elf
        board = Discovery(found, clock_hz=mhz * MHZ, others=(Dma1, I2s2), **options)  # type: ignore[arg-type]
        board.machine.run(0.02)
        return board

    return make


def dma_of(board: Discovery) -> Dma1:
    return next(other for other in board.others if isinstance(other, Dma1))


def i2s_of(board: Discovery) -> I2s2:
    return next(other for other in board.others if isinstance(other, I2s2))


@pytest.fixture(scope="module")
def listening(make: Callable[..., Discovery]) -> Discovery:
    """A board that has listened to silence for a while; the tests only look."""
    board = make()
    assert board.machine.call("board_microphone_start")
    board.machine.run(0.12)
    return board


# --- Clocks ---------------------------------------------------------------------------------------


def test_the_clock_tree(make: Callable[..., Discovery], mhz: int) -> None:
    """RM0090, 7.3.2 and 7.3.3; limits of the buses: 7.2; wait states: table 10; voltage: 5.1.3."""
    machine = make().machine
    pllcfgr, cfgr = machine[RCC + Rcc.PLLCFGR], machine[RCC + Rcc.CFGR]
    m, n, p = pllcfgr & 63, pllcfgr >> 6 & 511, 2 * ((pllcfgr >> 16 & 3) + 1)
    vco = 8 * MHZ / m * n
    assert 8 * MHZ / m == 2 * MHZ
    assert 100 * MHZ <= vco <= 432 * MHZ
    assert vco / p == mhz * MHZ
    assert vco / (pllcfgr >> 24) % 16 <= 48 * MHZ
    assert cfgr >> 4 & 15 == 0, "AHB: not divided"
    apb1, apb2 = (mhz / divider(cfgr >> at & 7) for at in (10, 13))
    assert 21 < apb1 <= 42
    assert 42 <= apb2 <= 84
    assert machine[FLASH_ACR] == 0x700 | (mhz - 1) // 30
    assert machine.writes(PWR_CR)[-1] >> 14 & 1 == (mhz > 144)
    assert machine.writes(0xE000E014) == [mhz * 1000 - 1], "SysTick: a millisecond"
    brr = machine[USART2_BRR]
    assert apb1 * MHZ / brr == pytest.approx(921600, rel=0.0333 / 2)  # 30.3.5, table 141


def divider(field: int) -> int:
    """PPRE1, PPRE2 (RM0090, 7.3.3)."""
    return 2 ** ((field & 3) + 1) if field & 4 else 1


def test_the_microphone_has_1024_khz_exactly(listening: Discovery) -> None:
    """RM0090, 28.4.4: without master clock, the bit clock is I2SxCLK by 2 I2SDIV + ODD."""
    i2s = i2s_of(listening)
    assert 192 * MHZ <= i2s.vco_hz() <= 432 * MHZ, "7.3.23"
    assert i2s.clock_hz() <= 192 * MHZ, "7.3.23"
    assert i2s[I2s2.I2SPR] & 0xFF >= 2, "I2SDIV of 0 and 1 are forbidden (28.5.9)"
    assert not i2s[I2s2.I2SPR] >> 9, "no master clock"
    assert i2s.bit_hz() == BITS * 16000
    assert 1 * MHZ <= i2s.bit_hz() <= 3.25 * MHZ, "MP45DT02, clock input"
    assert not listening.machine[RCC + Rcc.CFGR] >> 23 & 1, "I2SSRC: PLLI2S"


def test_the_pll_is_set_before_it_runs_and_ready_before_i2s(listening: Discovery) -> None:
    machine = listening.machine
    factors = machine.first(RCC + PLLI2SCFGR)
    on = machine.first(RCC + Rcc.CR, bits=1 << 26)
    enabled = machine.first(SPI2 + I2s2.I2SCFGR, bits=I2s2.I2SE)
    assert factors < on < enabled
    looks = [a for a in machine.log[on:enabled] if a.address == RCC and not a.is_write]
    assert looks[-1].value >> 27 & 1, "PLLI2SRDY (7.3.1)"


def test_without_a_crystal_the_rate_is_that_of_the_other_oscillator(
    make: Callable[..., Discovery],
) -> None:
    board = make(crystal=False)
    assert board.machine.call("board_microphone_start")
    assert i2s_of(board).bit_hz() == BITS * 16000, "as good as the oscillator: 1 %"


def test_without_its_pll_the_microphone_does_not_start(make: Callable[..., Discovery]) -> None:
    board = make()
    board.rcc.pll_i2s.works = False
    assert not board.machine.call("board_microphone_start")
    assert not board.machine[RCC + Rcc.CR] >> 26 & 1
    board.rcc.pll_i2s.works = True
    assert board.machine.call("board_microphone_start")


# --- I2S, pins, DMA, interrupt --------------------------------------------------------------------


def test_i2s_receives_words_of_16_bits(listening: Discovery) -> None:
    """RM0090, 28.5.8: I2SMOD, I2SE, I2SCFG = 3 (master, receive), I2SSTD = 1 (MSB justified: no
    bit is skipped at a channel's start, 28.4.3), CKPOL, DATLEN = 0 and CHLEN = 0 (16 bits)."""
    cfgr = i2s_of(listening)[I2s2.I2SCFGR]
    assert cfgr == 1 << 11 | 1 << 10 | 3 << 8 | 1 << 4 | 1 << 3


def test_the_pins_are_those_of_the_microphone(listening: Discovery) -> None:
    """UM1472, "MCU pin description versus board function": PB10 CLK_IN, PC3 PDM_OUT. DS8626, table
    9: I2S2_CK and I2S2_SD as alternate function 5."""
    clock, data = listening.ports["B"].pin(10), listening.ports["C"].pin(3)
    assert (clock.mode, clock.alternate, clock.open_drain) == (2, 5, False)
    assert clock.speed >= 1, "1 MHz with edges to spare"
    assert (data.mode, data.alternate, data.pull) == (2, 5, 0)
    machine = listening.machine
    assert machine.first(GPIOB + Gpio.AFRL + 4) < machine.first(GPIOB + Gpio.MODER)
    assert machine.first(GPIOC + Gpio.AFRL) < machine.first(GPIOC + Gpio.MODER)


def test_the_other_pins_stay_as_they_were(listening: Discovery) -> None:
    """PB3 and PB4 are the debugger's after reset (8.3.1)."""
    pins = [listening.ports["B"].pin(n) for n in range(16) if n != 10]
    assert [(n, p.mode) for n, p in enumerate(pins) if p.mode] == [(3, 2), (4, 2)]
    assert not any(listening.ports["C"].pin(n).mode for n in range(16) if n != 3)


def test_dma_carries_the_words(listening: Discovery) -> None:
    """RM0090, 10.5.5: stream 3, channel 0 is SPI2_RX (table 42)."""
    dma = dma_of(listening)
    cr = dma[Dma1.CR]
    assert cr >> 25 & 7 == 0, "CHSEL"
    assert cr >> 6 & 3 == 0, "DIR: from the peripheral"
    assert cr >> 8 & 1, "CIRC"
    assert not cr >> 9 & 1, "PINC"
    assert cr >> 10 & 1, "MINC"
    assert (cr >> 11 & 3, cr >> 13 & 3) == (1, 1), "halfwords from there and to here"
    assert cr & 0x1F == 1 << 4 | 1 << 3 | 1 << 2 | 1, "TCIE, HTIE, TEIE, EN"
    assert cr >> 18 & 1 == 0, "DBM: one buffer, whose halves take turns"
    assert dma[Dma1.PAR] == SPI2 + I2s2.DR
    assert dma[Dma1.M0AR] % 4 == 0
    first, size = dma[Dma1.M0AR], 2 * dma[Dma1.NDTR]
    assert listening.RAM[0] <= first
    assert first + size <= sum(listening.RAM)
    half_s = dma[Dma1.NDTR] // 2 * 16 / (BITS * 16000)
    assert half_s == 0.0005
    assert i2s_of(listening)[I2s2.CR2] == 1, "RXDMAEN alone"


def test_the_interrupt(listening: Discovery) -> None:
    """Position 14 (RM0090, 12.2, table 61). A byte comes every 10.9 us, and the filter takes
    longer: so the UART and SysTick may interrupt it."""
    machine = listening.machine
    table = machine.flash[0]
    assert machine.word(table + 4 * (16 + 14)) == machine.symbol("Microphone_Handler") | 1
    assert 16 + 14 in machine.core.enabled
    uart, microphone, tick = (
        machine.core.priority(n) for n in (16 + 38, 16 + 14, SystemControl.SYSTICK)
    )
    assert uart == tick < microphone == 0x80


def test_it_rests_when_it_is_stopped_and_starts_again(make: Callable[..., Discovery]) -> None:
    board = make()
    machine, dma = board.machine, dma_of(board)
    for _ in range(2):
        assert machine.call("board_microphone_start")
        machine.run(0.15)
        assert machine.call("board_microphone_waiting") >= 300
        awake(board)
        machine.call("board_microphone_stop")
        assert not dma.is_on()
        assert not i2s_of(board)[I2s2.I2SCFGR] & I2s2.I2SE
        assert not board.rcc[Rcc.APB1ENR] >> 14 & 1, "SPI2 has no clock"
        assert not board.rcc[Rcc.CR] >> 26 & 1, "PLLI2S is off"
        assert 16 + 14 not in machine.core.enabled
        assert machine.call("board_microphone_waiting") == 0
        filled = dma.filled
        machine.run(0.01)
        assert dma.filled == filled


def awake(board: Discovery) -> None:
    """Goes on until the core is in no interrupt, and lets them come."""
    machine = board.machine
    assert machine.run(0.002, until=lambda: machine.execution_priority() == 256)


@pytest.fixture
def quiet(make: Callable[..., Discovery]) -> Discovery:
    """A board that listens, and whose samples were all taken."""
    board = make()
    board.machine.logging = False
    assert board.machine.call("board_microphone_start")
    board.machine.run(0.11)
    read(board, 1024)
    return board


# --- Samples --------------------------------------------------------------------------------------


class Voice:
    """Speech as a PDM microphone would send it, silence before and after it."""

    def __init__(self, pcm: np.ndarray, before: int = SETTLING) -> None:
        air = np.concatenate([np.zeros(before, np.int16), pcm])
        chunks = speech_chunks(air, BITS * 16000, gain=1 / 16)  # the firmware's gain is 16
        self.bits = np.concatenate(list(chunks))
        self.pcm = library.Pdm(BITS * 16000).pcm(self.bits)[SETTLING:]
        self._at = 0

    def __call__(self, count: int) -> bytes:
        piece = self.bits[self._at : self._at + count].tobytes()
        self._at += count
        return piece + b"\x55" * (count - len(piece))


@pytest.fixture(scope="module")
def clip(clips: list[Clip]) -> np.ndarray:
    """1.6 s of speech."""
    return max(clips, key=lambda clip: clip.seconds).pcm[8000 : 8000 + 25600]


@pytest.fixture(scope="module")
def voice(clip: np.ndarray) -> Callable[[], Voice]:
    return lambda: Voice(clip)


def read(board: Discovery, size: int) -> np.ndarray:
    """Takes samples as the application does, into memory that nobody else has."""
    place = sum(board.RAM) - 4096
    count = board.machine.call("board_microphone_read", place, size)
    return np.frombuffer(board.machine.read_memory(place, 2 * count), "<i2")


def test_bits_become_the_samples_of_the_library(
    make: Callable[..., Discovery], voice: Callable[[], Voice]
) -> None:
    board, said = make(), voice()
    i2s_of(board).hears = said
    machine = board.machine
    machine.logging = False
    assert machine.call("board_microphone_start")
    heard = np.empty(0, np.int16)
    for _ in range(20):
        machine.run(0.025)
        heard = np.concatenate([heard, read(board, 1024)])
    assert len(heard) > 6000
    np.testing.assert_array_equal(heard, said.pcm[: len(heard)])
    assert np.abs(heard).max() > 500
    assert machine.call("board_microphone_overruns") == 0


@pytest.fixture(scope="module")
def network() -> native.Network:
    return native.Network(Model.load(MODEL).plan)


def test_speech_is_answered_as_by_the_library(
    make: Callable[..., Discovery],
    mhz: int,
    voice: Callable[[], Voice],
    network: native.Network,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """From the microphone's bits to A/D/V, over the link, with the audio coming back."""
    board, said = make(), voice()
    i2s_of(board).hears = said
    board.machine.logging = False
    wire = Wire(board.machine, board.uart)
    audio: list[np.ndarray] = []
    with Device(wire) as device:
        facts = device.hello()
        assert facts.flags == Flag.MICROPHONE | Flag.WATCHDOG
        assert facts.clock_hz == mhz * MHZ
        monkeypatch.setattr(streaming, "_SILENCE_S", 60.0)  # the machine is slower than the clock
        answers = streaming.listen(device, window_segments=2, on_audio=audio.append)
        found = [next(answers) for _ in range(3)]
        answers.close()
        counters = device.counters()
    assert wire.fault is None
    expected = network.run(said.pcm, "live", window_segments=2).windows
    np.testing.assert_array_equal([answer.adv_q16 for answer in found], expected[:3])
    assert all(answer.lost_seconds == answer.lost_echo_seconds == 0 for answer in found)
    heard = np.concatenate(audio)
    assert len(heard) >= 24000
    np.testing.assert_array_equal(heard, said.pcm[: len(heard)])
    assert (counters.microphone_overruns, counters.rx_overruns, counters.uart_errors) == (0, 0, 0)
    assert counters.stack_high_water < counters.stack_size - 512


def test_requests_come_through_while_the_filter_works(
    make: Callable[..., Discovery], voice: Callable[[], Voice]
) -> None:
    """Bytes without a pause, each of which must be taken within 10.9 us."""
    board = make()
    i2s_of(board).hears = voice()
    board.machine.logging = False
    wire = Wire(board.machine, board.uart)
    with Device(wire, timing=Timing(reply_s=20.0)) as device:
        device.hello()
        session = device.start(norm=Norm.LIVE, source=Source.MICROPHONE, profile=True)
        while not session.profile:  # until it has settled
            session.poll(0.02)
        for n in range(6):
            device.ping(bytes([n, 0, 255]) * 200)
        profile = list(session.profile)
        session.stop()
        counters = device.counters()
        assert device.repeated_requests == 0
    assert wire.fault is None
    assert (counters.rx_overruns, counters.uart_errors, counters.crc_errors) == (0, 0, 0)
    assert counters.microphone_overruns == 0
    assert len(profile) >= 3
    for block in profile[1:]:
        assert block.interrupt_count >= 20 + 40, "SysTick's and the microphone's"
        spent = block.library + block.answer + block.interrupts + block.asleep
        assert spent <= block.elapsed


def test_an_interrupt_within_another_is_counted_once(quiet: Discovery) -> None:
    """Measured is what BLOCK_TICKS tells: 74 ticks for each interrupt beside its work (load.c)."""
    machine, place = quiet.machine, sum(quiet.RAM) - 64

    def interrupts() -> tuple[int, int]:
        machine.call("board_load", place)  # which returns its structure there
        return struct.unpack("<QQI", machine.read_memory(place, 20))[::2]

    awake(quiet)
    i2s_of(quiet).mute()
    quiet.uart.baud = 4_000_000
    machine.call("board_measure", 1)
    (ticks, count), begin = interrupts(), machine.cycles
    for _ in range(2):  # each second half of a millisecond the filter works
        dma_of(quiet).flags = Dma1.HALF
        quiet.uart.receive(b"abcdefgh")
        machine.call("Microphone_Handler")
    new_ticks, new_count = interrupts()
    assert new_count - count >= 4, "bytes came meanwhile"
    assert new_ticks - ticks <= machine.cycles - begin + 2 * 74


def test_a_person_with_a_terminal_sees_lines(
    slow_elf: Path, voice: Callable[[], Voice], network: native.Network
) -> None:
    """And the watchdog, which bites after two seconds, is fed."""
    board, said = Discovery(slow_elf, clock_hz=64 * MHZ, others=(Dma1, I2s2)), voice()
    i2s_of(board).hears = said
    machine = board.machine
    machine.logging = False
    machine.run(0.02)
    before = len(board.uart.sent)
    board.uart.receive(b"listen on\r")
    machine.run(2.3)
    text = bytes(board.uart.sent[before:]).decode()
    lines = [line for line in text.splitlines() if line.startswith("A ")]
    expected = network.run(np.pad(said.pcm, (0, 16000)), "live", window_segments=4).windows
    rounded = [np.floor(100 * row / 65536 + 0.5) / 100 for row in expected]
    assert lines[:3] == ["A {:.2f} D {:.2f} V {:.2f}".format(*row) for row in rounded[:3]]
    assert machine.resets == 0
    assert machine.slept > machine.clock_hz // 10, "it sleeps between blocks"


# --- What goes wrong ------------------------------------------------------------------------------


def test_nobody_reads(quiet: Discovery) -> None:
    """The ring holds half of the UART's 4 KB: 1024 samples."""
    quiet.machine.run(0.1)
    assert quiet.machine.call("board_microphone_waiting") == 1024
    lost = quiet.machine.call("board_microphone_overruns")
    assert lost == pytest.approx(0.1 * 16000 - 1024, abs=32)
    assert len(read(quiet, 1024)) == 1024
    quiet.machine.run(0.02)
    assert quiet.machine.call("board_microphone_overruns") == pytest.approx(lost, abs=16)


def test_a_word_that_was_overrun_is_counted(quiet: Discovery) -> None:
    i2s_of(quiet).overrun()
    quiet.machine.run(0.002)
    assert quiet.machine.call("board_microphone_overruns") == 1
    quiet.machine.run(0.002)
    assert quiet.machine.call("board_microphone_overruns") == 1


@pytest.mark.parametrize(("late_ms", "halves"), [(0.7, 1), (3.2, 6), (20.3, 40)])
def test_a_late_interrupt_is_counted(quiet: Discovery, late_ms: float, halves: int) -> None:
    dma_of(quiet).late_s = late_ms / 1000
    quiet.machine.run(0.05)
    assert quiet.machine.call("board_microphone_overruns") == 8 * halves
    waiting = quiet.machine.call("board_microphone_waiting")
    assert waiting == pytest.approx(0.05 * 16000 - late_ms * 16, abs=48)


def test_a_stream_that_fails_is_started_again(quiet: Discovery) -> None:
    dma_of(quiet).fail()
    quiet.machine.run(0.02)
    assert dma_of(quiet).is_on()
    assert 0 < quiet.machine.call("board_microphone_overruns") <= 16
    assert quiet.machine.call("board_microphone_waiting") >= 0.018 * 16000


# --- The ring of the UART, of which the microphone has half --------------------------------------


@pytest.mark.parametrize(
    ("taken", "waiting"),
    [(0, 0), (1, 1), (3000, 100), (4000, 100), (2047, 2048), (3000, 2048), (3000, 2049), (1, 4096)],
)
def test_bytes_that_wait_stay_in_their_order(elf: Path, taken: int, waiting: int) -> None:
    """Wherever they are in the ring, and what does not fit into half of it is counted."""
    board = Discovery(elf)
    board.machine.run(0.02)
    machine, ring = board.machine, Ring(board)
    ring.receive(taken)
    assert ring.take(4096) == taken
    ring.receive(waiting)
    machine.call("uart_lend", sum(board.RAM) - 4)
    assert machine.word(sum(board.RAM) - 4) == 2048
    kept = min(waiting, 2048)
    assert machine.call("board_rx_overruns") == waiting - kept
    ring.lost(waiting - kept)
    assert ring.take(50) == min(50, kept)
    ring.receive(min(30, 2048 - max(0, kept - 50)))
    machine.call("uart_take_back")
    left = ring.take(4096)
    ring.receive(4096)
    assert ring.take(4096) == 4096
    assert left == max(0, kept - 50) + min(30, 2048 - max(0, kept - 50))
    assert machine.call("board_rx_overruns") == waiting - kept


class Ring:
    """Numbered bytes through the firmware's ring."""

    def __init__(self, board: Discovery) -> None:
        self._machine = board.machine
        self._place = sum(board.RAM) - 8192
        self._sent = bytearray()
        self._at = self._next = 0

    def receive(self, count: int) -> None:
        """Bytes come, as fast as they are put there."""
        for _ in range(count):
            byte = self._next * 7 % 251
            self._next += 1
            self._sent.append(byte)
            self._machine.call("uart_received", byte)

    def take(self, size: int) -> int:
        """Takes what there is, and checks it."""
        count = self._machine.call("uart_read", self._place, size, 0)
        data = self._machine.read_memory(self._place, count)
        assert data == bytes(self._sent[self._at : self._at + count])
        self._at += count
        return count

    def lost(self, count: int) -> None:
        """The newest bytes are gone."""
        if count:
            del self._sent[-count:]
