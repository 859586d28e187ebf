"""`--check`: what the first rows of each source become, without touching anything."""

import sys
import time
from collections.abc import Sequence
from typing import Final

import polars as pl
import polars.selectors as cs

from ecompulse.cli.event_types import event_type_lines
from ecompulse.cli.headers import check_columns
from ecompulse.cli.job import Build
from ecompulse.cli.places import check_warehouse
from ecompulse.cli.preview import say_guess, show_after, show_before
from ecompulse.cli.settings import Places
from ecompulse.cli.sources import first_rows, flag_of, passed_over_line, refuse_other_files
from ecompulse.cli.tool import print_table
from ecompulse.cli.unrated import unrated_line
from ecompulse.epochs.errors import UserError
from ecompulse.epochs.protocols import EVENTS, Source
from ecompulse.intake import Intake
from ecompulse.io.lookups.resources import open_resources
from ecompulse.io.stores import LocalStore
from ecompulse.io.terminal import say
from ecompulse.kernels.decode import Decoded, decode
from ecompulse.kernels.enrich.enrichment import EnrichConfig
from ecompulse.kernels.enrich.pii import HASH_KEY, MASK, PiiStep, hide
from ecompulse.kernels.event import EVENT_SCHEMA

_EXAMPLES: Final = 2
_WIDTH: Final = 40  # characters of an example


def check(job: str, build: Build, intake: Intake, sources: Sequence[Source], places: Places) -> int:
    """Compose the job, decode the first rows of each source and show them; returns the exit status.

    Reads only: no checkpoint, lake or warehouse is made. No value is shown that the privacy policy hides. UserError
    when a source has rows and none is good: the mapping is most likely another's.
    """
    _compose(job, build, intake, sources, places)
    refuse_other_files(sources)
    for source in sources:
        say(f"{source.uri}: the first rows as {source.role}", sys.stdout)
        mapping = intake.mapping_of(source.role)
        say_guess(source)
        check_columns(source, mapping, flag_of(source.role))
        passed_over = passed_over_line(source)
        if passed_over:
            say(f"  {passed_over}", sys.stdout)
        rows = first_rows(source)
        if rows is None:
            print("  no complete row yet\n")
            continue
        now = time.time_ns() // 1_000_000  # as a run at this moment would
        decoded = decode(rows, now, mapping)
        hints: list[str] = []
        if source.role == EVENTS and decoded.events.height:
            hints += event_type_lines(rows, decoded.events, mapping, now)
            hints += filter(None, [unrated_line(decoded.events, intake.enrich)])
        if not intake.enrich.step(PiiStep).active:
            show_before(rows, mapping)
        decoded = _protected(decoded, source.role, intake.enrich)
        if source.role == EVENTS and decoded.events.height:
            show_after(rows, decoded.events, mapping)
        _show(decoded, rows.height)
        for hint in hints:
            say(f"  {hint}", sys.stdout)
        print()
        if decoded.events.is_empty():
            raise UserError(
                f"--{flag_of(source.role)}: {source.uri}: none of the first {rows.height} rows is good: "
                f"{decoded.dead['message'][0]}{'; see --mapping' if source.role == EVENTS else ''}"
            )
    say(f"{job}: flags, mapping and files are good; nothing was written", sys.stdout)
    return 0


def _compose(job: str, build: Build, intake: Intake, sources: Sequence[Source], places: Places) -> None:
    """The job's graph is whole, and the warehouse can take its tables."""
    from ecompulse.cli.assemble import compose
    from ecompulse.epochs.fencing import FencedStore
    from ecompulse.epochs.scope import Workspace
    from ecompulse.runners.engine import LOCAL, new_pipeline

    nowhere = LocalStore("")
    graph = compose(
        new_pipeline(LOCAL, []), Workspace(FencedStore(nowhere), nowhere, job, num_shards=1), sources, intake, build
    )
    check_warehouse(places, graph.tables)


def check_headers(intake: Intake, sources: Sequence[Source]) -> None:
    """UserError when a source has other columns than it must have; nothing is shown."""
    for source in sources:
        check_columns(source, intake.mapping_of(source.role), flag_of(source.role))


def _protected(decoded: Decoded, role: str, enrich: EnrichConfig) -> Decoded:
    """What may be shown under the privacy policy: of streams beside the events no text at all, of messages no value."""
    policy = enrich.step(PiiStep)
    if not policy.active:
        return decoded
    if role == EVENTS:
        shown = hide(decoded.events, policy, open_resources(enrich)[policy.name].get(HASH_KEY))
    else:
        hidden = pl.when(cs.string().is_not_null()).then(pl.lit(MASK)).name.keep()
        shown = decoded.events.with_columns(hidden)
    return decoded._replace(events=shown, dead=decoded.dead.with_columns(message=decoded.bare))


def _show(decoded: Decoded, rows: int) -> None:
    skipped = f", {decoded.skipped} skipped" if decoded.skipped else ""
    said = f"{decoded.events.height} {'events' if decoded.further or decoded.skipped else 'good'}"
    say(f"  {rows} rows: {said}, {decoded.dead.height} dead letters{skipped}", sys.stdout)
    if decoded.events.height:
        print_table(mapped_columns(decoded.events), rows=len(EVENT_SCHEMA))
    if decoded.dead.height:
        by_rule = decoded.dead.group_by("rule").agg(
            rows=pl.len(), first=pl.col("message").sort_by("source_offset").first()
        )
        print_table(by_rule.sort("rows", "rule", descending=[True, False]))


def mapped_columns(events: pl.DataFrame) -> pl.DataFrame:
    """Per field of the event that any row fills: how many fill it, and examples."""
    facts = []
    for name in EVENT_SCHEMA:
        filled = events[name].drop_nulls()
        if filled.len():
            texts = [str(value)[:_WIDTH] for value in filled.unique(maintain_order=True).head(_EXAMPLES)]
            facts.append((name, filled.len(), ", ".join(texts)))
    return pl.DataFrame(facts, schema={"field": pl.String, "filled": pl.Int64, "examples": pl.String}, orient="row")
