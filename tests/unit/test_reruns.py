"""A test is run again where the computer stood still, and only there."""

from pathlib import Path

import pytest
from reruns import Reruns

pytest_plugins = ["pytester"]

FAILS_TWICE = """
    import pytest
    runs = []

    @pytest.fixture(scope="module")
    def pump():
        return object()

    def test_a_pump(pump):
        runs.append(pump)
        assert len(runs) == 3
        assert len({id(one) for one in runs}) == 3, "each attempt has a pump of its own"
"""
BROKEN = """
    from demo_harness import holds
    runs = []

    def test_a_bound():
        runs.append(1)
        holds(len(runs) > 1, "the bound")
"""


class Watch:
    """A computer that stands still, or does not, while each test runs."""

    def __init__(self, *stalls_ms: int) -> None:
        self._stalls_ms = list(stalls_ms)
        self.watchers = ["one"]

    def stalls_ms(self, _since_ns: int) -> list[int]:
        return self._stalls_ms

    def end(self) -> None:
        self.watchers = []


@pytest.mark.parametrize(
    ("source", "stalls_ms", "passed"),
    [(FAILS_TWICE, [60], 1), (FAILS_TWICE, [], 0), (BROKEN, [60], 0)],
    ids=["after stalls", "without a stall", "a broken invariant"],
)
def test_only_a_standing_computer_excuses_a_failure_and_never_a_broken_invariant(
    pytester: pytest.Pytester, source: str, stalls_ms: list[int], passed: int
) -> None:
    pytester.makepyfile(source)
    plugin = Reruns(Path(pytester.path), Watch(*stalls_ms))  # type: ignore[arg-type]
    result = pytester.inline_run("-p", "no:cacheprovider", plugins=[plugin])
    result.assertoutcome(passed=passed, failed=1 - passed)
    assert len(plugin.told) == (2 if passed else 0)


def test_what_stands_outside_the_folder_is_left_alone(
    pytester: pytest.Pytester, tmp_path: Path
) -> None:
    pytester.makepyfile(FAILS_TWICE)
    plugin = Reruns(tmp_path / "elsewhere", Watch(60))  # type: ignore[arg-type]
    pytester.inline_run("-p", "no:cacheprovider", plugins=[plugin]).assertoutcome(failed=1)
    assert plugin.told == []
