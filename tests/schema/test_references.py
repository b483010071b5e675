"""References are found wherever the schema declares them, with their places."""

from permission_mongo.schema.model import Collection, Field, Ref
from permission_mongo.schema.references import references_in

USERS = Ref("users")
INNER = {"by": Field("by", "string", ref=USERS), "n": Field("n", "integer")}
COLLECTION = Collection(
    "c",
    {
        "owner": Field("owner", "string", ref=USERS),
        "many": Field("many", "array", items=Field("many[]", "array", items=Field("many[][]", "string", ref=USERS))),
        "lines": Field("lines", "array", items=Field("lines[]", "object", properties=INNER)),
        "one": Field("one", "object", properties=INNER),
        "plain": Field("plain", "string"),
    },
)


def test_references_are_found_at_every_depth():
    document = {
        "owner": "a",
        "many": [["b"], [], None, ["c", None]],
        "lines": [{}, {"by": "d"}],
        "one": {"by": "e"},
        "plain": "x",
    }
    found = [(place, one) for place, _, one in references_in(document, COLLECTION)]
    assert found == [("owner", "a"), ("many.0.0", "b"), ("many.3.0", "c"), ("lines.1.by", "d"), ("one.by", "e")]


def test_null_and_what_is_absent_refer_to_nothing():
    assert list(references_in({"owner": None, "lines": None, "one": {"n": 1}}, COLLECTION)) == []
