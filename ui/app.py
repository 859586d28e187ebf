"""The pages as an ASGI application: complete HTML without JavaScript; a small module keeps them up to date."""

import hashlib
import hmac
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from jinja2 import Environment, FileSystemLoader
from sqlalchemy.exc import SQLAlchemyError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

from ecompulse.epochs.errors import UserError
from ecompulse.epochs.protocols import Store
from ecompulse.io.dead_letters import TABLE
from ecompulse.io.delta.lake import Lake
from ecompulse.io.sinks.database import is_there
from ecompulse.kernels.dictionary.registry import comment_of
from ecompulse.ui.charts import bar_chart, line_chart, stacked_chart
from ecompulse.ui.checkpoints import read_job
from ecompulse.ui.clock import now_ms
from ecompulse.ui.disks import disk_rows
from ecompulse.ui.jobs import Job
from ecompulse.ui.letters import read_letters
from ecompulse.ui.scores import read_scores
from ecompulse.ui.shop import read_shop
from ecompulse.ui.view import BY, SPANS, View, parse_view
from ecompulse.ui.words import duration, largest_unit, moment, number, size

HERE: Final = Path(__file__).parent
COOKIE: Final = "ecompulse_token"
_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "img-src data:",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


@dataclass(frozen=True)
class Sources:
    """What the pages read.

    Attributes:
        checkpoints: stores, each with whether a driver lives on it (None: nobody can say); asked anew for each page.
        lake: with the dead letters; None for none.
        warehouse: with what is shown of the shop; None for none.
    """

    checkpoints: Callable[[], Sequence[tuple[Store, Callable[[], bool | None]]]]
    lake: Lake | None = None
    warehouse: sa.Engine | None = None

    def jobs(self) -> list[Job]:
        """All jobs, those that need a look first."""
        now = now_ms()
        found = [read_job(key, store, is_held, now) for key, (store, is_held) in enumerate(self.checkpoints())]
        return sorted(found, key=lambda job: job.trouble(now), reverse=True)

    def job(self, key: int) -> Job:
        """One of them, without a look at the others; UserError when there is none of that number."""
        checkpoints = self.checkpoints()
        if key >= len(checkpoints):
            raise UserError(f"there is no job {key}")
        store, is_held = checkpoints[key]
        return read_job(key, store, is_held, now_ms())


class Pages:
    """Handlers of the routes."""

    def __init__(self, sources: Sources) -> None:
        """`sources`: what they read."""
        self._sources = sources
        self._templates = Environment(loader=FileSystemLoader(HERE / "templates"), autoescape=True)
        self._templates.filters |= {"duration": duration, "moment": moment, "number": number, "size": size}
        self._templates.filters["meaning"] = comment_of

    async def jobs(self, request: Request) -> Response:
        """All jobs, by trouble."""
        return await self._page(request, "jobs.html", lambda: {"jobs": self._sources.jobs()})

    async def job(self, request: Request) -> Response:
        """One job: its epochs, partitions, state."""
        return await self._page(request, "job.html", lambda: self._of_job(request.path_params["key"]))

    async def shop(self, request: Request) -> Response:
        """KPIs, incidents, revenue, funnel, carts, fraud, quality."""
        return await self._page(request, "shop.html", lambda: self._of_shop(parse_view(request.query_params)))

    async def letters(self, request: Request) -> Response:
        """Dead letters by rule."""
        return await self._page(request, "letters.html", self._of_letters)

    def _of_job(self, key: int) -> Mapping[str, Any]:
        job = self._sources.job(key)
        return {"job": job, "charts": job_charts(job), "disks": disk_rows(job.disks)}

    def _of_shop(self, view: View) -> Mapping[str, Any]:
        if self._sources.warehouse is None:
            return {"why": "N/A because no warehouse was given; start the page with --warehouse=URL"}
        if not is_there(self._sources.warehouse):  # a look would make the file
            return {"why": f"N/A because {self._sources.warehouse.url.database} is not there yet"}
        try:
            kpis, panels = read_shop(self._sources.warehouse, view)
        except SQLAlchemyError as error:
            return {"why": f"N/A because the warehouse cannot be read: {str(error).splitlines()[0]}"}
        charts = [
            line_chart(
                f"{kpi.name.replace('_', ' ')} {kpi.unit}", kpi.starts, series_of(kpi), kpi.incidents, kpi.expected
            )
            for kpi in kpis
        ]
        scores = read_scores(self._sources.lake, view.until) if self._sources.lake else None
        return {
            "kpis": list(zip(kpis, charts, strict=True)), "panels": panels, "view": view, "spans": SPANS, "by": BY,
            "scores": bar_chart("Scores of the transactions of the last 24 hours", scores) if scores else None,
        }  # fmt: skip

    def _of_letters(self) -> Mapping[str, Any]:
        if self._sources.lake is None:
            return {"why": "N/A because no lake was given; start the page with --lake=PLACE"}
        if not self._sources.lake.holds(TABLE):
            return {"why": f"N/A because {self._sources.lake.root} has no table {TABLE} yet: no job has written to it"}
        return {"letters": read_letters(self._sources.lake, (store for store, _ in self._sources.checkpoints()))}

    async def _page(self, request: Request, template: str, read: Callable[[], Mapping[str, Any]]) -> Response:
        """A page, or 304 when it is what the reader has."""
        status = 200
        try:
            content = await run_in_threadpool(read)
        except UserError as error:
            template, content, status = "error.html", {"why": str(error)}, 404
        root = request.scope.get("root_path", "")
        text = self._templates.get_template(template).render(root=root, now=now_ms(), page=template, **content)
        body = self._templates.get_template("frame.html").render(root=root, page=template, now=now_ms(), main=text)
        tag = f'"{hashlib.sha256(text.encode()).hexdigest()[:32]}"'
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers={**_HEADERS, "ETag": tag})
        return Response(
            body, status, {**_HEADERS, "ETag": tag, "Cache-Control": "no-cache"}, "text/html; charset=utf-8"
        )


