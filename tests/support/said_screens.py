"""Says what some screens show under the locale of the environment: a program for a test to start.

    python tests/support/said_screens.py < SNAPSHOT.json

Prints a JSON object: the comma or point of the locale, and of each screen its texts and the SHA-256
of its picture. Whatever reads the locale by itself (SDL, a library) finds it set.
"""

import hashlib
import json
import locale
import sys
import tempfile
from pathlib import Path

locale.setlocale(locale.LC_ALL, "")

from touch import TIME, Window, frames, kiosk_on  # noqa: E402

from appliance.client import Places, Snapshot  # noqa: E402
from ui.pictures import save_picture  # noqa: E402


def main() -> None:
    snapshot = Snapshot.of(json.load(sys.stdin))
    said: dict[str, object] = {"point": locale.localeconv()["decimal_point"]}
    with tempfile.TemporaryDirectory() as folder:
        nowhere = Places(Path(folder), Path(folder))
        with TIME.held(), kiosk_on(nowhere, start=False) as hands:
            hands.hear(snapshot)
            for screen in ("home", "bolus", "basal"):
                hands.kiosk.go(screen)
                frames(3)
                hands.settles()
                for key in "12.50" if screen == "bolus" else "":
                    hands.tap(key)
                    hands.later(0.2)
                frames(3)
                Window.dispatch("on_draw")  # nothing is painted by itself while time is held
                panel = hands.kiosk.panel
                picture = Path(folder) / f"{screen}.png"
                save_picture(picture, panel.width_px, panel.height_px)
                said[screen] = {
                    "texts": sorted(hands.texts()),
                    "picture": hashlib.sha256(picture.read_bytes()).hexdigest(),
                }
    print(json.dumps(said))  # noqa: T201


if __name__ == "__main__":
    main()
