"""What a pattern may come to, against what it comes to where the files are there."""

import pytest

from ecompulse.io.files.listing import list_files, may_list

FILES = ("a.jsonl", "lake/t/b.jsonl", "lake/.old/c.jsonl", "_tmp/d.jsonl", "x[1]/e.jsonl", ".hidden/f.jsonl")
PATTERNS = (
    "", "lake", "lake/t", "x[1]", "_tmp", ".hidden", "*", "*.jsonl", "*/*.jsonl", "**", "**/*.jsonl", "lake/**/b.jsonl",
    "lake/*", "l?ke", "_*", "[lx]*", ".*", "link", "link/*", "lake/../lake", "*.csv",
)  # fmt: skip


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_pattern_may_come_to_what_it_lists(tmp_path, pattern):
    for name in FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("{}\n")
    (tmp_path / "link").symlink_to(tmp_path / "lake")
    wanted = f"{tmp_path}/{pattern}"
    listed = {file.inode for file in list_files(wanted, "name")}
    for name in FILES:
        status = (tmp_path / name).stat()
        assert may_list(wanted, str(tmp_path / name)) == (f"{status.st_dev}:{status.st_ino}" in listed), name
