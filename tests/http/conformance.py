"""schemathesis at work on an app in this process: its engine in a thread, the app where its MongoDB client lives."""

import asyncio
import re
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

import schemathesis
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import Status, from_schema
from schemathesis.engine.events import EngineFinished, NonFatalError, ScenarioFinished

_FEW_FIT = "Too many generated examples are filtered out"  # of the generator, and nothing of the gateway
MOST_TOLD = 5  # failures of one kind at one route
# Refusals of requests that JSON Schema can't tell from good ones, each with why: docs/openapi.md has them in words.
BEYOND_SCHEMA = {
    r"the cursor is not valid here": "only the gateway makes cursors, and each serves one question",
    r"skip: a cursor says": "one of two",
    r"the document is not the one that|the file is not the one that": "a condition that does not hold is 412",
    r"id: say by 'collection'": "a parameter that needs another one",
    r"^as: ": "the names of claims are the configuration's",
    r"id, filter: send one|a document that is created has no id yet": "one of two",
    r"max_affected: |more than max_affected": "how many are meant is known when they are looked for",
    r"names a document for the second time": "two items are one by their id alone",
    r"an integer of at most 64 bits": "to JSON Schema an integer is a number, whatever its size and however it is written",
    r"can't both be changed|^(update\.?:? ?)?\$rename": "paths of one change, held against each other",
    r"given in two ways|_sort: a list with _as_of|_count: a list with _as_of": "parameters held against each other",
    r"is named twice|may both be arrays|leads through a field that may be an array": "an order, field by field",
    r"the files have mistakes|^roles: no policy has": "what a policy says, and not how it is sent",
    r"an empty filter matches everything": "of a filter with empty parts nobody but a reader of filters can say that it is empty",
    r"a computed field can't be asked about here": "not of the past",
    r"a position has up to 6 digits": "paths, segment by segment",
    r"a field is named like|expected a valid \$number": "names and numbers, sign by sign",
    r"expected a string without NUL": "every sign but one",
    r"nested deeper than|more than \d+ (conditions|paths|values)": "bounds over the whole of it",
    r"the document breaks its schema": "@errors",
}
# Of the places in which a document breaks its schema: those that no shape of one field can tell.
BEYOND_SHAPES = {"max", "min", "ref", "depth", "name", "overflow", "path", "immutable", "hidden", "format"}


