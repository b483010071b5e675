"""The one exception of the two-worlds law, and exactly what it tells: that a chosen key is taken, and nothing else.

A caller who chooses an id or a unique value learns by the 409 that some document has it: not which field, not whose, not
what it holds. Where ids are not the caller's to choose, and across tenants for unique values, nothing is told.
"""

import pytest

from permission_mongo.versions import record_id
from tests.laws.two_worlds.contents import NOW
from tests.laws.two_worlds.rules import ME, TENANT
from tests.laws.two_worlds.worlds import Asked

pytestmark = pytest.mark.mongo
CREATE, BATCH = ("POST", "/{collection}"), ("POST", "/{collection}/batch")
TAKEN = b'{"error":{"code":"conflict","message":"a document with this key exists"}}'


@pytest.fixture
def create(pair, run):
    """Creates in the first world, as the user; what it holds beside is for the test to add."""
    run.run(pair.begin("user", 1))

    def ask(document, collection="staff"):
        return run.run(pair._told(0, Asked(CREATE, f"/{collection}", (), document), "law"))

    ask.many = lambda body: run.run(pair._told(0, Asked(BATCH, "/staff/batch", (), body), "law"))
    ask.add = lambda row, name="staff": run.run(pair.worlds[0].database[name].insert_one(row))
    return ask


def hidden(one, tenant=TENANT, **fields):
    return {"_id": one, "tenant_id": tenant, "owner_id": "bob", "dept": "lab", "badge": f"of {one}", **fields}


@pytest.mark.parametrize("tenant", [TENANT, "evil"])
def test_a_hidden_id_is_told_to_be_taken_and_nothing_of_its_document(create, tenant):
    create.add(hidden("secret", tenant, salary=7))
    told = create({"_id": "secret", "name": "n"})
    assert (told.status, told.body) == (409, TAKEN)
    assert [name for name, _ in told.headers] == [
        "cache-control",
        "content-length",
        "content-type",
        "x-content-type-options",
        "x-request-id",
    ]


def test_a_hidden_unique_value_is_told_in_the_very_same_words(create):
    create.add(hidden("secret", badge="gold"))
    told = create({"_id": "free", "name": "n", "badge": "gold"})
    assert (told.status, told.body) == (409, TAKEN)


def test_a_unique_value_of_another_tenant_is_not_told(create):
    create.add(hidden("secret", "evil", badge="gold"))
    assert create({"_id": "free", "name": "n", "badge": "gold"}).status == 201


def test_an_id_that_is_visible_is_told_in_the_same_words(create):
    create.add({"_id": "mine", "tenant_id": TENANT, "owner_id": ME, "badge": "mine"})
    told = create({"_id": "mine", "name": "n"})
    assert (told.status, told.body) == (409, TAKEN)


def test_in_a_batch_it_is_told_by_place(create):
    create.add(hidden("secret", badge="gold"))
    told = create.many({"documents": [{"_id": "secret", "name": "n"}, {"_id": "free", "name": "n", "badge": "gold"}]})
    error = {"code": "conflict", "message": "a document with this key exists"}
    assert (told.status, told.json()) == (
        207,
        {
            "created": [],
            "failed": [{"index": 0, "error": error}, {"index": 1, "error": error}],
            "error": {
                "code": "partial",
                "message": "0 created, 2 could not be",
                "details": {"failed": 2, "created": 0},
            },
        },
    )


def test_a_request_that_is_refused_for_another_reason_is_told_nothing_of_keys(create):
    """Fields, schema and rules come first: a hidden key can't be asked for without a document that may be made."""
    create.add(hidden("secret"))
    answers = {}
    for one in ("secret", "free"):
        for document in ({"name": "n", "salary": 1}, {"name": 5}, {}):
            answers.setdefault(str(document), set()).add(create({"_id": one, **document}).body)
    assert [len(bodies) for bodies in answers.values()] == [1, 1, 1]


def test_an_id_that_a_hidden_document_had_before_goes_on_with_its_numbers(create, pair, run):
    """Beside the 409: the number of a new document tells that its chosen id lived before, as numbers are never used twice."""
    record = {
        "_id": record_id("staff", "once", TENANT, 4),
        "collection": "staff",
        "doc_id": "once",
        "tenant_id": TENANT,
        "version": 4,
        "gone": True,
        "data": hidden("once"),
    }
    create.add(record | {"ended": {"action": "delete", "by": "bob", "at": NOW}}, "_pm_versions")
    assert create({"_id": "once", "name": "n"}).json()["_version"] == 6
    foreign = {"_id": record_id("staff", "other", "evil", 4), "doc_id": "other", "tenant_id": "evil"}
    create.add(record | foreign, "_pm_versions")
    assert create({"_id": "other", "name": "n"}).json()["_version"] == 1
