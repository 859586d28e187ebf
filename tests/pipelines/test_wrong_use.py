"""Wrong use: one line that names the flag, exit 2, nothing made, and no wait for Beam."""

import json
import os
import subprocess
import sys

import pytest

from pipelines import anomaly_detection, checkpoint, event_enrichment, lake, session_analytics, show, status
from support.place import Place, snapshot

EVENT = {"event_id": "e1", "event_type": "page_view", "event_time": "2026-03-01T00:00:00Z", "user_id": "u1"}

WITHOUT_BEAM = """
import importlib, json, sys
sys.modules["apache_beam"] = None  # importing it fails from here on
statuses = []
for job, *arguments in json.loads(sys.argv[1]):
    try:
        statuses.append(importlib.import_module(f"pipelines.{job}").main(arguments))
    except SystemExit as ended:
        statuses.append(ended.code)
print(json.dumps(statuses))
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty working directory, beside a file of one event."""
    (tmp_path / "events.jsonl").write_text(json.dumps(EVENT) + "\n")
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path


def written(here, name, text):
    (here / name).write_text(text)
    return here / name


@pytest.mark.parametrize("job", [event_enrichment, session_analytics], ids=lambda job: job.SPEC.name)
@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ([], "--source: is required; see --help"),
        (["--source=gone.jsonl"], "gone.jsonl"),
        (["--source="], "--source: is empty"),
        (["--source=file://"], "--source: file://: names no path"),
        (["--source=../events.jsonl", "--mapping= "], "--mapping: is empty"),
        (["--source=../events.jsonl", "--checkpoint="], "--checkpoint: is empty"),
        (["--source=../events.jsonl", "--lake="], "--lake: is empty"),
        (["--source=../events.jsonl", "--warehouse="], "--warehouse: is empty"),
        (["--source=../events.jsonl", "--warehouse=sqlite:///"], "--warehouse: sqlite:///: names no file"),
        (["--source=../events.jsonl", "--sink=jsonl:"], "--sink: jsonl:: names no directory"),
        (["--source=../events.jsonl", "--mapping=ress46"], "did you mean rees46?"),
        (["--source=../events.jsonl", "--enrich=gone.yaml"], "--enrich: gone.yaml: No such file or directory"),
        (["--source=../events.jsonl", "--watermark_delay=ten"], "--watermark_delay: 'ten' is no duration"),
        (["--source=../events.jsonl", "--chekpoint=x"], "--chekpoint: neither this job nor Beam knows this flag"),
        (["--source=../events.jsonl", "--warehouse=nonsense"], "--warehouse: is no SQLAlchemy URL"),
        (["--source=../events.jsonl", "--warehouse=mysql://u:geheim@h/d"], "--warehouse: mysql is not supported"),
        (["--source=../events.jsonl", "--sink=kafka9:x"], "--sink: kafka9:x: no such sink"),
        (["--source=../events.jsonl", "--lake=../events.jsonl"], "is a file, not a directory"),
        (
            ["--source=../events.jsonl", "--checkpoint=c", "--checkpoint_backup=./c/backup"],
            "c/backup and the checkpoint ",
        ),
        (
            ["--source=../events.jsonl", "--checkpoint=s3://b/jobs/c", "--checkpoint_backup=s3://b/jobs/"],
            "--checkpoint_backup: s3://b/jobs/ and the checkpoint s3://b/jobs/c must lie apart",
        ),
        (["--source=../events.jsonl", "--checkpoint=ftp://x/y"], "--checkpoint: ftp://x/y: no such store"),
        (
            ["--source=../events.jsonl", "--runner=Nobody"],
            "--runner: Nobody: no such runner; there are LocalRunner, DirectRunner, PrismRunner, PySparkRunner",
        ),
        (["--source=../events.jsonl", "--runner=PrismRuner"], "no such runner, did you mean PrismRunner; there are "),
        (["--source=../events.jsonl", "--direct_num_workers=many"], "--direct_num_workers: invalid int value"),
        (["--source=../events.jsonl", "--config=gone.yaml"], "--config: gone.yaml: No such file or directory"),
    ],
)
def test_a_wrong_flag_is_one_line_and_makes_nothing(here, wrong, job, flags, said):
    before = snapshot(here)
    line = wrong(job.main, *flags)
    assert line.startswith(f"{job.SPEC.name}: ")
    assert said in line
    assert "geheim" not in line, "a password is not to be seen"
    assert snapshot(here) == before


