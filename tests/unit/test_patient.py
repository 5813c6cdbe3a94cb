"""The virtual patient: held by its basal, moved by food, insulin and exercise as it should be."""

from itertools import pairwise
from random import Random
from statistics import mean, pstdev

import pytest

from appliance.domain.patient import PEOPLE, Patient, Person, Sensor


@pytest.mark.parametrize("name", PEOPLE)
def test_its_basal_holds_a_fasting_patient_where_it_is(name: str) -> None:
    for start in (80.0, 110.0, 150.0):
        patient = Patient(PEOPLE[name], start)
        patient.live(24 * 60, PEOPLE[name].basal_mu_per_min(start))
        assert patient.glucose_mg_dl == pytest.approx(start, abs=0.5)
        assert patient.interstitial_mg_dl == pytest.approx(start, abs=0.5)


def test_without_basal_glucose_rises_and_with_twice_of_it_falls() -> None:
    person = PEOPLE["adult"]
    basal = person.basal_mu_per_min()
    ends = []
    for share in (0, 0.5, 1, 2):
        patient = Patient(person)
        patient.live(6 * 60, share * basal)
        ends.append(patient.glucose_mg_dl)
    assert ends == sorted(ends, reverse=True)
    assert ends[0] > 200
    assert ends[3] < 75


def test_food_raises_glucose_within_hours_and_a_bolus_of_its_ratio_brings_it_back() -> None:
    person, basal = PEOPLE["adult"], PEOPLE["adult"].basal_mu_per_min()
    patient, peaks = Patient(person), []
    patient.eat(60)
    for _ in range(60):
        patient.live(5, basal)
        peaks.append(patient.glucose_mg_dl)
    assert 30 <= 5 * peaks.index(max(peaks)) <= 150
    assert max(peaks) > 200
    covered, glucose = Patient(person), []
    covered.eat(60)
    covered.infuse(4_500)
    for _ in range(100):
        covered.live(5, basal)
        glucose.append(covered.glucose_mg_dl)
    assert max(glucose) < max(peaks) - 60
    assert abs(glucose[-1] - 110) < 40


def test_exercise_lowers_glucose_only_while_it_goes_on_and_a_little_after() -> None:
    person, basal = PEOPLE["adult"], PEOPLE["adult"].basal_mu_per_min()
    patient = Patient(person, 140.0)
    patient.move(50)
    patient.live(45, person.basal_mu_per_min(140.0))
    low = patient.glucose_mg_dl
    assert low < 115
    patient.move(0)
    patient.live(180, basal)
    assert patient.glucose_mg_dl > low


def test_the_sensor_is_behind_what_it_measures() -> None:
    person = PEOPLE["adult"]
    patient = Patient(person)
    patient.eat(60)
    patient.live(30, person.basal_mu_per_min())
    assert patient.glucose_mg_dl > patient.interstitial_mg_dl + 5


def test_how_time_is_cut_changes_nothing_that_counts() -> None:
    person, ends = PEOPLE["adult"], []
    for step in (0.25, 1.0, 5.0):
        patient = Patient(person)
        patient.eat(60)
        patient.infuse(4_000)
        for _ in range(int(240 / step)):
            patient.live(step, person.basal_mu_per_min())
        ends.append(patient.glucose_mg_dl)
    assert ends == pytest.approx([ends[0]] * 3, abs=0.05)


def test_no_dose_makes_a_compartment_negative_or_endless() -> None:
    patient = Patient(PEOPLE["child"])
    patient.infuse(50_000)
    patient.live(24 * 60, 0.0)
    assert 0 < patient.glucose_mg_dl < 1_000
    patient.eat(300)
    patient.live(24 * 60, 0.0)
    assert 0 < patient.glucose_mg_dl < 2_000


def test_a_liver_that_gives_too_little_is_refused() -> None:
    with pytest.raises(ValueError, match="the liver gives too little"):
        Person(liver=0.001).basal_mu_per_min()


def test_the_sensors_error_goes_on_for_a_while_and_is_of_the_published_size() -> None:
    dice, sensor = Random(5), Sensor()  # noqa: S311
    errors = [sensor.read(150, dice.gauss(0, 1)) - 150 for _ in range(20_000)]
    assert abs(mean(errors)) < 3
    assert 8 < pstdev(errors) < 20
    later = [a * b for a, b in pairwise(errors)]
    assert mean(later) / pstdev(errors) ** 2 > 0.5  # one error looks like the next
    still = Sensor(noise=0)
    assert [still.read(value, 1.0) for value in (150.4, 20, 900)] == [150, 40, 400]
