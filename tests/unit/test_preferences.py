"""What a person chooses of the pump that is no rule for a dose: words, look, zone, syringe."""

from engine_room import Room

from appliance.domain.units import NS_PER_S
from appliance.engine.preferences import NAMES, PreferencesDesk
from appliance.simulate.bench import VirtualBench

NOTHING = dict.fromkeys(NAMES)


class Choosing(Room):
    def __init__(self) -> None:
        super().__init__(zones=frozenset({"UTC", "Europe/Berlin"}), zone="UTC")
        self.desk = PreferencesDesk(self.c)
        self.desks = [self.desk]

    def set(self, **given: object) -> dict[str, object]:
        return self.ask("preferences.set", **{**NOTHING, **given})


def test_a_new_pump_has_chosen_nothing_and_its_zone_is_the_configurations() -> None:
    room = Choosing()
    assert room.ask("preferences.show") == {"preferences": NOTHING}
    assert room.desk.in_snapshot()["zone"] == "UTC"


def test_what_is_named_changes_and_the_rest_stays() -> None:
    room = Choosing()
    room.set(language="de", syringe_uu=180_000_000)
    room.set(language="en", zone="Europe/Berlin")
    chosen = {"language": "en", "syringe_uu": 180_000_000, "zone": "Europe/Berlin"}
    assert room.ask("preferences.show") == {"preferences": NOTHING | chosen}
    assert room.desk.in_snapshot()["zone"] == "Europe/Berlin"


def test_what_cannot_be_is_refused_with_its_field_and_changes_nothing() -> None:
    room = Choosing()
    refused = room.set(zone="Mars/Phobos", syringe_uu=400_000_000, fluid="milk")["refused"]
    assert [text.split(" = ")[0] for text in refused] == ["zone", "syringe_uu", "fluid"]
    assert room.set(syringe_uu=0)["refused"]
    assert room.ask("preferences.show") == {"preferences": NOTHING}


def test_another_zone_moves_the_pumps_local_time_and_not_its_utc() -> None:
    bench = VirtualBench()
    before = bench.snapshot()["clock"]
    bench.ask("preferences.set", **{**NOTHING, "zone": "Asia/Tokyo"})
    bench.run(2)
    clock = bench.snapshot()["clock"]
    assert bench.snapshot()["zone"] == "Asia/Tokyo"
    assert clock["offset_s"] == 9 * 3_600
    assert 0 <= clock["utc_ns"] - before["utc_ns"] < 10 * NS_PER_S
    assert bench.state == "running"