@pytest.mark.parametrize(
    ("flag", "text", "path"),
    [
        ("mapping", "fields: {event_time: t}\ntimes: {format: x}\n", "times: unknown key, did you mean time?"),
        ("mapping", "fields: {event_tme: t}\n", "fields.event_tme: no field of the event, did you mean event_time?"),
        (
            "mapping",
            "fields: {event_time: t}\ntime: {format: '%Y', zoen: UTC}\n",
            "time.zoen: unknown key, did you mean zone?",
        ),
        ("mapping", "fields: [a]\n", "fields: expected a mapping"),
        ("enrich", "steps: {geo: {databse: x}}\n", "steps.geo.databse: unknown key, did you mean database?"),
        ("enrich", "step: {}\n", "step: unknown key, did you mean steps?"),
        (
            "enrich",
            "steps: {currency: {base: EURO}}\n",
            "steps.currency.base: 'EURO' is not an ISO 4217 code such as EUR",
        ),
        ("models", "online: logistics\n", "online: 'logistics' is not one of logistic, river_logistic, none"),
        ("models", "boosting: {dept: 4}\n", "boosting.dept: unknown key, did you mean depth?"),
        ("policy", "rules: {a: {amont: {above: 1}}}\n", "rules.a.amont: no feature, did you mean amount?"),
        ("features", "entities: {user: {column: visitr}}\n", "entities.user.column: 'visitr' is no column"),
    ],
)
def test_a_wrong_key_of_a_file_is_named_with_its_path(here, wrong, flag, text, path):
    file = written(here, "given.yaml", text)
    before = snapshot(here)
    job = anomaly_detection if flag in {"models", "policy", "features"} else event_enrichment
    line = wrong(job.main, "--source=../events.jsonl", f"--{flag}={file}")
    assert line.startswith(f"{job.SPEC.name}: --{flag}: ")
    assert line.partition(f"--{flag}: ")[2].removeprefix(f"{file}: ").startswith(path)
    assert snapshot(here) == before


def test_a_lookup_in_a_file_that_is_gone_is_named(here, wrong):
    enrich = written(here, "enrich.yaml", "steps: {user: {lookup: 'parquet:gone.parquet?key=user_id'}}\n")
    line = wrong(event_enrichment.main, "--source=../events.jsonl", f"--enrich={enrich}")
    assert line.startswith("event_enrichment: --enrich: ")
    assert "gone.parquet" in line


@pytest.mark.parametrize(
    ("job", "flags", "said"),
    [
        (
            event_enrichment,
            ["--user_updates=../events.jsonl"],
            "--user_updates: give its columns as steps.user.columns",
        ),
        (session_analytics, ["--funnel=gone.yaml"], "--funnel: gone.yaml: No such file or directory"),
        (session_analytics, ["--session_gap=0s"], "--session_gap"),
        (anomaly_detection, ["--labels=gone.jsonl"], "gone.jsonl: no such file, and no file matches it"),
    ],
)
def test_settings_of_a_job_that_do_not_fit_are_refused(here, wrong, job, flags, said):
    before = snapshot(here)
    assert said in wrong(job.main, "--source=../events.jsonl", *flags)
    assert snapshot(here) == before


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """A checkpoint after its first run."""
    root = tmp_path_factory.mktemp("begun")
    (root / "events.jsonl").write_text(json.dumps(EVENT) + "\n")
    (root / "more.jsonl").write_text("")
    place = Place(root, root / "events.jsonl")
    assert place.run() == 0
    return place


