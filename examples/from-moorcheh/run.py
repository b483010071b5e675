"""Coming from Moorcheh: what its client sends when texts and vectors are deleted, and what becomes of it here."""

from __future__ import annotations

from examples.running import Caller, Gateway, an_example, say

AT = "/v1/namespaces"
PASSAGES = (
    {"id": "offer-1", "text": "The offer holds until Friday.", "metadata": {"team": "sales"}},
    {"id": "offer-2", "text": "The offer was withdrawn.", "metadata": {"team": "sales"}},
    {"id": "claim-1", "text": "The customer claims a refund.", "metadata": {"team": "sales", "on_hold": True}},
    {"id": "brief-1", "text": "What we told the court.", "metadata": {"team": "legal"}},
)
SKETCHES = (
    {"id": 1, "vector": [0.25, 0.5, 0.125, 0.75], "metadata": {"of": "offer-1"}},
    {"id": 2, "vector": [0.5, 0.5, 0.5, 0.5], "metadata": {"of": "offer-2"}},
    {"id": 3, "vector": [0.5, 0.5]},
)


def caller(gateway: Gateway, name: str) -> Caller:
    """Somebody with an API key, in the header that the client puts it in."""
    words = ("--config", str(gateway.config), "--sub", name, "--tenant", "acme", "--roles", name)
    key = gateway.command("keys", "create", *words)
    return Caller(name, gateway.address, {"x-api-key": key})


def tell(gateway: Gateway) -> None:
    indexer, sales = caller(gateway, "indexer"), caller(gateway, "sales")
    print("Two API keys: the app's, which may do everything, and one of an agent of the sales team. The requests are")
    print("those that moorcheh-sdk sends by documents.upload, vectors.upload, documents.delete and so on.")

    say("A namespace is a collection, declared in schema.yml. Texts are stored all or none, vectors each by itself:")
    indexer.tells("POST", f"{AT}/passages/documents", {"documents": PASSAGES})
    indexer.tells("POST", f"{AT}/sketches/vectors", {"vectors": SKETCHES})
    indexer.tells("GET", AT)

    say("A number is its digits, and what is not there is no mistake:")
    indexer.tells("POST", f"{AT}/sketches/vectors/delete", {"ids": [2, "absent"]})

    say("The agent deletes. What it sees and may not delete is told with the reason; what it does not see is told")
    print("  like what is not there, in every number:")
    deleted = sales.tells("POST", f"{AT}/passages/documents/delete", {"ids": ["offer-2", "claim-1", "brief-1"]})
    sales.tells("POST", f"{AT}/passages/documents/get", {"ids": ["offer-2", "brief-1"]})
    print(f"  and the brief is there still: {indexer.must('GET', '/passages/brief-1')['text']}")

    say("Each route is for its kind, and a namespace in which the caller may do nothing is told like none:")
    indexer.tells("POST", f"{AT}/passages/vectors/delete", {"ids": ["offer-1"]})
    sales.tells("POST", f"{AT}/sketches/vectors/delete", {"ids": ["1"]})

    say("No namespace is made here, and nothing is searched:")
    indexer.tells("POST", AT, {"namespace_name": "drafts", "type": "text", "vector_dimension": None})
    indexer.tells("POST", "/v1/search", {"namespaces": ["passages"], "query": "refund"})

    say("What has no counterpart there: the deletion is a batch, by its header X-Batch, and comes back.")
    batch = next(value for name, value in deleted.headers.items() if name.lower() == "x-batch")
    undone = sales.must("POST", f"/passages/batch/{batch}/undo", {})
    print(f"  {undone['restored']} restored: {sales.must('GET', '/passages/offer-2')['text']}")


if __name__ == "__main__":
    with an_example(__file__) as gateway:
        tell(gateway)
