"""The screens, one .py and one .kv each, and the table by which they are found.

A new screen is a presenter in ``ui/presenters``, a page here, and one line in ``SCREENS``. Any
presenter shows it with ``desk.go(name)``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ui.frame import Page
from ui.presenters.about import AboutPresenter
from ui.presenters.alarm import AlarmPresenter
from ui.presenters.alarm_log import AlarmLogPresenter
from ui.presenters.amount import AmountPresenter
from ui.presenters.basal import BasalPresenter
from ui.presenters.calculator import CalculatorPresenter
from ui.presenters.cartridge import CartridgePresenter, SetChangePresenter
from ui.presenters.check import CheckPresenter
from ui.presenters.choose import ChoosePresenter
from ui.presenters.computer import ComputerPresenter
from ui.presenters.confirm import ConfirmPresenter
from ui.presenters.days import DaysPresenter
from ui.presenters.delivering import DeliveringPresenter
from ui.presenters.desk import Presenter
from ui.presenters.extend import ExtendPresenter
from ui.presenters.fault_bench import FaultBenchPresenter
from ui.presenters.first_start import FirstStartPresenter
from ui.presenters.graph import GraphPresenter
from ui.presenters.history import HistoryPresenter
from ui.presenters.home import HomePresenter
from ui.presenters.inhibited import InhibitedPresenter
from ui.presenters.leases import LeasesPresenter
from ui.presenters.menu import MenuPresenter
from ui.presenters.name import NamePresenter
from ui.presenters.no_contact import NoContactPresenter
from ui.presenters.number import NumberPresenter
from ui.presenters.profile import ProfilePresenter
from ui.presenters.profiles import ProfilesPresenter
from ui.presenters.quick import QuickPresenter
from ui.presenters.reminders import RemindersPresenter
from ui.presenters.review import ReviewPresenter
from ui.presenters.segment import SegmentPresenter
from ui.presenters.settings import LanguagePresenter, SettingsPresenter, ZonePresenter
from ui.presenters.stopped import StoppedPresenter
from ui.presenters.temp import TempPresenter
from ui.screens.alarm import AlarmPage
from ui.screens.amount import AmountPage
from ui.screens.basal import BasalPage
from ui.screens.calculator import CalculatorPage
from ui.screens.cartridge import CartridgePage
from ui.screens.check import CheckPage
from ui.screens.confirm import ConfirmPage
from ui.screens.days import DaysPage
from ui.screens.delivering import DeliveringPage
from ui.screens.form import FormPage
from ui.screens.graph import GraphPage
from ui.screens.history import HistoryPage
from ui.screens.home import HomePage
from ui.screens.inhibited import InhibitedPage
from ui.screens.leases import LeasesPage
from ui.screens.listing import ListingPage
from ui.screens.menu import MenuPage
from ui.screens.name import NamePage
from ui.screens.no_contact import NoContactPage
from ui.screens.number import NumberPage
from ui.screens.profile import ProfilePage
from ui.screens.profiles import ProfilesPage
from ui.screens.quick import QuickPage
from ui.screens.review import ReviewPage
from ui.screens.set_change import SetChangePage
from ui.screens.stopped import StoppedPage


@dataclass(frozen=True, slots=True)
class Screen:
    """One screen: its body and what it says."""

    page: type[Page]
    presenter: type[Presenter]


SCREENS: Mapping[str, Screen] = {
    "about": Screen(ListingPage, AboutPresenter),
    "alarm": Screen(AlarmPage, AlarmPresenter),
    "alarm_log": Screen(ListingPage, AlarmLogPresenter),
    "basal": Screen(BasalPage, BasalPresenter),
    "bolus": Screen(AmountPage, AmountPresenter),
    "calculator": Screen(CalculatorPage, CalculatorPresenter),
    "cartridge": Screen(CartridgePage, CartridgePresenter),
    "check": Screen(CheckPage, CheckPresenter),
    "choose": Screen(ListingPage, ChoosePresenter),
    "computer": Screen(ListingPage, ComputerPresenter),
    "confirm": Screen(ConfirmPage, ConfirmPresenter),
    "days": Screen(DaysPage, DaysPresenter),
    "delivering": Screen(DeliveringPage, DeliveringPresenter),
    "extend": Screen(FormPage, ExtendPresenter),
    "fault_bench": Screen(ListingPage, FaultBenchPresenter),
    "first_start": Screen(ListingPage, FirstStartPresenter),
    "graph": Screen(GraphPage, GraphPresenter),
    "history": Screen(HistoryPage, HistoryPresenter),
    "home": Screen(HomePage, HomePresenter),
    "inhibited": Screen(InhibitedPage, InhibitedPresenter),
    "language": Screen(ListingPage, LanguagePresenter),
    "leases": Screen(LeasesPage, LeasesPresenter),
    "menu": Screen(MenuPage, MenuPresenter),
    "name": Screen(NamePage, NamePresenter),
    "no_contact": Screen(NoContactPage, NoContactPresenter),
    "number": Screen(NumberPage, NumberPresenter),
    "profile": Screen(ProfilePage, ProfilePresenter),
    "profiles": Screen(ProfilesPage, ProfilesPresenter),
    "quick": Screen(QuickPage, QuickPresenter),
    "reminders": Screen(ListingPage, RemindersPresenter),
    "review": Screen(ReviewPage, ReviewPresenter),
    "segment": Screen(FormPage, SegmentPresenter),
    "set_change": Screen(SetChangePage, SetChangePresenter),
    "settings": Screen(ListingPage, SettingsPresenter),
    "stopped": Screen(StoppedPage, StoppedPresenter),
    "temp": Screen(FormPage, TempPresenter),
    "zone": Screen(ListingPage, ZonePresenter),
}
"""By the name that ``desk.go`` takes."""
