"""The motor wires on real sockets: in order, never waiting, and to the last word."""

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.adapters.wires import StepperWire, Wire, connect, listen, pair
from appliance.errors import AlreadyRunning, ProtocolFault, WireLost
from appliance.records import Alive, Bye, Counted, Lease, Record, Stop


@pytest.fixture
def ends() -> Iterator[tuple[Wire, Wire]]:
    here, there = (Wire(one) for one in pair())
    yield here, there
    here.close()
    there.close()


def everything(wire: Wire) -> list[Record]:
    """Read until nothing more is here."""
    heard: list[Record] = []
    while batch := wire.read():
        heard += batch
    return heard


def test_what_is_sent_is_read_in_order_and_each_record_by_itself(ends: tuple[Wire, Wire]) -> None:
    here, there = ends
    sent = [Stop(0), Lease(1, 1, 1, 27, 1), Alive(7), Bye()]
    here.send_all(sent)
    assert there.read() == sent
    assert there.read() == []


def test_both_ways_are_open_at_once(ends: tuple[Wire, Wire]) -> None:
    here, there = ends
    here.send(Alive(1))
    there.send(Alive(2))
    assert (there.read(), here.read()) == ([Alive(1)], [Alive(2)])


def test_reading_an_empty_wire_does_not_wait(ends: tuple[Wire, Wire]) -> None:
    assert ends[0].read() == []


def fill(wire: Wire) -> int:
    """Send until the socket is full; return how many records went in."""
    sent = 0
    while wire.send(Alive(sent)):
        sent += 1
        assert sent < 100_000
    return sent


def test_f05_a_full_socket_skips_and_says_so_and_never_waits(ends: tuple[Wire, Wire]) -> None:
    here, there = ends
    sent = fill(here)
    assert here.skipped == 1
    assert here.send(Alive(-1)) is False
    assert here.skipped == 2
    assert everything(there) == [Alive(turns) for turns in range(sent)]
    assert here.send(Alive(sent)) is True  # the next total makes good what was skipped
    assert there.read() == [Alive(sent)]


def test_a_read_gives_a_batch_so_that_a_flood_cannot_hold_the_reader(
    ends: tuple[Wire, Wire],
) -> None:
    here, there = ends
    sent = fill(here)
    sizes = []
    while batch := there.read():
        sizes.append(len(batch))
    assert sum(sizes) == sent
    assert max(sizes) <= 256


def test_f06_the_end_of_file_comes_after_the_last_record(ends: tuple[Wire, Wire]) -> None:
    here, there = ends
    here.send_all([Alive(1), Bye()])
    here.close()
    assert there.read() == [Alive(1), Bye()]
    for _ in range(2):
        with pytest.raises(WireLost, match="closed"):
            there.read()


def test_f06_the_last_words_are_heard_from_one_who_left_mail_unread(
    ends: tuple[Wire, Wire],
) -> None:
    """Linux then reports ECONNRESET before it hands out what is still in the queue."""
    here, there = ends
    there.send(Stop(0))  # never read
    here.send_all([Alive(1), Counted(1, 27, 0, 0, 1, 0, 9), Bye()])
    here.close()
    assert there.read() == [Alive(1), Counted(1, 27, 0, 0, 1, 0, 9), Bye()]
    with pytest.raises(WireLost):
        there.read()


def test_f06_one_who_left_mail_unread_and_said_nothing_is_lost_at_once(
    ends: tuple[Wire, Wire],
) -> None:
    here, there = ends
    there.send(Stop(0))
    here.close()
    with pytest.raises(WireLost):
        there.read()


def test_f06_sending_to_one_who_has_gone_says_so_and_its_last_words_can_still_be_read(
    ends: tuple[Wire, Wire],
) -> None:
    here, there = ends
    here.send(Alive(1))
    here.close()
    with pytest.raises(WireLost, match="gone"):
        there.send(Alive(2))
    assert there.read() == [Alive(1)]
    with pytest.raises(WireLost):
        there.read()


def test_a_wire_that_was_closed_here_sends_and_reads_no_more(ends: tuple[Wire, Wire]) -> None:
    here, _ = ends
    here.close()
    here.close()
    with pytest.raises(WireLost):
        here.send(Alive(1))
    with pytest.raises(WireLost):
        here.read()


@pytest.mark.parametrize("data", [b"x", b"x" * 87, b"x" * 88, b"x" * 89, b"x" * 10_000])
def test_f45_what_is_no_record_is_a_protocol_fault(data: bytes) -> None:
    raw, end = pair()
    wire = Wire(end)
    try:
        raw.send(data)
        with pytest.raises(ProtocolFault):
            wire.read()
    finally:
        raw.close()
        wire.close()