@pytest.mark.parametrize(
    ("flags", "setting"),
    [
        (["--num_shards=3"], "num_shards 2, not 3"),
        (["--dedup"], "operators"),
        (["--source={root}/more.jsonl"], "sources"),
        (["--quality_window=10m"], 'quality_window "3600000 ms", not "600000 ms"'),
    ],
)
def test_other_settings_than_the_checkpoints_are_refused(begun, wrong, flags, setting):
    before = snapshot(begun.root)
    line = wrong(event_enrichment.main, *begun.arguments(*(flag.format(root=begun.root) for flag in flags)))
    assert line.startswith(f"event_enrichment: --checkpoint: {begun.checkpoint} was made with {setting}")
    assert line.endswith("use the old setting or another --checkpoint")
    assert snapshot(begun.root) == before


@pytest.mark.parametrize("wait", ["0s", "2h"])
def test_another_wait_for_versions_than_the_checkpoints_is_refused(begun, tmp_path, capsys, wait):
    """Without a wait nobody would ever let out what waits; with a longer one the second join let rows out again."""
    (tmp_path / "enrich.yaml").write_text("steps: {user: {columns: {tier: text}}, product: {columns: {brand: text}}}")
    updates = [f"--{step}_updates={begun.root / 'more.jsonl'}" for step in ("user", "product")]
    place = Place(tmp_path, begun.source, (*updates, f"--enrich={tmp_path / 'enrich.yaml'}"))
    assert place.run("--join_wait=1m") == 0
    assert place.run(f"--join_wait={wait}") == 2
    assert 'was made with join_wait "60000 ms"' in capsys.readouterr().err


@pytest.mark.parametrize(
    "flags", [("--match_payments",), ("--user_updates={root}/more.jsonl", "--join_wait=1h")], ids=["keyed", "list"]
)
def test_rows_that_wait_with_another_type_of_a_column_are_refused(begun, tmp_path, capsys, flags):
    purchase = {**EVENT, "event_type": "purchase", "user_id": "u", "order_id": "o"}
    (tmp_path / "events.jsonl").write_text(json.dumps(purchase) + "\n")
    place = Place(tmp_path, tmp_path / "events.jsonl", tuple(flag.format(root=begun.root) for flag in flags))
    for tier, also, ended in ((1, (), 0), ("gold", ("--drain",), 2)):
        (tmp_path / f"{tier}.jsonl").write_text(json.dumps({"id": "u", "tier": tier}) + "\n")
        enrich = tmp_path / f"{tier}.yaml"
        enrich.write_text(f"steps: {{user: {{lookup: 'jsonl:{tmp_path}/{tier}.jsonl?key=id'}}}}")
        assert place.run(f"--enrich={enrich}", f"--lake={tmp_path / str(tier)}", "--warehouse=none", *also) == ended
    assert "have user_tier as Int64, the job has String; use the old type" in capsys.readouterr().err


def funnel(*stages: str) -> str:
    return "name: f\nwindow: 1h\nstages:\n" + "".join(f"- name: {stage}\n" for stage in stages)


def test_other_stages_of_a_funnel_than_the_checkpoints_are_refused(begun, tmp_path, wrong):
    """Walks under way are numbers of stages; a checkpoint of an earlier version does not know which they were."""
    sessions, path = Place(tmp_path, begun.source, ("--num_shards=2",), session_analytics), tmp_path / "funnel.yaml"
    path.write_text(funnel("product_view", "add_to_cart", "purchase"))
    assert sessions.run(f"--funnel={path}") == 0
    path.write_text(funnel("product_view", "search", "purchase"))
    line = wrong(session_analytics.main, *sessions.arguments(f"--funnel={path}"))
    assert (
        'was made with funnel_stages ["product_view", "add_to_cart", "purchase"], not ["product_view", "search",'
        in line
    )
    path.write_text(funnel("product_view", "add_to_cart", "purchase").replace("1h", "30m"))
    line = wrong(session_analytics.main, *sessions.arguments(f"--funnel={path}"))
    assert 'was made with funnel_window "3600000 ms", not "1800000 ms"' in line
    path.write_text(funnel("product_view", "search", "purchase"))
    meta = json.loads((sessions.checkpoint / "meta.json").read_text())
    del meta["settings"]["funnel_stages"]
    (sessions.checkpoint / "meta.json").write_text(json.dumps(meta))
    assert sessions.run(f"--funnel={path}") == 0


