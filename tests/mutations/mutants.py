"""Guarantees broken on purpose, each with the tests of every push that must notice."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Mutant:
    """A change of one file that breaks one guarantee.

    Attributes:
        name: the guarantee that is gone.
        file: from the root of the project.
        old: text that the file has once.
        new: what takes its place.
        tests: files or tests, of which one must fail.
    """

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]


_ENGINE: Final = ("tests/epochs/test_driver.py",)
_SINKS: Final = ("tests/io/sinks/test_delta.py", "tests/io/sinks/test_warehouse.py", "tests/epochs/test_driver.py")

MUTANTS: Final = (
    Mutant(
        "the seal of an older driver is overwritten",
        "epochs/checkpoint.py",
        "if self.store.create(seal_name(seal.epoch), seal.dump()):",
        "if self.store.put(seal_name(seal.epoch), seal.dump()) is None:",
        ("tests/epochs/test_checkpoint.py",),
    ),
    Mutant(
        "the fencing token is not checked",
        "epochs/checkpoint.py",
        "if newest > self.fencing_token:",
        "if newest > self.fencing_token + 10:",
        _ENGINE,
    ),
    Mutant(
        "a sealed epoch that was not committed is not published",
        "epochs/driver.py",
        "        if pending is not None:\n            self._finish(pending, Stopwatch())",
        "        if pending is not None:",
        _ENGINE,
    ),
    Mutant(
        "an epoch is committed before it is published",
        "epochs/driver.py",
        "        self._publisher.publish(seal, watch)\n        progress =",
        "        self.checkpoint.write_commit(seal.epoch, {})\n        self._publisher.publish(seal, watch)\n"
        "        progress =",
        _ENGINE,
    ),
    Mutant(
        "sinks have an epoch before the backup",
        "epochs/driver.py",
        "        self._publisher.save(seal, watch)\n        self._publisher.publish(seal, watch)",
        "        self._publisher.publish(seal, watch)\n        self._publisher.save(seal, watch)",
        ("tests/epochs/test_backup.py",),
    ),
    Mutant(
        "a job that hangs counts as alive",
        "epochs/health.py",
        "            if now > self._due:",
        "            if now > self._due + 1e9:",
        ("tests/epochs/test_health.py",),
    ),
    Mutant(
        "a new driver pod is submitted beside one that was left",
        "cli/owned.py",
        '        self._remove("a driver that was left")\n',
        "",
        ("tests/pipelines/test_submit.py",),
    ),
    Mutant(
        "a run that does not add up is sealed",
        "epochs/driver.py",
        '        if lines:\n            raise JobError(f"epoch {plan.epoch} was not sealed',
        '        if lines is None:\n            raise JobError(f"epoch {plan.epoch} was not sealed',
        ("tests/epochs/test_audit.py",),
    ),
    Mutant(
        "the audit takes a split for read however few rows were",
        "epochs/audit.py",
        "or (split.exact and told[0] < split.rows)",
        "or (split.exact and told[0] < 0)",
        ("tests/epochs/test_audit.py",),
    ),
    Mutant(
        "the audit does not count shards",
        "epochs/audit.py",
        "        *_shards(plan, manifest),\n",
        "",
        ("tests/epochs/test_audit.py",),
    ),
    Mutant(
        "the head of a shard is lost",
        "epochs/keyed.py",
        '        after = state.apply(self.kernel.name, shard, found["attempt"], step.changes)\n'
        "        yield self._head(shard, after, state.loaded)",
        '        state.apply(self.kernel.name, shard, found["attempt"], step.changes)\n'
        "        yield self._head(shard, head.passed(clock.watermark))",
        _ENGINE,
    ),
    Mutant(
        "what is due later is forgotten",
        "epochs/state.py",
        "smallest = [due.filter(due > self._clock.watermark).min() for due in dues]",
        "smallest = [due.filter(due > self._clock.watermark).max() for due in dues]",
        (*_ENGINE, "tests/properties/test_job_invariance.py"),
    ),
    Mutant(
        "a file's hash is not compared",
        "epochs/state.py",
        "    if digest(data) != sha256:",
        "    if not data:",
        ("tests/epochs/test_state.py", "tests/io/sinks/test_warehouse.py"),
    ),
    Mutant(
        "a failure that is over stays on record",
        "epochs/failures.py",
        "return failure if failure.epoch >= last else None",
        "return failure",
        ("tests/epochs/test_failures.py",),
    ),
    Mutant(
        "the record of a failure repeats a secret",
        "epochs/failures.py",
        "text = without_secrets(one_line(error)) if",
        "text = one_line(error) if",
        ("tests/epochs/test_failures.py", "tests/ui/test_notes.py"),
    ),
    Mutant(
        "a zombie removes its successor's record of a failure",
        "epochs/failures.py",
        "if epoch_of(name) <= token]",
        "if epoch_of(name)]",
        ("tests/epochs/test_failures.py",),
    ),
    Mutant(
        "the watermark goes back",
        "epochs/watermark.py",
        "return candidate if current is None else max(current, candidate)",
        "return candidate",
        ("tests/epochs/test_watermark.py",),
    ),
    Mutant(
        "a partition that has not begun does not hold the watermark",
        "epochs/watermark.py",
        "candidate = None if None in tops else min(",
        "candidate = None if tops == [None] * len(tops) else min(",
        ("tests/epochs/test_watermark.py",),
    ),
    Mutant(
        "the lake's ledger is ignored",
        "io/sinks/delta.py",
        "if (delta.transaction_version(app) or 0) >= epoch:",
        "if (delta.transaction_version(app) or 0) > epoch:",
        _SINKS,
    ),
    Mutant(
        "the warehouse's ledger is ignored",
        "io/sinks/warehouse.py",
        "LEDGER_TABLE.c.epoch < epoch)",
        "LEDGER_TABLE.c.epoch <= epoch)",
        ("tests/io/sinks/test_warehouse.py",),
    ),
    Mutant(
        "an older revision takes the place of a newer one",
        "io/sinks/warehouse_rows.py",
        "where=fresh.revision >= target.c.revision,",
        "where=fresh.revision.is_not(None),",
        ("tests/io/sinks/test_warehouse.py",),
    ),
    Mutant(
        "lines are appended behind those of a killed driver",
        "io/sinks/jsonlines.py",
        'write_at(Path(self.root, f"{name}.jsonl"), last["bytes"], lines)',
        'write_at(path := Path(self.root, f"{name}.jsonl"), path.stat().st_size if path.exists() else 0, lines)',
        _ENGINE,
    ),
    Mutant(
        "a name is written twice",
        "io/stores.py",
        "            os.link(temporary, target)",
        "            os.link(temporary, target.with_name(temporary.name + '-')); target.with_name(temporary.name + '-')"
        ".replace(target)",
        ("tests/io/test_store_contract.py",),
    ),
    Mutant(
        "a bundle runs twice",
        "runners/local/lane.py",
        "            self._steps[node.index].take(value)",
        "            self._steps[node.index].take(value)\n"
        "            if 'Step' in node.label:\n                self._steps[node.index].take(value)",
        (*_ENGINE, "tests/properties/test_local_runner.py"),
    ),
    Mutant(
        "a frame is changed in place",
        "transforms/frames.py",
        "        self.came(element.height)\n        parts = self._function(element, *self._arguments)",
        "        self.came(element.height)\n        parts = self._function(element.clone(), *self._arguments)\n"
        '        element.insert_column(element.width, pl.Series("_new", [1] * element.height))',
        ("tests/runners/test_equal.py",),
    ),
    Mutant(
        "rows that waited to be joined are lost",
        "epochs/reading.py",
        "        if held:\n            yield pl.concat(held, rechunk=True)",
        "        if held and rows >= JOINED_ROWS:\n            yield pl.concat(held, rechunk=True)",
        _ENGINE,
    ),
    Mutant(
        "the horizon of duplicates is off by one",
        "kernels/dedup.py",
        '(pl.col("_at").max() + self.horizon + 1).alias("expires")',
        '(pl.col("_at").max() + self.horizon).alias("expires")',
        ("tests/kernels/test_dedup.py",),
    ),
    Mutant(
        "a late row is dropped in silence",
        "kernels/sessions/kernel.py",
        '"late_events": show_late(late, ',
        '"late_events": show_late(late.clear(), ',
        ("tests/kernels/sessions",),
    ),
    Mutant(
        "a session takes a row that is the gap behind it",
        "kernels/sessions/numbering.py",
        '_run=(pl.col("_at") - before >= gap)',
        '_run=(pl.col("_at") - before > gap)',
        ("tests/kernels/sessions",),
    ),
    Mutant(
        "rows that waited are given out again",
        "epochs/state.py",
        "chunk.between(self._horizon, until)",
        "chunk.between(NEVER_STEPPED, until)",
        ("tests/epochs/test_ordered_lists.py",),
    ),
    Mutant(
        "a row at the watermark is taken for settled",
        "kernels/sessions/reorder_buffer.py",
        "pl.col(DUE) <= clock.watermark)",
        "pl.col(DUE) <= clock.watermark + 1)",
        ("tests/kernels/sessions",),
    ),
    Mutant(
        "a row that came late says that it did not",
        "kernels/identity.py",
        "pl.lit(value=clock.watermark < END_OF_TIME).alias(CAME_LATE)",
        "pl.lit(value=False).alias(CAME_LATE)",
        ("tests/kernels/sessions", "tests/kernels/test_identity.py"),
    ),
    Mutant(
        "the bound of a join leaves out its last millisecond",
        "kernels/interval_join.py",
        'ripe = ~pl.col(_OUT) & (pl.col("_at") + self.bound < clock.watermark)',
        'ripe = ~pl.col(_OUT) & (pl.col("_at") + self.bound <= clock.watermark + 1)',
        ("tests/kernels/test_interval_join.py",),
    ),
    Mutant(
        "money is a float",
        "kernels/sessions/summary.py",
        'bought = pl.when(_TYPE == "purchase").then(line.cast(REVENUE))',
        'bought = pl.when(_TYPE == "purchase").then(line.cast(pl.Float64).cast(pl.Float32).cast(REVENUE))',
        ("tests/kernels/sessions",),
    ),
    Mutant(
        "money is rounded up",
        "kernels/enrich/currency.py",
        "((rest * 2 == _UNIT) & (floor % 2 != 0))",
        "(rest * 2 == _UNIT)",
        ("tests/kernels/enrich",),
    ),
    Mutant(
        "a dead letter is lost",
        "kernels/decode/assemble.py",
        "            bad.append((row, broken.alone()))",
        "            bad.append((row, broken.alone())) if row else None",
        ("tests/kernels/decode",),
    ),
    Mutant(
        "a window comes out a millisecond before its time",
        "kernels/metrics/emission.py",
        "defs.lag[window], window) - defs.size[window]) // defs.slide[window]",
        "defs.lag[window], window) - defs.size[window] + 1) // defs.slide[window]",
        ("tests/kernels/metrics",),
    ),
    Mutant(
        "an encrypted file can be put in the place of another",
        "io/encryption.py",
        'return header + f"{self.folder}{name}".encode()',
        "return header",
        ("tests/io/test_encryption.py",),
    ),
    Mutant(
        "the backup is not encrypted",
        "cli/places.py",
        'return store if flag == "lake" else',
        'return store if flag != "checkpoint" else',
        ("tests/pipelines/test_encrypted_checkpoint.py",),
    ),
    Mutant(
        "an older copy of a checkpoint goes on, and no sink takes its rows",
        "epochs/sinks.py",
        "if self.sealed is not None and epoch > self.sealed:",
        "if self.sealed is not None and epoch > self.sealed + 99:",
        ("tests/pipelines/test_refusals.py",),
    ),
    Mutant(
        "an alert is forgotten that its receiver has not taken",
        "io/alerts/outbox.py",
        "if self._offer(name, line, [each for _, each in batch], done):",
        "if self._offer(name, line, [each for _, each in batch], done) or True:",
        ("tests/io/alerts/test_outbox.py",),
    ),
    Mutant(
        "an alert that is refused is dropped",
        "io/alerts/outbox.py",
        "            self._letters(batch, said)\n            return True",
        "            return True",
        ("tests/io/alerts/test_outbox.py",),
    ),
    Mutant(
        "the value of a metric is a label of its alert",
        "io/alerts/alert.py",
        '"window_size": row["window_size"], "currency"',
        '"window_size": row["window_size"], "value": _said(row), "currency"',
        ("tests/io/alerts/test_alert.py",),
    ),
    Mutant(
        "closed windows stay in Prometheus",
        "io/exporter/kpis.py",
        'last = rows.filter(pl.col("end") == pl.col("end").max())',
        "last = rows",
        ("tests/io/exporter/test_kpis.py",),
    ),
    Mutant(
        "the view of settled rows has others too",
        "io/sinks/warehouse_schema.py",
        'settled = " WHERE final" if FINAL in table.columns else ""',
        'settled = ""',
        ("tests/pipelines/test_dictionary.py",),
    ),
    Mutant(
        "a row of which one line is bad is written in part",
        "kernels/decode/nested/decoding.py",
        """.filter(~pl.col("row").is_in(list(dead)))""",
        ".filter(pl.lit(value=True))",
        ("tests/properties/test_decode_nested.py", "tests/kernels/mappings/test_shipped.py"),
    ),
    Mutant(
        "ends of Avro messages are believed",
        "io/payloads/avro.py",
        "if found.height != len(bodies) or not np.array_equal(found[_INDEX].to_numpy(), index):",
        "if found.height != len(bodies):",
        ("tests/io/payloads/test_avro.py",),
    ),
)
"""At least one of each kind of guarantee: epochs, state, sinks, engine, kernels."""
