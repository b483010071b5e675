"""Coming from Mixpeek: what its client sends about documents, and what becomes of it here."""

from __future__ import annotations

import urllib.request

from examples.running import Caller, Gateway, an_example, say

AT = "/v1/collections/clips/documents"
CLIPS = (
    {"document_id": "goal-1", "team": "sports", "title": "The Goal", "metadata": {"status": "new"}, "fee": 90},
    {"document_id": "goal-2", "team": "sports", "title": "the goal, again", "metadata": {"status": "aired"}},
    {"document_id": "vote-1", "team": "news", "title": "The Vote", "metadata": {"status": "new"}},
)


def caller(gateway: Gateway, name: str) -> Caller:
    """Somebody with an API key, in the header that the client puts it in."""
    words = ("--config", str(gateway.config), "--sub", name, "--tenant", "acme", "--roles", name)
    key = gateway.command("keys", "create", *words)
    return Caller(name, gateway.address, {"Authorization": f"Bearer {key}"})


def put_still(gateway: Gateway, who: Caller) -> None:
    """By our own route: bytes come in by no other."""
    address = f"{gateway.address}/clips/goal-1/blobs/still?filename=goal.png"
    sent = urllib.request.Request(address, b"\x89PNG and so on", {**who.credential, "content-type": "image/png"})
    sent.method = "PUT"
    urllib.request.urlopen(sent).close()


def tell(gateway: Gateway) -> None:
    indexer, sports = caller(gateway, "indexer"), caller(gateway, "sports")
    print("Two API keys: the indexer's, which may do everything, and one of an agent of the sports desk. The requests")
    print("are those that the client sends by batch_update, batch_delete, batch_get and so on.")
    for clip in CLIPS:
        indexer.must("POST", AT, {**clip, "embedding": [0.25, 0.5]})
    indexer.must("POST", "/v1/collections/scripts/documents", {"document_id": "match", "team": "sports", "text": "..."})

    say("A filter, by which letters are the same unless it says otherwise; the vote is another desk's:")
    wanted = {"AND": [{"field": "title", "operator": "starts_with", "value": "THE"}]}
    sports.tells("POST", f"{AT}/list", {"filters": wanted, "limit": 2, "select": ["title"]})

    say("Each its own change. What the agent does not see is told like what is not there, and no vector is changed:")
    changes = (("goal-1", {"metadata.scene": "7"}), ("vote-1", {"title": "x"}), ("goal-2", {"embedding": [1, 1]}))
    updates = [{"document_id": one, "update_data": data} for one, data in changes]
    sports.tells("POST", f"{AT}/batch", {"updates": updates})

    say("Bytes have an address of their own for a time, which asks for no credential:")
    put_still(gateway, indexer)
    asked = {"document_ids": ["goal-1", "match", "vote-1"], "return_presigned_urls": True}
    got = sports.must("POST", "/v1/documents/batch-get", asked)
    for one in got["documents"]:
        print(f"  {one['document_id']} of {one['collection_id']}")
    print(f"  not found: {got['not_found']}")
    [blob] = got["documents"][0]["document_blobs"]
    with urllib.request.urlopen(blob["presigned_url"]) as answer:
        print(f"  {blob['filename']}, {blob['content_type']}: {len(answer.read())} bytes")

    say("A deletion by a filter. What was aired is kept by a rule, and told with the reason:")
    deleted = sports.tells("DELETE", f"{AT}/batch", {"filters": {"team": "SPORTS"}})
    sports.tells("DELETE", f"{AT}/batch", {"document_ids": ["goal-2", "vote-1"]})

    say("A filter that names nothing, a field that the agent may not ask about, and a filter that is too deep:")
    sports.tells("DELETE", f"{AT}/batch", {"filters": {}})
    sports.tells("POST", f"{AT}/list", {"filters": {"field": "fee", "operator": "gt", "value": 50}})
    deep: dict[str, object] = {"title": "x"}
    for _ in range(8):
        deep = {"AND": [deep]}
    sports.tells("POST", f"{AT}/list", {"filters": deep})

    say("What has no counterpart there: the deletion is a batch, by its header X-Batch, and comes back.")
    batch = next(value for name, value in deleted.headers.items() if name.lower() == "x-batch")
    undone = sports.must("POST", f"/clips/batch/{batch}/undo", {})
    print(f"  {undone['restored']} restored: {sports.must('GET', f'{AT}/goal-1')['title']}")


if __name__ == "__main__":
    with an_example(__file__) as gateway:
        tell(gateway)
