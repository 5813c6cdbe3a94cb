"""The queue before the screen holds what hands do, and no more."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from ui.flood import MOST_BEGUN, MOST_DOWN, MOST_WAITING, Floodgate


@dataclass(eq=False)
class Touch:
    sx: float = 0.1
    sy: float = 0.5
    is_touch: bool = True


STOP = Touch(0.9, 0.1)


def gate() -> Floodgate:
    return Floodgate(lambda share_x, share_y: (share_x, share_y) == (STOP.sx, STOP.sy))


def test_what_hands_do_passes_in_its_order() -> None:
    through, finger, other = gate(), Touch(), Touch()
    events = [("begin", finger), ("update", finger), ("begin", other), ("end", finger)]
    for event in events:
        through.take(*event)
    assert through.drain() == (events, 0)
    assert through.drain() == ([], 0)
    through.take("end", other)
    assert through.drain() == ([("end", other)], 0)


def test_a_finger_that_moves_often_between_two_frames_moves_once() -> None:
    through, finger = gate(), Touch()
    through.take("begin", finger)
    through.drain()
    for _ in range(1_000):
        through.take("update", finger)
    assert through.drain() == ([("update", finger)], 0)


def test_a_pointer_that_hovers_is_no_touch() -> None:
    through = gate()
    through.take("begin", Touch(is_touch=False))
    assert through.drain() == ([], 0)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=400))
def test_f37_whatever_comes_the_queue_is_bounded_and_each_end_has_its_begin(
    taps: list[tuple[bool, bool]],
) -> None:
    through = gate()
    for ends, moves in taps:
        finger = Touch()
        through.take("begin", finger)
        if moves:
            through.take("update", finger)
        if ends:
            through.take("end", finger)
    events, refused = through.drain()
    begun = [touch for kind, touch in events if kind == "begin"]
    assert len(events) <= MOST_WAITING
    assert len(begun) <= MOST_BEGUN
    assert len(begun) + refused == len(taps)
    assert all(touch in begun for _kind, touch in events)
    assert sum(not ends for ends, _moves in taps[: len(begun)]) <= MOST_DOWN


def test_f37_stop_is_let_in_once_a_frame_where_nothing_else_is() -> None:
    through = gate()
    for _ in range(10_000):
        through.take("begin", Touch())
    for _ in range(100):
        through.take("begin", Touch(STOP.sx, STOP.sy))
    events, _refused = through.drain()
    on_stop = [kind for kind, touch in events if touch.sx == STOP.sx]
    assert on_stop == ["begin", "end"]
    assert len(events) <= MOST_WAITING