class Bridge:
    """An ASGI application that hands each request to another event loop, and its answer back."""

    def __init__(self, app: Any, loop: asyncio.AbstractEventLoop) -> None:
        self.app, self.loop = app, loop

    async def __call__(self, scope: dict, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":  # the app is up already
            while True:
                message = await receive()
                await send({"type": f"{message['type']}.complete"})
                if message["type"] == "lifespan.shutdown":
                    return
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        told = asyncio.run_coroutine_threadsafe(self._answered({**scope, "app": self.app}, body), self.loop)
        for message in await asyncio.wrap_future(told):
            await send(message)

    async def _answered(self, scope: dict, body: bytes) -> list[dict]:
        told: list[dict] = []
        sent = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> dict:
            return sent.pop() if sent else {"type": "http.disconnect"}

        async def send(message: dict) -> None:
            told.append(message)

        await self.app(scope, receive, send)
        return told


@dataclass
class Summary:
    """What came of a run: cases by phase, statuses by route, and what was wrong."""

    cases: Counter = field(default_factory=Counter)
    statuses: Counter = field(default_factory=Counter)
    checks: Counter = field(default_factory=Counter)
    beyond: Counter = field(default_factory=Counter)
    failures: dict[tuple[str, str], list[str]] = field(default_factory=lambda: defaultdict(list))
    unmade: list[str] = field(default_factory=list)  # routes for which too few requests could be drawn that fit
    seconds: float = 0.0

    def note(self, event: ScenarioFinished) -> None:
        recorder = event.recorder
        self.cases[event.phase.value] += len(recorder.cases)
        for one in recorder.interactions.values():
            if one.response is not None:
                self.statuses[one.response.status_code] += 1
        for case_id, checks in recorder.checks.items():
            for check in checks:
                self.checks[check.name] += 1
                if check.status == Status.FAILURE:
                    self._failed(recorder, case_id, check)

    def _failed(self, recorder: Any, case_id: str, check: Any) -> None:
        case = recorder.cases[case_id].value
        interaction = recorder.interactions.get(case_id)
        answer = interaction.response if interaction else None
        if (
            check.name == "positive_data_acceptance"
            and answer is not None
            and is_beyond_schema(
                case.operation.label, answer.json()["error"], replaces="_replace" in (case.query or {})
            )
        ):
            self.beyond[answer.json()["error"]["code"]] += 1
            return
        if check.name == "negative_data_rejection" and answer is not None and is_of_nothing(answer):
            self.beyond["of nothing"] += 1
            return
        if check.name == "use_after_free" and "/versions" in case.operation.label:
            self.beyond["history"] += 1  # which outlives its document, and is what deletions are undone from
            return
        found = self.failures[check.name, case.operation.label]
        if len(found) < MOST_TOLD:
            told = f"{answer.status_code} {answer.text[:400]}" if answer is not None else "no answer"
            found.append(f"{told}\n    {case.as_curl_command()[:1500]}\n    {str(check.failure_info.failure)!r}")

    @property
    def unexplained(self) -> int:
        """Requests that fit their schemas and were refused, for reasons that are not among those of BEYOND_SCHEMA."""
        return sum(len(some) for (name, _), some in self.failures.items() if name == "positive_data_acceptance")

    @property
    def broken(self) -> dict[tuple[str, str], list[str]]:
        """All other failures: of these there may be none."""
        return {key: some for key, some in self.failures.items() if key[0] != "positive_data_acceptance"}

    def text(self) -> str:
        lines = [
            f"{sum(self.cases.values())} cases in {self.seconds:.0f} s: {dict(self.cases)}",
            f"statuses: {dict(sorted(self.statuses.items()))}",
            f"checks: {dict(sorted(self.checks.items()))}",
            f"refused by what no schema says: {dict(sorted(self.beyond.items()))}",
            f"routes for which too few requests were drawn: {self.unmade}",
            f"failures: {sum(map(len, self.failures.values()))} of {len(self.failures)} kinds",
        ]
        return "\n".join(
            [*lines, *(f"  {name} at {route}: {one}" for (name, route), some in self.failures.items() for one in some)]
        )


def is_of_nothing(answer: Any) -> bool:
    """Whether a batch found no document: what its operators take is read by the document that they change."""
    told = answer.json() if answer.status_code == 200 else None
    return isinstance(told, dict) and told.get("matched") == 0 and not told["failed"]


def is_beyond_schema(route: str, error: dict, *, replaces: bool) -> bool:
    """Whether a refusal of a request that fits its schema is one of those that can't be told by it.

    A write that `replaces` needs every required field; the schema is that of those that do not.
    """
    shapes = BEYOND_SHAPES | {"required"} if replaces else BEYOND_SHAPES
    if error["code"] == "as_of_out_of_range" or route.endswith("/aggregate"):
        return True  # the gateway alone knows what it can tell of; what a stage takes is told in words
    why = next((why for pattern, why in BEYOND_SCHEMA.items() if re.search(pattern, error["message"])), None)
    if why != "@errors":
        return why is not None
    # `is no array`: what an operator meets is what is stored.
    return all(one["code"] in shapes or one["message"].startswith("is no ") for one in error["details"]["errors"])


def run(app: Any, document: dict, settings: dict) -> Summary:
    """All phases of the settings. Blocks: call it in a thread of its own."""
    schema = schemathesis.openapi.from_dict(document, config=SchemathesisConfig.from_dict(settings))
    schema.app = app
    schema.location = "/_pm/openapi.json"
    summary = Summary()
    for event in from_schema(schema).execute():
        if isinstance(event, ScenarioFinished):
            summary.note(event)
        elif isinstance(event, NonFatalError) and _FEW_FIT in str(event.value):
            summary.unmade.append(str(event.label))
        elif isinstance(event, NonFatalError):
            summary.failures["error", str(event.label)].append(str(event.value)[:2000])
        elif isinstance(event, EngineFinished):
            summary.seconds = event.running_time
    return summary
