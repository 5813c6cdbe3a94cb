"""What the touchscreen finds out before Kivy is there."""

from pathlib import Path

import pytest

from ui.environment import panels_card


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
