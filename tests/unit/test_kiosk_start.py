"""What the touchscreen finds out before Kivy is there."""

from pathlib import Path

import pytest

from ui.environment import has_display, panels_card


@pytest.mark.parametrize(
    ("connectors", "card"),
    [
        ({}, None),
        ({"card1-HDMI-A-1": "disconnected"}, None),
        ({"card0-HDMI-A-1": "connected", "card0-HDMI-A-2": "disconnected"}, 0),
        ({"card1-HDMI-A-1": "connected", "card2-DSI-1": "connected"}, 2),
        ({"card0-DSI-2": "disconnected", "card10-HDMI-A-1": "connected"}, 10),
    ],
)
def test_the_card_is_the_one_that_has_a_panel_whatever_its_number(
    tmp_path: Path, connectors: dict[str, str], card: int | None
) -> None:
    (tmp_path / "card0").mkdir()
    for name, status in connectors.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "status").write_text(f"{status}\n")
    assert panels_card(tmp_path) == card


@pytest.mark.parametrize(
    ("connectors", "there"),
    [
        ({}, True),  # no such folder, or a driver that shows nothing
        ({"card1-HDMI-A-1": "disconnected", "card1-Writeback-1": "unknown"}, False),
        ({"card0-HDMI-A-1": "disconnected", "card0-HDMI-A-2": "connected"}, True),
        ({"card1-HDMI-A-1": "disconnected", "card2-DSI-1": "unknown"}, True),
    ],
)
def test_f42_a_display_is_gone_where_the_kernel_calls_each_disconnected(
    tmp_path: Path, connectors: dict[str, str], *, there: bool
) -> None:
    for name, status in connectors.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "status").write_text(f"{status}\n")
    assert has_display(tmp_path) is there