def job_charts(job: Job) -> Sequence[Any]:
    """Rows, durations by phase, and the gap of the watermark, over the epochs."""
    epochs = job.epochs
    labels = [f"epoch {epoch['batchId']}" for epoch in epochs]
    if not labels:
        return ()
    rows = {
        "rows in": [epoch["numInputRows"] for epoch in epochs],
        "rows out": [epoch["sink"]["numOutputRows"] for epoch in epochs],
    }
    phases = list(job.durations)
    spent = {phase: [epoch["durationMs"].get(phase, 0) for epoch in epochs] for phase in phases}
    backlog = {"backlog": [epoch["backlog"] for epoch in epochs]}
    size, unit = largest_unit(max((gap for gap in job.gaps if gap is not None), default=0))
    gaps = {unit: [None if gap is None else gap / size for gap in job.gaps]}
    return (
        line_chart("Rows per epoch", labels, rows),
        stacked_chart("Duration by phase, ms", labels, spent),
        line_chart("Backlog after each epoch, rows", labels, backlog),
        line_chart(f"Watermark behind the clock, {unit}", labels, gaps),
    )


def series_of(kpi: Any) -> Mapping[str, Sequence[float | None]]:
    """Final windows, those that may still change, and the week before if it is known."""
    final = [value if done else None for value, done in zip(kpi.values, kpi.final, strict=True)]
    open_ = [None if done else value for value, done in zip(kpi.values, kpi.final, strict=True)]
    series = {"final": final}
    if any(value is not None for value in open_):
        series["may still change"] = open_
    if any(value is not None for value in kpi.before):
        series["a week before"] = list(kpi.before)
    return series


class RequireToken:
    """Lets only readers with the token in: as `Authorization: Bearer`, or once as `?token=`, then as a cookie."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        """`token`: a secret."""
        self._app = app
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, or 401."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        given = request.query_params.get("token")
        bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
        if given is not None and self._is_right(given):
            answer: Response = RedirectResponse(request.url.remove_query_params("token"), 303)
            answer.set_cookie(COOKIE, self._token, httponly=True, samesite="strict")
            await answer(scope, receive, send)
        elif self._is_right(bearer) or self._is_right(request.cookies.get(COOKIE, "")):
            await self._app(scope, receive, send)
        else:
            await PlainTextResponse("the page needs its token: ?token=...\n", 401)(scope, receive, send)

    def _is_right(self, text: str) -> bool:
        return hmac.compare_digest(text.encode(), self._token.encode())


def make_app(sources: Sources, token: str | None = None) -> Starlette:
    """The application; behind a proxy it works under any `root_path`."""
    pages = Pages(sources)
    guard = [] if token is None else [Middleware(RequireToken, token=token)]
    return Starlette(
        routes=[
            Route("/", pages.jobs),
            Route("/jobs/{key:int}", pages.job),
            Route("/shop", pages.shop),
            Route("/dead-letters", pages.letters),
            Mount("/static", StaticFiles(directory=HERE / "static")),
        ],
        middleware=guard,
    )
