"""What the pages of Mixpeek's client show, at an address and with a key; prints what it was told, as JSON."""

import json
import sys
import time
import urllib.request
from urllib.error import HTTPError

import mixpeek
from mixpeek import models
from mixpeek.exceptions import ApiException

ADDRESS, KEY = sys.argv[1:]


def client(key: str = KEY, namespace: str = "default") -> mixpeek.ApiClient:
    """The generated one, which sends and reads by models."""
    settings = mixpeek.Configuration(host=ADDRESS, access_token=key, api_key={"NamespaceHeader": namespace})
    return mixpeek.ApiClient(settings)


def matching(filters: dict) -> models.LogicalOperatorInput:
    found = models.LogicalOperatorInput.from_dict(filters)
    assert found is not None
    return found


def refusal(action) -> tuple[int, dict]:
    try:
        action()
    except ApiException as error:
        told = json.loads(error.body)
        assert error.data is None or isinstance(error.data, models.ErrorResponse)
        assert (told["success"], told["status"]) == (False, error.status)
        return error.status, told["error"]
    raise AssertionError("was not refused")


def results(answer) -> list:
    return [[one.document_id, one.success, one.error] for one in answer.results]


def undo(batch: str) -> int:
    request = urllib.request.Request(f"{ADDRESS}/clips/batch/{batch}/undo", b"{}", {"X-API-Key": KEY}, method="POST")
    request.add_header("content-type", "application/json")
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)["restored"]


def single(told: dict, documents: mixpeek.CollectionDocumentsApi) -> None:
    for one, title in (("a", "Red Car"), ("b", "Blue Car"), ("c", "Car"), ("d", "Van")):
        body = {"document_id": one, "title": title, "near": [1, 2], "score": 1, "metadata": {"status": "new"}}
        made = documents.create_document("clips", models.DocumentCreateRequest.from_dict(body))
        if one == "a":
            told["created"] = [made.document_id, made.collection_id, made.additional_properties["title"]]
    documents.create_document("notes", models.DocumentCreateRequest.from_dict({"document_id": "n", "text": "t"}))
    got = documents.get_document("clips", "a", return_presigned_urls=True)
    told["got"] = [got.document_id, got.additional_properties["title"], got.additional_properties.get("near")]
    told["vector"] = documents.get_document("clips", "a", return_vectors=True).additional_properties["near"]
    patched = documents.patch_document("clips", "a", {"metadata": {"stage": "cut"}})
    told["patched"] = [patched.document_id, patched.additional_properties["metadata"]]
    told["put"] = documents.update_document("clips", "a", {"score": 7}).additional_properties["score"]


def lists(told: dict, documents: mixpeek.CollectionDocumentsApi) -> None:
    asked = models.ListDocumentsRequest(limit=3, include_total=True)
    first = documents.list_documents("clips", list_documents_request=asked)
    then = models.ListDocumentsRequest(limit=3, cursor=first.pagination.next_cursor)
    second = documents.list_documents("clips", list_documents_request=then)
    ids, rest = ([one.document_id for one in page.results] for page in (first, second))
    told["listed"] = [ids, first.pagination.total, "the next page", rest]
    text = json.dumps({"AND": [{"field": "title", "operator": "starts_with", "value": "blue"}]})
    page = documents.list_documents_0("clips", filters=text, sort="title:asc", return_vectors=False, page=1)
    told["listed by query"] = [one.document_id for one in page.results]
    filters = matching({"AND": [{"field": "title", "operator": "eq", "value": "red car"}]})
    page = documents.list_documents("clips", list_documents_request=models.ListDocumentsRequest(filters=filters))
    told["filtered"] = [one.document_id for one in page.results]


def updates(told: dict, documents: mixpeek.CollectionDocumentsApi) -> None:
    each = [
        models.BatchDocumentUpdate(document_id=one, update_data={"metadata.status": "done"})
        for one in ("a", "b", "foreign")
    ]
    answer = documents.batch_update("clips", models.BatchUpdateDocumentsRequest(updates=each))
    told["batch update"] = [answer.updated_count, answer.failed_count, results(answer)]
    filters = matching({"title": "blue car"})
    asked = models.BatchUpdateDocumentsRequest(filters=filters, update_data={"score": 3})
    answer = documents.batch_update("clips", asked)
    told["batch update by filter"] = [answer.updated_count, answer.failed_count, results(answer)]
    filters = matching({"AND": [{"field": "metadata.status", "operator": "eq", "value": "DONE"}, {"score": 3}]})
    bulk = documents.bulk_update("clips", models.BulkUpdateDocumentsRequest(filters=filters, update_data={"score": 4}))
    told["bulk update"] = [bulk.updated_count, bulk.message]
    one = models.BatchDocumentUpdate(document_id="a", update_data={"near": [3, 4]})
    answer = documents.batch_update("clips", models.BatchUpdateDocumentsRequest(updates=[one]))
    [result] = answer.results
    told["vectors"] = [answer.updated_count, answer.failed_count, result.error]


def reads_of_all(told: dict) -> None:
    asked = models.BatchGetDocumentsRequest(document_ids=["a", "foreign", "n", "absent"])
    answer = mixpeek.DocumentsApi(client()).batch_get(asked)
    ids, collections = ([getattr(one, key) for one in answer.documents] for key in ("document_id", "collection_id"))
    told["batch get"] = [ids, collections, answer.not_found]


