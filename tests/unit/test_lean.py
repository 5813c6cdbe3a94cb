"""An import that finds less than there is."""

import importlib
import sys

import pytest

from appliance.adapters.lean import without


def test_what_is_hidden_is_missing_in_the_block_and_there_again_after_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delitem(sys.modules, "this", raising=False)
    with without("this"), pytest.raises(ImportError):
        importlib.import_module("this")
    assert "this" not in sys.modules
    assert importlib.util.find_spec("this") is not None


def test_what_is_here_already_stays() -> None:
    with without("json"):
        assert importlib.import_module("json") is sys.modules["json"]
    assert "json" in sys.modules
