"""Flags and the YAML file of them: values, errors that name the flag, what goes on to Beam, --help."""

import re
import subprocess
import sys

import pytest

from ecompulse.cli.__main__ import COMMANDS
from ecompulse.cli.__main__ import main as ecompulse
from ecompulse.cli.beam_flags import beam_flags
from ecompulse.cli.flags import WIDTH, Flag, metavar_of, parse
from ecompulse.cli.settings import PARTS, all_flags, read_settings
from ecompulse.cli.values import count, duration, trigger
from ecompulse.epochs.errors import UserError
from pipelines import event_enrichment, session_analytics

JOBS = (event_enrichment, session_analytics)
FLAGS = all_flags(event_enrichment.SPEC.settings)


def given(*argv: str):
    return parse("job", "A job.", FLAGS, argv)


def refused(*argv: str):
    with pytest.raises(UserError) as error:
        given(*argv)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.fixture
def config(tmp_path):
    def write(text):
        path = tmp_path / "flags.yaml"
        path.write_text(text)
        return f"--config={path}"

    return write


@pytest.mark.parametrize(
    ("text", "ms"),
    [("250ms", 250), ("10s", 10_000), ("1.5m", 90_000), ("2 h", 7_200_000), (" 7d ", 604_800_000), ("0", 0)],
)
def test_a_duration_is_ms(text, ms):
    assert duration(text) == ms


@pytest.mark.parametrize("text", ["", "10", "s", "-1s", "1s 2m", "1w", "1e3s", "1s2m", "nan s"])
def test_what_is_no_duration_is_refused_with_the_mend(text):
    with pytest.raises(ValueError, match=r"is no duration; write 250ms, 10s, 1\.5m, 2h, 7d or 0"):
        duration(text)


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "", "ten", "1_000"])
def test_a_count_is_a_whole_number_above_zero(text):
    assert count("17") == 17
    with pytest.raises(ValueError, match="is no whole number above zero"):
        count(text)


def test_a_trigger_is_a_word_or_a_duration():
    assert [trigger(text) for text in ("available-now", "once", "10s")] == ["available-now", "once", 10_000]
    assert "--trigger: 'now' is no duration" in refused("--trigger=now")


def test_values_and_defaults():
    argv = ["--source=a", "--source", "b", "--drain", "--watermark_delay=30s"]
    settings = read_settings("job", "A job.", event_enrichment.SPEC.settings, argv)
    inputs, epochs, time, places = settings.inputs, settings.epochs, settings.time, settings.places
    assert (inputs.source, epochs.drain, time.watermark_delay) == (("a", "b"), True, 30_000)
    assert (time.idle_after, places.lake, places.checkpoint, settings.running.check) == (60_000, "./lake", None, False)
    assert settings.beam == ()


@pytest.mark.parametrize(
    ("flag", "near"),
    [
        ("--chekpoint=x", "--checkpoint"),
        ("--watermark-delay=1s", "--watermark_delay"),
        ("--num_shard=4", "--num_shards"),
        ("--dedupe", "--dedup"),
        ("--job_nam=x", "--job_name"),
    ],
)
def test_an_unknown_flag_is_named_with_its_nearest_neighbour(flag, near):
    said = refused("--source=a", flag)
    assert said.startswith(f"{flag.split('=')[0]}: neither this job nor Beam knows this flag")
    assert said.endswith(f"did you mean {near}?")


def test_a_flag_like_no_other_has_no_neighbour():
    assert refused("--zzzzqqqq").endswith("neither this job nor Beam knows this flag")


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["stray"], "'stray': flags start with --"),
        (["--lake"], "--lake: expected one argument"),
        (["--drain=yes"], "--drain: ignored explicit argument 'yes'"),
        (["--num_shards=0"], "--num_shards: '0' is no whole number above zero"),
        (["--watermark_delay=10"], "--watermark_delay: '10' is no duration; write 250ms, 10s, 1.5m, 2h, 7d or 0"),
    ],
)
def test_a_wrong_value_names_the_flag(argv, said):
    assert refused(*argv) == said


def test_a_choice_names_what_there_is():
    said = refused("--progress=loud")
    assert said.startswith("--progress: ")
    assert all(choice in said for choice in ("auto", "json", "line", "none"))


def test_beams_own_flags_and_what_follows_two_dashes_go_to_beam():
    options = given("--source=a", "--job_name=x", "--direct_num_workers", "2", "--", "--nobody=knows", "--lake=y")
    assert options.beam == ("--job_name=x", "--direct_num_workers", "2", "--nobody=knows", "--lake=y")
    assert options.values["lake"] == "./lake"


def test_beams_flags_are_read_from_its_source():
    from apache_beam.options.pipeline_options import PipelineOptions  # noqa: PLC0415  # takes seconds

    there = beam_flags()
    assert {"runner", "job_name", "streaming", "direct_num_workers", "save_main_session"} <= there
    missing = {
        option.lstrip("-")
        for kind in PipelineOptions.__subclasses__()
        if kind.__module__ == PipelineOptions.__module__ and hasattr(kind, "_add_argparse_args")
        for option in _options(kind)
    } - there
    assert not missing


def _options(kind):
    from apache_beam.options.pipeline_options import _BeamArgumentParser  # noqa: PLC0415  # takes seconds

    parser = _BeamArgumentParser(add_help=False)
    kind._add_argparse_args(parser)
    return [option for action in parser._actions for option in action.option_strings if option.startswith("--")]


