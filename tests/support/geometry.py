"""What can be wrong with a screen: cut off, on top of each other, too small a target."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from kivy.uix.label import Label
from kivy.uix.scrollview import ScrollView
from kivy.uix.widget import Widget
from touch import Hands, everything

from ui.widgets import HoldButton
from ui.widgets.buttons import Touchable

Box = tuple[float, float, float, float]
SLACK_PX = 1.5


def box_of(widget: Widget) -> Box:
    """Left, bottom, right, top in the window."""
    left, low = widget.to_window(widget.x, widget.y)
    return left, low, left + widget.width, low + widget.height


def letters_of(label: Label) -> Box:
    """The box of the letters themselves, within the label."""
    left, low, right, top = box_of(label)
    wide, high = label.texture_size
    if label.text_size[0]:  # the letters stand where halign puts them in the full width
        wide = min(wide, label.width)
        return left, (low + top - high) / 2, right, (low + top + high) / 2
    middle, level = (left + right) / 2, (low + top) / 2
    return middle - wide / 2, level - high / 2, middle + wide / 2, level + high / 2


def share_area(one: Box, other: Box, slack_px: float = SLACK_PX) -> bool:
    return (
        one[0] + slack_px < other[2]
        and other[0] + slack_px < one[2]
        and one[1] + slack_px < other[3]
        and other[1] + slack_px < one[3]
    )


def scrolled_by(widget: Widget) -> ScrollView | None:
    above = widget.parent
    while isinstance(above, Widget):
        if isinstance(above, ScrollView):
            return above
        above = above.parent
    return None


def is_above(one: Widget, other: Widget) -> bool:
    above = other.parent
    while isinstance(above, Widget):
        if above is one:
            return True
        above = above.parent
    return False


def faults_of(hands: Hands) -> list[str]:
    """Every fault of what is shown now, each with the words of the widget."""
    frame = hands.kiosk.frame
    whole = box_of(frame)
    labels = [one for one in everything(frame) if isinstance(one, Label) and one.text.strip()]
    found = [*_cut_off(labels, whole)]
    found += _on_top(labels)
    found += _targets(hands)
    return found


def _cut_off(labels: list[Label], whole: Box) -> Iterator[str]:
    for label in labels:
        if label.width < 2 or label.height < 2:
            yield f"no room at all for {label.text!r}"
            continue
        wide, high = label.texture_size
        if wide > label.width + SLACK_PX or high > label.height + SLACK_PX:
            room = f"{label.width:.0f}x{label.height:.0f}"
            yield f"{label.text!r} needs {wide}x{high} px and has {room}"
        if _lines(label) > label.text.count("\n") + 1 and getattr(label, "fit", False):
            yield f"{label.text!r} is broken into lines where one was meant"
        if scrolled_by(label) is None:
            left, low, right, top = box_of(label)
            if (
                left < whole[0] - 1
                or low < whole[1] - 1
                or right > whole[2] + 1
                or top > whole[3] + 1
            ):
                yield f"{label.text!r} leaves the screen"


def _lines(label: Label) -> int:
    return len(getattr(label._label, "_cached_lines", None) or [0])


def _on_top(labels: list[Label]) -> Iterator[str]:
    for one, other in combinations(labels, 2):
        if scrolled_by(one) is not scrolled_by(other):
            continue  # what is scrolled away lies under something
        if share_area(letters_of(one), letters_of(other), 3):
            yield f"{one.text!r} and {other.text!r} lie on each other"


def _targets(hands: Hands) -> Iterator[str]:
    panel = hands.kiosk.panel
    need_x = 9.0 * panel.width_px / panel.width_mm
    need_y = 9.0 * panel.height_px / panel.height_mm
    buttons = [one for one in hands.buttons() if scrolled_by(one) is None]
    for button in buttons:
        left, low, right, top = box_of(button)
        more_x, more_y = max(0.0, need_x - (right - left)) / 2, max(0.0, need_y - (top - low)) / 2
        reach = (left - more_x, low - more_y, right + more_x, top + more_y)
        for x_px, y_px in (
            (reach[0] + 1, (low + top) / 2),
            (reach[2] - 1, (low + top) / 2),
            ((left + right) / 2, reach[1] + 1),
            ((left + right) / 2, reach[3] - 1),
        ):
            if not button.reaches(*button.to_widget(x_px, y_px)):
                yield f"{_name(button)} is touched within less than 9 mm"
                break
        for other in buttons:
            inside = other is button or is_above(button, other) or is_above(other, button)
            if not inside and share_area(reach, box_of(other)):
                yield f"9 mm around {_name(button)} reach into {_name(other)}"


def _name(button: Touchable) -> str:
    return repr(getattr(button, "text", "") or getattr(button, "key", "") or type(button).__name__)


def confirms(hands: Hands) -> list[Box]:
    """Where a finger confirms something, on what is shown now."""
    return [box_of(one) for one in everything(hands.kiosk.frame) if isinstance(one, HoldButton)]