def test_two_threads_send_and_every_record_arrives_whole_and_in_its_threads_order(
    ends: tuple[Wire, Wire],
) -> None:
    here, there = ends
    per_thread = 3_000

    def send(thread: int) -> None:
        turns = 0
        while turns < per_thread:
            if here.send(Counted(thread, turns, 0, 0, 0, 0, thread)):
                turns += 1

    threads = [threading.Thread(target=send, args=(number,)) for number in (1, 2)]
    for thread in threads:
        thread.start()
    heard: list[Record] = []
    while len(heard) < 2 * per_thread:
        heard += there.read()
    for thread in threads:
        thread.join()
    for number in (1, 2):
        mine = [one for one in heard if isinstance(one, Counted) and one.run == number]
        assert mine == [Counted(number, turns, 0, 0, 0, 0, number) for turns in range(per_thread)]
    assert there.read() == []


def test_sr_59_stops_from_two_threads_are_all_sent_and_counted_once_each() -> None:
    here, there = pair()
    wire, other = StepperWire(here), Wire(there)
    counts: list[int] = []

    def stop() -> None:
        counts.extend(wire.stop_all() for _ in range(50))

    threads = [threading.Thread(target=stop) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(counts) == list(range(1, 101))
    assert everything(other) == [Stop(0)] * 100
    wire.close()
    other.close()


def test_f05_a_stop_that_a_full_socket_did_not_take_is_not_counted() -> None:
    here, there = pair()
    wire, other = StepperWire(here), Wire(there)
    assert wire.stop_all() == 1
    fill(wire)
    assert wire.stop_all() == 1
    everything(other)
    assert wire.stop_all() == 2
    assert everything(other) == [Stop(0)]
    wire.close()
    other.close()


def test_a_stop_to_one_who_has_gone_says_so() -> None:
    here, there = pair()
    wire = StepperWire(here)
    there.close()
    with pytest.raises(WireLost):
        wire.stop_all()
    wire.close()


# ------------------------------------------------------------------ the guard's socket


def test_one_who_connects_speaks_with_one_who_listens(tmp_path: Path) -> None:
    path = tmp_path / "guard.sock"
    server = listen(path)
    assert path.stat().st_mode & 0o777 == 0o660
    client = Wire(connect(path))
    accepted, _ = server.accept()
    guard = Wire(accepted)
    client.send(Alive(1))
    assert guard.read() == [Alive(1)]
    for one in (client, guard, server):
        one.close()


def test_listening_waits_for_nobody(tmp_path: Path) -> None:
    server = listen(tmp_path / "guard.sock")
    with pytest.raises(BlockingIOError):
        server.accept()
    server.close()


def test_where_nobody_listens_there_is_no_wire(tmp_path: Path) -> None:
    with pytest.raises(WireLost, match="absent"):
        connect(tmp_path / "absent.sock")


def test_f13_a_second_listener_is_told_that_another_is_there(tmp_path: Path) -> None:
    path = tmp_path / "guard.sock"
    server = listen(path)
    with pytest.raises(AlreadyRunning, match="another program listens"):
        listen(path)
    client = connect(path)  # the first one was not disturbed
    client.close()
    server.close()


def test_the_socket_of_a_dead_program_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "guard.sock"
    listen(path).close()
    assert path.exists()
    server = listen(path)
    connect(path).close()
    server.close()


def test_a_file_that_is_no_socket_is_not_deleted(tmp_path: Path) -> None:
    path = tmp_path / "guard.sock"
    path.write_text("somebody's own")
    with pytest.raises(AlreadyRunning, match="is no socket"):
        listen(path)
    assert path.read_text() == "somebody's own"


def test_a_path_too_long_for_a_socket_is_named(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 120)
    with pytest.raises(ProtocolFault, match="longer than 100 bytes"):
        listen(path)


def test_listening_leaves_the_umask_as_it_was(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        server = listen(tmp_path / "guard.sock", 0o600)
        assert (tmp_path / "guard.sock").stat().st_mode & 0o777 == 0o600
        server.close()
    finally:
        after = os.umask(before)
    assert after == 0o027


def test_a_pair_keeps_the_borders_of_records() -> None:
    here, there = pair()
    assert here.type & socket.SOCK_SEQPACKET == socket.SOCK_SEQPACKET
    here.send(b"ab")
    here.send(b"cd")
    assert there.recv(100) == b"ab"
    here.close()
    there.close()
