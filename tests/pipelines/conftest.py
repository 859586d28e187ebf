"""A small shop for all tests of the command line."""

import signal
from collections.abc import Callable, Iterator

import pytest

from ecompulse.simulator.settings import Settings
from ecompulse.simulator.shop import simulate
from ecompulse.simulator.store import write
from support.place import Place, Simulated

SETTINGS = Settings(seed=11, events=1500, broken=0.02, duplicates=0.02, late=0, unknown_fields=0.02)


@pytest.fixture(autouse=True)
def signals() -> Iterator[None]:
    """A job takes SIGINT and SIGTERM for itself; pytest wants them back."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(scope="session")
def shop(tmp_path_factory) -> Simulated:
    folder = tmp_path_factory.mktemp("shop")
    return Simulated(folder, write(simulate(SETTINGS), folder))


@pytest.fixture(scope="session")
def done(shop, tmp_path_factory):
    """A run over the whole shop; not to be written to."""
    place = Place(tmp_path_factory.mktemp("done"), shop.events, ("--dedup",))
    assert place.run("--drain") == 0
    return place


@pytest.fixture
def wrong(capsys) -> Callable[..., str]:
    """Run a command that must be refused: exit 2, one line on stderr, no traceback; returns the line."""

    def run(main: Callable[[list[str]], int], *arguments: str) -> str:
        capsys.readouterr()  # what was said before
        assert main(list(arguments)) == 2
        said = capsys.readouterr()
        assert said.err.count("\n") == 1, said.err
        assert "Traceback" not in said.err
        return str(said.err.rstrip("\n"))

    return run
