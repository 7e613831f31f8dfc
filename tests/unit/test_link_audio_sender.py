# SPDX-License-Identifier: Apache-2.0
"""Go-back-N over a line that loses blocks and credits."""

from collections import deque

from hypothesis import given
from hypothesis import strategies as st

from wav2small_micro.link.audio_sender import AudioSender


def deliver(blocks: int, window: int, losses: list[bool]) -> tuple[list[bytes], AudioSender]:
    """Sends blocks over a line that loses what `losses` says; when all stands still, time runs out.

    The receiver takes exactly the block that it wants and answers every block with a credit.
    """
    sender = AudioSender(0, window)
    for number in range(blocks):
        sender.push(bytes([number]))
    fate = iter(losses)
    wanted, taken, seq, silent_rounds = 0, [], 0, 0
    line: deque[tuple[int, int, bytes]] = deque()
    while sender.unacknowledged:
        while sender.ready:
            line.append((seq, *sender.take(seq)))
            seq = (seq + 1) % 256
        assert sender.in_flight <= window
        if not line:
            sender.go_back()
            silent_rounds += 1
            assert silent_rounds < 1000, "stuck"
            continue
        used, number, pcm = line.popleft()
        if next(fate, False):
            continue
        if number == wanted:
            taken.append(pcm)
            wanted += 1
        if not next(fate, False):
            sender.credit(wanted, window, used)
    return taken, sender


@given(st.integers(0, 60), st.integers(1, 9), st.lists(st.booleans(), max_size=200))
def test_every_block_arrives_once_and_in_order(
    blocks: int, window: int, losses: list[bool]
) -> None:
    taken, sender = deliver(blocks, window, losses)
    assert taken == [bytes([number]) for number in range(blocks)]
    assert sender.blocks == blocks


def test_nothing_is_sent_twice_on_a_good_line() -> None:
    assert deliver(40, 4, [])[1].resent == 0


def test_a_lost_block_is_noticed_by_the_next_credit() -> None:
    sender = AudioSender(0, 4)
    for number in range(4):
        sender.push(bytes([number]))
        sender.take(number)
    assert sender.credit(1, 4, seq=0)
    assert not sender.ready
    assert not sender.credit(1, 4, seq=2)  # block 1 was lost, block 2 ignored
    assert sender.take(10) == (1, b"\1")
    assert sender.take(11) == (2, b"\2")
    # The credit for block 3 of the first round tells nothing new.
    assert not sender.credit(1, 4, seq=3)
    assert sender.take(12) == (3, b"\3")
    assert sender.resent == 3


def test_credits_of_another_life_are_ignored() -> None:
    sender = AudioSender(5, 2)
    sender.push(b"a")
    sender.take(0)
    assert not sender.credit(4, 2, 0)
    assert not sender.credit(900, 2, 0)
    assert sender.unacknowledged == 1


def test_a_shut_window_is_probed_with_one_block() -> None:
    sender = AudioSender(0, 1)
    sender.push(b"a")
    sender.take(0)
    sender.push(b"b")
    assert sender.credit(1, 0, 0)
    assert not sender.ready
    sender.go_back()
    assert sender.take(1) == (1, b"b")
