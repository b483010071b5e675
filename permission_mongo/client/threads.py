"""The client for threads: the steps of a call are taken where it was called."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Concatenate, ParamSpec, Self, TypeVar, Unpack

import httpx

from permission_mongo.client import service, wire
from permission_mongo.client.call import Call, Options, described, plain, require_known, strict
from permission_mongo.client.conversation import (
    Ask,
    Done,
    Reply,
    Rules,
    Secret,
    Send,
    Step,
    Wait,
    advance,
    conversation,
)
from permission_mongo.client.described import types_of
from permission_mongo.client.documents import Asking, DocumentCalls, Filter
from permission_mongo.client.json import Document, Reader, Types
from permission_mongo.client.results import Job
from permission_mongo.client.retries import Event
from permission_mongo.client.service import AuditOptions
from permission_mongo.client.settings import Address, ClientOptions, Token, bearer, key_of, rules_of
from permission_mongo.client.walking import Walk

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(slots=True, repr=False)
class _Line:
    """The connections and the credential of a client, and of all its views."""

    http: httpx.Client
    address: Address
    secret: Secret | None
    token: Token | None

    def send(self, call: Call[T], rules: Rules) -> T:
        talk = conversation(call, rules)
        step = advance(talk, None)
        while not isinstance(step, Done):
            step = advance(talk, self._take(step, rules))
        return step.value

    def _take(self, step: Step, rules: Rules) -> Reply:
        match step:
            case Ask(anew):
                return self._credential(anew)
            case Send():
                return self._attempt(step, rules)
            case Wait(seconds):
                time.sleep(seconds)
                return None

    def _credential(self, anew: bool) -> Secret | None:
        if callable(self.token) and (anew or self.secret is None):
            self.secret = bearer(self.token())
        return self.secret

    def _attempt(self, step: Send, rules: Rules) -> Event:
        incoming = wire.Incoming(rules.clock, step.until)
        try:
            request = wire.request_of(step, str(self.address))
            response = self.http.send(request, stream=True, auth=None, follow_redirects=False)
            try:
                for part in response.iter_raw():
                    if not incoming.take(part):
                        break
            finally:
                response.close()
        except (*wire.FAILURES, wire.TooSlow) as error:
            return wire.lost(error)
        return incoming.answer(response)


class Cursor(Iterator[Document]):
    """The documents of a list; the next page is asked for when it is needed.

    `total` counts all of them where `count=True` was asked, once the first page is there. `is_complete` is False once a
    page of the past left documents out.
    """

    def __init__(self, line: _Line, rules: Rules, walk: Walk) -> None:
        self._line, self._rules, self._walk = line, rules, walk

    @property
    def total(self) -> int | None:
        return self._walk.total

    @property
    def is_complete(self) -> bool:
        return self._walk.is_complete

    def __next__(self) -> Document:
        while not self._walk.rows:
            call = self._walk.wanted()
            if call is None:
                raise StopIteration
            self._walk.take(self._line.send(call, self._rules))
        return self._walk.rows.popleft()


def _of_documents(make: Callable[Concatenate[DocumentCalls, P], Call[T]]) -> Callable[Concatenate[Collection, P], T]:
    """A method of a collection that makes this call and returns its result."""
    made = strict(make)

    def ask(self: Collection, /, *args: P.args, **named: P.kwargs) -> T:
        return self._line.send(made(self._calls, *args, **named), self._rules)

    described(ask, make)
    return ask


def _of_service(make: Callable[P, Call[T]]) -> Callable[Concatenate[Client, P], T]:
    """A method of a client that makes this call and returns its result."""
    made = strict(make)

    def ask(self: Client, /, *args: P.args, **named: P.kwargs) -> T:
        return self._line.send(made(*args, **named), self._rules)

    described(ask, make)
    return ask


class Collection:
    """The documents of one collection, as the caller may see and change them. Made by `client["name"]`."""

    def __init__(self, line: _Line, rules: Rules, calls: DocumentCalls) -> None:
        self._line, self._rules, self._calls = line, rules, calls

    def __repr__(self) -> str:
        return f"Collection({self._calls.name!r}, at {str(self._line.address)!r})"

    @property
    def name(self) -> str:
        return self._calls.name

    def find(
        self,
        filter: Filter | None = None,
        *,
        limit: int | None = None,
        page_size: int | None = None,
        **asked: Unpack[Asking],
    ) -> Cursor:
        """The documents that the filter finds, `limit` at most, `page_size` of them in one answer."""
        return Cursor(self._line, self._rules, Walk(self._calls.pages(filter, asked), limit, page_size))

    def deleted(self, *, limit: int | None = None, page_size: int | None = None, **options: Unpack[Options]) -> Cursor:
        """Documents that were deleted and not brought back."""
        return Cursor(self._line, self._rules, Walk(self._calls.deleted_pages(options), limit, page_size))

    page = _of_documents(DocumentCalls.page)
    find_one = _of_documents(DocumentCalls.find_one)
    get = _of_documents(DocumentCalls.get)
    get_many = _of_documents(DocumentCalls.get_many)
    count = _of_documents(DocumentCalls.count)
    aggregate = _of_documents(DocumentCalls.aggregate)
    insert_one = _of_documents(DocumentCalls.insert_one)
    update_one = _of_documents(DocumentCalls.update_one)
    replace_one = _of_documents(DocumentCalls.replace_one)
    delete_one = _of_documents(DocumentCalls.delete_one)
    purge = _of_documents(DocumentCalls.purge)
    insert_many = _of_documents(DocumentCalls.insert_many)
    update_many = _of_documents(DocumentCalls.update_many)
    delete_many = _of_documents(DocumentCalls.delete_many)
    undo = _of_documents(DocumentCalls.undo)
    versions = _of_documents(DocumentCalls.versions)
    version = _of_documents(DocumentCalls.version)
    diff = _of_documents(DocumentCalls.diff)
    restore = _of_documents(DocumentCalls.restore)


class Client:
    """A gateway at an address, asked as one caller. Threads may share it; to be closed, or used in a `with`.

    `token` is a JWT, or a function that yields one: asked when it is needed first, and once more at a 401. `http` is an
    httpx client of one's own (proxies, certificates), which is not closed here.
    """

    def __init__(
        self,
        address: str,
        *,
        token: Token | None = None,
        http: httpx.Client | None = None,
        **options: Unpack[ClientOptions],
    ) -> None:
        key = key_of(options, token)
        secret = bearer(token) if isinstance(token, str) else key
        self._rules = rules_of(options, renews=callable(token))
        where = Address.of(address)
        self._owns = http is None
        self._line = _Line(http or httpx.Client(), where, secret, token)

    def __repr__(self) -> str:
        return f"Client({str(self._line.address)!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End the connections. A view by `within` shares them."""
        if self._owns:
            self._line.http.close()

    def __getitem__(self, name: str) -> Collection:
        return self.collection(name)

    def collection(self, name: str, *, types: Types | None = None) -> Collection:
        """With `types`, readers by dotted paths such as `{"at": datetime}`, values are what these make of them."""
        return Collection(self._line, self._rules, DocumentCalls(name, types))

    def typed(self, name: str, *, object_id: Reader = str, **options: Unpack[Options]) -> Collection:
        """The collection with dates, UUIDs and decimals as Python's own, by what the gateway says of its fields.

        Asks the gateway once. `object_id=bson.ObjectId` makes ids of that class.
        """
        require_known(options, Options, of="typed")
        call = service.openapi(**options).giving(types_of(name, object_id))
        types = self._line.send(call, self._rules)
        return self.collection(name, types=types)

    def within(self, namespace: str) -> Client:
        """The same client in another namespace, over the same connections."""
        view = object.__new__(type(self))
        view._line, view._owns = self._line, False
        view._rules = replace(self._rules, namespace=plain(namespace, "namespace"))
        return view

    def audit(self, *, limit: int | None = None, page_size: int | None = None, **asked: Unpack[AuditOptions]) -> Cursor:
        """Who did what, newest first."""
        return Cursor(self._line, self._rules, Walk(service.audit_pages(asked), limit, page_size))

    def wait(self, job: str, *, patience: float = 600.0, every: float = 0.5, **options: Unpack[Options]) -> Job:
        """The job once it is over, or as it is after so many seconds of `patience`; asked for `every` so many."""
        ends = self._rules.clock() + patience
        while True:
            found = self.job(job, **options)
            if found.is_over or self._rules.clock() + every > ends:
                return found
            time.sleep(every)

    me = _of_service(service.me)
    explain = _of_service(service.explain)
    job = _of_service(service.job)
    jobs = _of_service(service.jobs)
    cancel = _of_service(service.cancel)
    health = _of_service(service.health)
    ready = _of_service(service.ready)
    openapi = _of_service(service.openapi)
    policy = _of_service(service.policy)
    check_policy = _of_service(service.check_policy)
    test_policy = _of_service(service.try_policy)
    diff_policy = _of_service(service.diff_policy)
    write_policy = _of_service(service.write_policy)
    sync_hierarchy = _of_service(service.sync_hierarchy)