@pytest.mark.parametrize(("job", "flags"), [(session_analytics, ()), (anomaly_detection, ("--detect=fraud",))])
def test_another_base_currency_than_the_checkpoints_is_refused(begun, tmp_path, wrong, job, flags):
    """Open sessions, and what is known of cards and users, are sums in the one of before."""
    place, path = Place(tmp_path, begun.source, flags, job), tmp_path / "enrich.yaml"
    path.write_text("steps: {currency: {base: EUR}}")
    assert place.run(f"--enrich={path}") == 0
    path.write_text("steps: {currency: {base: CHF}}")
    assert 'was made with base_currency "EUR", not "CHF"' in wrong(job.main, *place.arguments(f"--enrich={path}"))


def test_another_jobs_checkpoint_is_refused(begun, wrong):
    before = snapshot(begun.root)
    assert 'was made with job "event_enrichment"' in wrong(session_analytics.main, *begun.arguments())
    assert snapshot(begun.root) == before


def test_a_run_without_news_says_so_and_is_done(begun, capsys):
    assert begun.run() == 0
    assert capsys.readouterr().err == (
        f"event_enrichment: checkpoint {begun.checkpoint} is at epoch 1, no new rows; "
        "a run from the beginning needs another --checkpoint, and --replace to take the place of these rows\n"
    )


@pytest.mark.parametrize(
    ("tool", "arguments", "said"),
    [
        (show, ["--lmit=3"], "unrecognized arguments: --lmit=3; see --help"),
        (show, ["x", "--limit=many"], "argument --limit: 'many' is not a whole number; see --help"),
        (status, ["gone", "--max_age=abc"], "argument --max_age: 'abc' is no duration; write"),
        (show, ["x", "--limit=-1"], "--limit: must not be below zero"),
        (show, ["x", "--lake="], "--lake: is empty"),
        (show, ["", "--lake=.."], "table: is empty"),
        (checkpoint, [], "the following arguments are required: VERB; see --help"),
        (checkpoint, ["inspect", "gone"], "gone holds no checkpoint"),
        (checkpoint, ["inspect", ""], "checkpoint: is empty"),
        (checkpoint, ["fork", "gone"], "the following arguments are required: --to; see --help"),
        (lake, ["compact", "--lake=gone"], "--lake: gone holds no Delta table"),
        (lake, ["vacuum", "x", "--lake=gone"], "x: gone holds no Delta table"),
        (lake, ["vacuum", "--keep_hours=-1"], "--keep_hours: must not be below zero"),
    ],
)
def test_wrong_use_of_a_tool_is_one_line(here, wrong, tool, arguments, said):
    before = snapshot(here)
    assert said in wrong(tool.main, *arguments)
    assert snapshot(here) == before


def test_help_and_errors_do_not_wait_for_beam(here):
    mapping = written(here, "mapping.yaml", "feilds: {}\n")
    source = f"--source={here / 'events.jsonl'}"
    commands = [
        ["event_enrichment", "--help"],
        ["session_analytics", "--help"],
        ["show", "--help"],
        ["checkpoint", "--help"],
        ["lake", "--help"],
        ["event_enrichment"],
        ["event_enrichment", source, "--nobody=1"],
        ["event_enrichment", source, f"--mapping={mapping}"],
        ["session_analytics", source, "--warehouse=x"],
        ["session_analytics", "--source=gone"],
    ]
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_BEAM, json.dumps(commands)],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ,
    )
    assert json.loads(done.stdout.splitlines()[-1]) == [0] * 5 + [2] * 5
    assert len(done.stderr.splitlines()) == 5, done.stderr
