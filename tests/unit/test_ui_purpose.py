"""What a bolus of the calculator is for, also where its amount was changed afterwards."""

import pytest

from appliance.client.calculator import Inputs, benchpump
from ui.presenters.purpose import Purpose, purpose_words


def worked_out(carbs_g: int, glucose_mg_dl: int | None, iob_uu: int = 0) -> tuple[int, Purpose]:
    """The proposal at 10 g/U, 50 mg/dL per U and a target of 100, and what it is for."""
    found = benchpump(
        Inputs(
            ratio_mg_per_u=10_000,
            sensitivity_mg_dl_per_u=50,
            target_mg_dl=100,
            bolus_iob_uu=iob_uu,
            basal_iob_uu=0,
            carbs_g=carbs_g,
            glucose_mg_dl=glucose_mg_dl,
        )
    )
    return found.total_uu, Purpose.of(found, carbs_g)


@pytest.mark.parametrize(
    ("carbs_g", "glucose_mg_dl", "iob_uu", "amount_uu", "correction_uu"),
    [
        (60, 150, 0, 7_000_000, 1_000_000),
        (60, 150, 300_000, 6_700_000, 700_000),  # on board is taken off the correction first
        (60, 150, 2_000_000, 5_000_000, 0),
        (60, 80, 0, 5_600_000, 0),  # below the target
        (60, None, 0, 6_000_000, 0),
        (0, 200, 0, 2_000_000, 2_000_000),
    ],
)
def test_of_a_proposal_food_comes_first_and_the_rest_is_correction(
    carbs_g: int, glucose_mg_dl: int | None, iob_uu: int, amount_uu: int, correction_uu: int
) -> None:
    total_uu, purpose = worked_out(carbs_g, glucose_mg_dl, iob_uu)
    assert (total_uu, purpose.carbs_g) == (amount_uu, carbs_g)
    assert purpose.correction_uu(total_uu) == correction_uu


def test_who_gives_less_gives_it_for_the_food_first_and_who_gives_more_corrects_no_more() -> None:
    _total_uu, purpose = worked_out(60, 150)
    given = [0, 3_000_000, 6_400_000, 7_000_000, 9_000_000]
    assert [purpose.correction_uu(uu) for uu in given] == [0, 0, 400_000, 1_000_000, 1_000_000]


def test_without_carbs_all_of_an_amount_is_correction() -> None:
    _total_uu, purpose = worked_out(0, 200)
    assert [purpose.correction_uu(uu) for uu in (500_000, 2_500_000)] == [500_000, 2_500_000]


def test_a_purpose_is_said_in_words() -> None:
    assert purpose_words(60, 700_000) == "for 60 g of carbs, 0.70 U for the glucose"
    assert purpose_words(60, 0) == "for 60 g of carbs"
    assert purpose_words(0, 700_000) == "for the glucose"
    assert purpose_words(0, 0) == ""
