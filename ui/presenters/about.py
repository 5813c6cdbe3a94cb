"""About: which pump this is, its self-test, programs and ledger, and how long it has run."""

from __future__ import annotations

import re

from appliance import __version__
from ui.presenters import numbers
from ui.presenters.choose import ListPresenter, ListView
from ui.presenters.desk import FootItem
from ui.presenters.lists import Row
from ui.words import _, words

_DECLARED = re.compile(r'\((\w+) = "(\w+)"\)')
"""What the configuration says, at the end of a sentence about what is weaker."""


class AboutPresenter(ListPresenter):
    """Facts, none of which can be changed."""

    _chosen = ""

    def view(self) -> ListView:
        """Return them."""
        snapshot = self.desk.state.live
        foot = (FootItem("back", _("Back")),)
        if snapshot is None:
            return ListView(title=_("About"), foot=foot)
        raw, ledger = snapshot.raw, snapshot.ledger
        uptime_s = raw.get("uptime_s")
        head = str(ledger.get("head", ""))
        rows = [
            Row(
                "",
                _("Benchpump: for water and test fluid on a bench, never on a person"),
                heading=True,
            ),
            Row("", _("Pump"), str(raw.get("pump", ""))),
            Row("", _("Version of the pump"), str(raw.get("version", ""))),
            Row("", _("Version of this screen"), __version__),
            Row(
                "",
                _("Has run for"),
                numbers.age(uptime_s) if isinstance(uptime_s, int) else numbers.DASH,
            ),
            Row("", _("Ledger"), _("{count} rows").format(count=numbers.count(ledger.get("seq")))),
            Row("", _("Its last hash"), f"{head[:8]} … {head[-8:]}" if head else numbers.DASH),
            Row("", _("Steps confirmed, all in all"), numbers.count(raw.get("confirmed_steps"))),
            Row("", _("Self-test"), heading=True),
        ]
        for check in snapshot.self_test:
            rows.append(
                Row(
                    "",
                    words.of_the_pump(check.name),
                    _("passed") if check.ok else _("failed"),
                    tone="in_range" if check.ok else "low",
                )
            )
        rows.append(Row("", _("Programs"), heading=True))
        for name, pid in snapshot.pids.items():
            rows.append(Row("", name, _("process {pid}").format(pid=pid) if pid else numbers.DASH))
        if snapshot.weaker:
            rows.append(Row("", _("Declared weaker"), heading=True))
        for sentence in snapshot.weaker:
            declared = _DECLARED.search(sentence)
            name, value = declared.groups() if declared is not None else (sentence, "")
            rows.append(Row(sentence, name, value))
        return ListView(
            title=_("About"),
            foot=foot,
            rows=tuple(rows),
            chosen=self._chosen,
            note=words.sentence(self._chosen),
            note_tone="text",
        )

    def entered(self, **_words: object) -> None:
        """Have nothing explained."""
        self._chosen = ""

    def pick(self, key: str) -> None:
        """Explain what is declared weaker."""
        self._chosen = "" if key == self._chosen else key

    def press(self, _key: str) -> None:
        """Go back."""
        self.desk.go("menu")
