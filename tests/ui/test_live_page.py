"""The page of a live demo is there while it lasts, and gone behind it."""

import time
import urllib.error
import urllib.request

import pytest

from ecompulse.cli import live_page
from support.process import PATIENCE


def asked(address):
    with urllib.request.urlopen(address) as answer:  # noqa: S310  # our own
        return answer.status, answer.read().decode()


@pytest.mark.slow
def test_the_page_lasts_as_long_as_the_demo(tmp_path, capsys):
    until = time.monotonic() + PATIENCE
    with live_page.page_of(tmp_path) as address:
        assert f"its page is {address}" in capsys.readouterr().out
        while True:
            try:
                status, text = asked(address)
                break
            except urllib.error.URLError:
                assert time.monotonic() < until, (tmp_path / "ui.log").read_text()
                time.sleep(0.1)
        assert (status, "No checkpoint here yet" in text) == (200, True)
    with pytest.raises(urllib.error.URLError):
        asked(address)


def test_without_the_extra_the_demo_goes_on_without_a_page(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(live_page, "find_spec", lambda _name: None)
    with live_page.page_of(tmp_path) as address:
        assert address is None
    assert "pip install 'ecompulse[ui]' for a page to look at" in capsys.readouterr().out
