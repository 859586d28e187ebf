"""A fifth job: which landing pages lose their visitors? `python examples/landing_pages.py --source=FILES`."""

import ecompulse as eco


def build(scope: "eco.JobScope") -> None:
    found = scope.visitors() | eco.SessionizeEvents()
    scope.drop(found["session_events"], found["transition_parts"])
    pages = eco.TotalPerWindow("bounces", time="session_end", keys=["entry_url"], sums=["bounced"], lag_ms=1_800_000)
    scope.write(pages.table, found["sessions"] | pages)


if __name__ == "__main__":
    raise SystemExit(eco.run("landing_pages", "Bounced sessions by landing page and hour.", build))
