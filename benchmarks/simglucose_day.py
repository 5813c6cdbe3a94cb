"""Run by the Python of an environment that has simglucose: a day of its adult, and what it took.

Prints the seconds of processor time; the imports are not in them.
"""

import time
from datetime import datetime

from simglucose.actuator.pump import InsulinPump
from simglucose.controller.base import Action
from simglucose.patient.t1dpatient import T1DPatient
from simglucose.sensor.cgm import CGMSensor
from simglucose.simulation.env import T1DSimEnv
from simglucose.simulation.scenario import CustomScenario

DAY_MIN = 1_440
BEGINS = datetime(2027, 1, 15)  # noqa: DTZ001 - it knows no zones
MEALS_G = [(7.5, 45), (12.5, 62), (19, 70)]


def main() -> None:
    """Live a day as ours is lived: basal, three meals with their boluses, a sensor."""
    scenario = CustomScenario(start_time=BEGINS, scenario=MEALS_G)
    environment = T1DSimEnv(
        T1DPatient.withName("adult#001"),
        CGMSensor.withName("Dexcom", seed=1),
        InsulinPump.withName("Insulet"),
        scenario,
    )
    step = environment.reset()
    begun_s = time.process_time()
    for _ in range(int(DAY_MIN / environment.sample_time)):
        bolus = step.info["meal"] * 50 / 1_000
        step = environment.step(Action(basal=0.02, bolus=bolus))
    print(time.process_time() - begun_s)


if __name__ == "__main__":
    main()