def test_config_gives_flags_and_the_command_line_wins(config):
    path = config(
        "source: [a, b]\nlake: there\nnum_shards: 7\nwatermark_delay: 30s\ndrain: true\n--trigger: once\n"
        "job_name: x\nsave_main_session: true\nstreaming: false\n"
    )
    options = given(path, "--lake=here")
    wanted = {"source": ("a", "b"), "lake": "here", "num_shards": 7, "watermark_delay": 30_000, "drain": True}
    assert options.values == {**options.values, **wanted, "trigger": "once"}
    assert options.beam == ("--job_name=x", "--save_main_session")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("chekpoint: x", "--chekpoint: neither this job nor Beam knows this flag; did you mean --checkpoint?"),
        ("strem: false", "--strem: neither this job nor Beam knows this flag; did you mean --streaming?"),
        ("watermark_delay: 10", "watermark_delay: '10' is no duration; write 250ms, 10s, 1.5m, 2h, 7d or 0"),
        ("drain: 'yes'", "drain: wants true or false, not 'yes'"),
        ("progress: loud", "progress: 'loud' is none of auto, json, line, none"),
        ("lake:", "lake: wants one value, not None"),
        ('lake: ""', "lake: is empty"),
        ("lake: [a, b]", "lake: wants one value, not ['a', 'b']"),
        ("warehouse: no", "warehouse: wants one value, not False"),
        ("source: {a: b}", "source: wants one value or a list, not {'a': 'b'}"),
    ],
)
def test_a_wrong_key_or_value_of_config_is_named(config, text, said):
    path = config(text)
    assert refused(path) == f"--config: {path.removeprefix('--config=')}: {said}"


@pytest.mark.parametrize(
    ("text", "said"), [("a: [", "is no YAML"), ("- a", "wants `flag: value` lines"), ("", "wants `flag: value` lines")]
)
def test_a_config_that_is_no_mapping_is_refused(config, text, said):
    assert said in refused(config(text))


def test_a_config_that_is_missing_is_refused():
    assert refused("--config=/nowhere.yaml") == "--config: /nowhere.yaml: No such file or directory"


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.SPEC.name)
def test_help_explains_every_flag_with_its_default_in_groups(job, capsys):
    flags = all_flags(job.SPEC.settings)
    with pytest.raises(SystemExit) as ended:
        job.main(["--help"])
    said = capsys.readouterr()
    assert (ended.value.code, said.err) == (0, "")
    assert max(map(len, said.out.splitlines())) <= WIDTH
    text = "".join(said.out.split())  # argparse breaks lines at hyphens, too
    for flag in flags:
        name = re.escape(f"--{flag.name}{'' if flag.switch else metavar_of(flag)}{''.join(flag.help.split())}")
        shown = re.search(rf"{name}\[([^]]+)\]", text)
        assert shown, f"--{flag.name} is not explained"
        _check_default(flag, shown[1])
    for group in {flag.group for flag in flags}:
        assert f"\n{group}:\n" in said.out
    assert text.endswith("whatfollows--goestoBeamunread.")


def _check_default(flag: Flag, shown: str) -> None:
    """A default that is a number of ms reads as the duration that gives it."""
    if flag.parse is duration and flag.default is not None:
        assert duration(shown) == flag.default, flag.name
    elif flag.parse is duration:
        assert shown.startswith(("--", "as"))
    else:
        assert shown not in {"None", "[]", "()", "False"}, flag.name


def test_a_value_is_called_by_what_it_is():
    """ROWS, DURATION, FILE: never the last word of the flag's name."""
    for job in JOBS:
        for flag in all_flags(job.SPEC.settings):
            assert flag.switch or metavar_of(flag) != "VALUE", flag.name


def test_settings_answer_to_no_other_name():
    """There is no bag: a misspelt setting is found by mypy, as the night's test below shows."""
    for kind in (*PARTS.values(), *(job.SPEC.settings for job in JOBS)):
        assert not hasattr(kind, "__getattr__")


@pytest.mark.night
@pytest.mark.heavy("mypy reads all packages")
def test_a_setting_that_does_not_exist_is_found_by_mypy(tmp_path):
    code = tmp_path / "job.py"
    code.write_text("from pipelines.session_analytics import SessionSettings\nSessionSettings().sesion_gap\n")
    command = [sys.executable, "-m", "mypy", "--config-file=", "--follow-imports=silent", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert '"SessionSettings" has no attribute "sesion_gap"' in done.stdout, done.stdout + done.stderr


def test_version_is_told(capsys):
    with pytest.raises(SystemExit) as ended:
        event_enrichment.main(["--version"])
    assert (ended.value.code, capsys.readouterr().out) == (0, "ecompulse 0.1.0\n")


def test_flags_have_one_name_each():
    for job in JOBS:
        names = [flag.name for flag in all_flags(job.SPEC.settings)]
        assert len(names) == len(set(names))


def test_ecompulse_lists_its_commands(capsys):
    assert ecompulse(["--help"]) == 0
    asked = capsys.readouterr()
    assert ecompulse([]) == 2
    not_asked = capsys.readouterr()
    assert (asked.err, not_asked.out) == ("", "")
    assert asked.out == not_asked.err
    assert all(f"  {name} " in asked.out for name in COMMANDS)


def test_ecompulse_names_the_nearest_command(capsys):
    assert ecompulse(["shwo"]) == 2
    assert capsys.readouterr().err.startswith("ecompulse: shwo: no such command; did you mean show?\n")


def test_ecompulse_runs_a_command(capsys, tmp_path):
    assert ecompulse(["show", f"--lake={tmp_path}", "nothing"]) == 2
    assert capsys.readouterr().err == f"show: nothing: {tmp_path} holds no Delta table\n"
