"""An example controller: an outside algorithm that asks for temporary basals, as any client may.

In virtual time, with a patient:      pumpctl simulate docs/examples/closed-loop.toml
On a pump or a demo that runs:        python docs/examples/closed_loop.py

It is a plain textbook loop in the manner of oref0, here to be replaced by yours. The pump keeps its
limits whatever is asked. Each rate is a lease: a controller that falls silent loses the pump
when it runs out, and the schedule returns. BENCH use only.
"""

import sys

LEASE_S = 1_800
MOST_TIMES_SCHEDULED = 4
GRID_UU_PER_H = 25_000


def decide(seen):
    """Return a rate and its lease by what a client sees, or None to ask for nothing.

    ``seen`` is the pump's snapshot, with ``settings`` (target, sensitivity) and ``refused`` (what
    the pump said against the last wish).
    """
    glucose = seen["glucose"]
    if glucose["state"] != "ok" or glucose.get("predicted_mg_dl") is None or not seen["iob_uu"]:
        return None  # the lease runs out, and the schedule returns
    target = seen["settings"]["target_mg_dl"]
    sensitivity = seen["settings"]["sensitivity_mg_dl_per_u"]
    scheduled = seen["scheduled_uu_per_h"]
    on_board_u = seen["iob_uu"]["total"] / 1_000_000
    ahead = glucose["predicted_mg_dl"]
    eventual = ahead - max(0.0, on_board_u) * sensitivity / 2
    if min(glucose["mg_dl"], ahead) < 80:
        return {"rate_uu_per_h": 0, "lease_s": LEASE_S}
    needed_u = (min(ahead, eventual) - target) / sensitivity
    rate = scheduled + 2 * needed_u * 1_000_000  # within half an hour
    rate = max(0, min(rate, MOST_TIMES_SCHEDULED * scheduled))
    return {"rate_uu_per_h": int(rate) // GRID_UU_PER_H * GRID_UU_PER_H, "lease_s": LEASE_S}


def main(folder=None):
    """Close the loop on the pump that runs, until Ctrl-C."""
    from appliance.client import Places, PumpClient, Refused

    settings = {"target_mg_dl": 120, "sensitivity_mg_dl_per_u": 75}
    last, refused = None, []
    with PumpClient(Places.of(folder).pump_socket, client="closed-loop example") as pump:
        for snapshot in pump.iter_snapshots():
            if snapshot.glucose is None or snapshot.glucose.utc_ns == last:
                continue
            last = snapshot.glucose.utc_ns
            wanted = decide({**snapshot.raw, "settings": settings, "refused": refused})
            if wanted is None:
                continue
            try:
                pump.start_temp("rate", wanted["rate_uu_per_h"], wanted["lease_s"])
                refused = []
            except Refused as no:
                refused = [reason.text for reason in no.reasons]
            print(f"BENCH  {snapshot.glucose.mg_dl} mg/dL: {wanted} {refused or 'taken'}")


if __name__ == "__main__":
    main(*sys.argv[1:2])
