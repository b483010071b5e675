"""Sequences of requests of one caller against both worlds, as a hypothesis state machine."""

import asyncio
from collections import Counter
from random import Random
from uuid import UUID

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from permission_mongo.api.routes import ROUTES
from tests.laws.two_worlds import doors, requests
from tests.laws.two_worlds.requests import Generator, Route
from tests.laws.two_worlds.values import Known
from tests.laws.two_worlds.worlds import Asked, Pair, Told

IN_THE_APP: frozenset[Route] = frozenset((method, path) for method, path, _ in ROUTES) | doors.ROUTES
GENERATORS: dict[Route, Generator] = {**requests.GENERATORS, **doors.GENERATORS}
# Reads and writes of many are asked more often; routes that are not there yet seldom, to be refused alike.
_WEIGHTS = {
    ("GET", "/{collection}"): 4,
    ("DELETE", "/{collection}/batch"): 2,
    ("GET", "/_pm/audit"): 6,  # one role of four may read it
    ("GET", "/_pm/blobs/{token}"): 1,
    ("GET", "/health"): 0,
    ("GET", "/ready"): 0,
}
_SENT = [
    one
    for one in GENERATORS
    if one in IN_THE_APP
    for _ in range(1 if one in doors.ROUTES - doors.REFUSED else _WEIGHTS.get(one, 3))
]
_SENT += [one for one in GENERATORS if one not in IN_THE_APP or _WEIGHTS.get(one, 3) == 0]
OTHERS: Route = ("", "others at work")
_SENT += [OTHERS] * 3
Seen = Counter[tuple[Route, int]]


def learn(known: Known, asked: Asked, told: tuple[Told, Told]) -> None:
    """Remember what later requests may use: cursors, batches, ids, tags."""
    answer = told[0].json()
    headers = dict(told[0].headers)
    if "etag" in headers:
        known.etags.append(headers["etag"])
    if "x-batch" in headers:
        known.batches.append(headers["x-batch"])
    if not isinstance(answer, dict) or told[0].status >= 300:
        return
    page = answer.get("pagination") or {}
    cursor = page.get("cursor") or page.get("next_token") or page.get("next_cursor")
    if cursor is not None:
        both = cursor if told[0].own_cursor is None else (told[0].own_cursor, told[1].own_cursor)
        question = tuple(asked.body.items()) if isinstance(asked.body, dict) else asked.params
        known.cursors.append((asked.path, question, both))
    if isinstance(answer.get("batch"), str):
        known.batches.append(answer["batch"])
    if asked.route == ("GET", "/_pm/jobs"):
        known.jobs = [one["id"] for one in answer["data"]]
    name = asked.path.split("/")[1]
    if asked.route[0] == "POST" and name in known.made and isinstance(answer.get("created", []), list):
        known.made[name] += [one for one in (*answer.get("created", []), answer.get("_id")) if isinstance(one, str)]


def machine(
    pair: Pair, role: str, run: asyncio.Runner, seen: Seen, generators: dict[Route, Generator], sent: list[Route]
) -> type[RuleBasedStateMachine]:
    """The machine of one role: both worlds filled from a seed, then requests, then a look at what is hidden."""

    class Sequence(RuleBasedStateMachine):
        @initialize(seed=st.integers(0, 10**6))
        def fill(self, seed: int) -> None:
            run.run(pair.begin(role, seed))
            self.known = Known(role)

        @rule(route=st.sampled_from(sent), choices=st.uuids())
        def ask(self, route: Route, choices: UUID) -> None:
            if route == OTHERS:
                run.run(pair.stir(Random(str(choices))))
                return
            asked = generators[route](Random(f"{role}/{choices}"), self.known, route)
            told = run.run(pair.ask(asked))
            seen[route, told[0].status] += 1
            learn(self.known, asked, told)

        def teardown(self) -> None:
            if hasattr(self, "known"):
                run.run(pair.require_untouched())

    return Sequence


def ask_each(pair: Pair, role: str, run: asyncio.Runner, seen: Seen, routes: list[Route], *, times: int) -> None:
    """Leak, if a request tells the worlds apart: each of these routes so many times, in some order."""
    random = Random(role)
    run.run(pair.begin(role, random.randrange(10**6)))
    known, sent = Known(role), routes * times
    random.shuffle(sent)
    for route in sent:
        asked = GENERATORS[route](random, known, route)
        told = run.run(pair.ask(asked))
        seen[route, told[0].status] += 1
        learn(known, asked, told)
    run.run(pair.require_untouched())


def run_sequences(
    pair: Pair,
    role: str,
    run: asyncio.Runner,
    seen: Seen,
    *,
    sequences: int,
    requests: int,
    only: dict[Route, Generator] | None = None,
) -> None:
    """Leak, with the requests that show it, if there is a sequence that tells the worlds apart.

    With `only` these routes alone are asked, and nothing is made shorter: for plants, which are sure to fail.
    """
    phases = [Phase.generate, Phase.shrink] if only is None else [Phase.generate]
    run_state_machine_as_test(
        machine(pair, role, run, seen, only or GENERATORS, list(only) if only else _SENT),
        settings=settings(
            max_examples=sequences,
            stateful_step_count=requests,
            deadline=None,
            derandomize=True,
            database=None,
            phases=phases,
            suppress_health_check=list(HealthCheck),
            report_multiple_bugs=False,
        ),
    )