def bytes_of(told: dict) -> None:
    """An address of the bytes, which asks for no credential."""
    put = urllib.request.Request(f"{ADDRESS}/clips/a/blobs/photo?filename=a.png", b"ten bytes!", method="PUT")
    put.add_header("content-type", "image/png")
    put.add_header("x-api-key", KEY)
    urllib.request.urlopen(put).close()
    api = mixpeek.DocumentsApi(client())
    asked = models.BatchGetDocumentsRequest(document_ids=["a"], return_presigned_urls=False)
    told["not asked for"] = api.batch_get(asked).documents[0].document_blobs[0].presigned_url
    [document] = api.batch_get(models.BatchGetDocumentsRequest(document_ids=["a"])).documents
    [blob] = document.document_blobs
    told["blob"] = [blob.var_field, blob.type, blob.filename, blob.content_type, blob.size_bytes]
    with urllib.request.urlopen(blob.presigned_url) as answer:
        told["bytes"] = answer.read().decode()
    time.sleep(3)
    try:
        urllib.request.urlopen(blob.presigned_url).close()
    except HTTPError as error:
        told["bytes after their time"] = error.code


def deletions(told: dict, documents: mixpeek.CollectionDocumentsApi) -> None:
    gone = documents.delete_document("clips", "d")
    told["deleted"] = [gone.success, gone.message]
    asked = models.BatchDeleteDocumentsRequest(document_ids=["c", "foreign", "absent"], reason="cleaning")
    answer = documents.batch_delete("clips", asked)
    told["batch delete"] = [answer.deleted_count, answer.failed_count, results(answer)]
    filters = matching({"NOT": [{"field": "title", "operator": "contains", "value": "red"}]})
    found = documents.batch_delete_with_http_info("clips", models.BatchDeleteDocumentsRequest(filters=filters))
    told["batch delete by filter"] = [found.data.deleted_count, found.data.failed_count, results(found.data)]
    told["undone"] = undo(found.headers["x-batch"])


def refusals(told: dict, documents: mixpeek.CollectionDocumentsApi) -> None:
    def deleting(filters: models.LogicalOperatorInput):
        return lambda: documents.batch_delete("clips", models.BatchDeleteDocumentsRequest(filters=filters))

    # Made of words instead of a dict the client's own filter loses what it does not know, and is empty.
    status, error = refusal(deleting(models.LogicalOperatorInput(status="archived")))
    told["nothing named"] = [status, error["message"]]
    for name, one in (("absent", "absent"),):
        status, error = refusal(lambda one=one: documents.get_document("clips", one))
        told[name] = [status, error["type"], error["message"]]
    status, error = refusal(deleting(matching({"secret": "x"})))
    told["hidden"] = [status, error["type"], error["message"]]
    deep: dict = {"title": "x"}
    for _ in range(8):
        deep = {"AND": [deep]}
    for name, filters in (("deep", deep), ("many", {"OR": [{"score": n} for n in range(200)]})):
        status, error = refusal(deleting(matching(filters)))
        told[name] = [status, error["message"].rpartition(": ")[2]]
    status, error = refusal(lambda: documents.patch_document("clips", "a", {"score": "high"}))
    told["wrong"] = [status, error["type"]]
    for name, other in (("elsewhere", client(namespace="ns_x")), ("stranger", client(key="sk_live_1"))):
        api = mixpeek.CollectionDocumentsApi(other)
        status, error = refusal(lambda api=api: api.get_document("clips", "a"))
        told[name] = [status, error["message"]]


def plain(told: dict) -> None:
    """The other client of the same package, which is the one that its pages begin with."""
    mp = mixpeek.Mixpeek(KEY, namespace="default", base_url=f"{ADDRESS}/v1")
    page = mp.documents.list("clips", page_size=2, filters={"metadata.status": "Done"}, sort={"field": "title"})
    found = {"list": [sorted(one.document_id for one in page.results), page["results"][1]["document_id"]]}
    changed = mp.documents.update("clips", "a", update_data={"title": "Blue Car"})
    found["update"] = [changed.document_id, changed["title"]]
    each = [{"document_id": one, "update_data": {"score": 9}} for one in ("a", "absent")]
    answer = mp.documents.batch_update("clips", updates=each)
    found["batch_update"] = [answer.updated_count, answer.failed_count]
    got = mp.documents.get("clips", "a")
    found["get"] = [got.document_id, got.title]
    mixpeek.CollectionDocumentsApi(client()).create_document(
        "clips", models.DocumentCreateRequest.from_dict({"document_id": "z", "title": "z"})
    )
    found["delete"] = mp.documents.delete("clips", "z").success
    try:
        mp.documents.get("clips", "z")
    except Exception as error:
        found["refused"] = [error.status, error.retryable, error.detail["error"]["message"]]
    found["address"] = mp.base_url == f"{ADDRESS}/v1"
    told["plain client"] = found


def main() -> None:
    told: dict = {}
    documents = mixpeek.CollectionDocumentsApi(client())
    single(told, documents)
    lists(told, documents)
    updates(told, documents)
    reads_of_all(told)
    bytes_of(told)
    deletions(told, documents)
    refusals(told, documents)
    plain(told)
    print(json.dumps(told))


if __name__ == "__main__":
    main()
