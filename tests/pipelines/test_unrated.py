"""Amounts that cannot be converted are said once: at the first start, and by `--check`."""

import json

import pytest
import yaml

from pipelines import event_enrichment
from support.place import Place

BASE = 1_772_323_200_000


def lines(currencies, **more: object):
    return "".join(
        json.dumps({"event_id": f"e{n}", "event_type": "purchase", "event_time": BASE + n, "user_id": "u",
                    "price": 5, "currency": currency, **more}) + "\n"
        for n, currency in enumerate(currencies)
    )  # fmt: skip


def enrich(folder, **currency: object):
    (folder / "enrich.yaml").write_text(yaml.safe_dump({"steps": {"currency": currency}}))
    return f"--enrich={folder / 'enrich.yaml'}"


@pytest.mark.parametrize(
    ("currencies", "settings", "said"),
    [
        (["EUR", "EUR", "USD"], None, "2 of the first 3 good rows have amounts in EUR, the base currency is USD"),
        (["EUR", "GBP"], {"base": "GBP"}, "1 of the first 2 good rows have amounts in EUR, the base currency is GBP"),
        (["AUD", "AUD", "BRL", "CHF", "DKK"], None, "have amounts in AUD, "),
        (["USD", None], None, ""),
        (["EUR"], {"base": "EUR"}, ""),
        (["EUR"], {"enabled": False}, ""),
    ],
)
def test_one_line_at_the_first_start_and_in_check(tmp_path, capsys, currencies, settings, said):
    (tmp_path / "events.jsonl").write_text(lines(currencies))
    flags = () if settings is None else (enrich(tmp_path, **settings),)
    place = Place(tmp_path, tmp_path / "events.jsonl", flags)
    assert place.run("--check") == 0
    shown = capsys.readouterr().out
    assert ("there are no rates" in shown) == bool(said)
    assert "\\n" not in shown
    assert place.run("--drain") == 0
    err = capsys.readouterr().err
    assert err.count("there are no rates") == bool(said)
    assert said in err
    assert place.run("--drain") == 0
    assert "no rates" not in capsys.readouterr().err


def test_with_rates_there_is_nothing_to_say(tmp_path, capsys):
    (tmp_path / "events.jsonl").write_text(lines(["EUR"]))
    (tmp_path / "rates.csv").write_text("date,currency,rate\n2026-01-01,EUR,1.1\n")
    place = Place(tmp_path, tmp_path / "events.jsonl", (enrich(tmp_path, rates=str(tmp_path / "rates.csv")),))
    assert place.run("--drain") == 0
    assert "no rates" not in capsys.readouterr().err


def test_rows_without_amounts_are_not_counted(tmp_path, capsys):
    (tmp_path / "events.jsonl").write_text(lines(["EUR"], price=None))
    assert Place(tmp_path, tmp_path / "events.jsonl", (), event_enrichment).run("--drain") == 0
    assert "no rates" not in capsys.readouterr().err
