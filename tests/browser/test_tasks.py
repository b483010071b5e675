"""What the console is for, from beginning to end in a real browser: by mouse, and by keyboard alone."""

import asyncio

import pytest

from tests.browser.conftest import Hand
from tests.browser.gateway import ANN, POLICY, TOKEN

pytestmark = [pytest.mark.mongo, pytest.mark.browser]
WIDER = POLICY.replace("when: resource.status == 'published'", "when: resource.status != 'archived'").replace(
    "status, tags, owner_id]", "status, owner_id]"
)

# One that the policy tests take: they keep a gateway from serving any other.
TAKEN = POLICY.replace("status, tags, owner_id]", "status, tags, owner_id, created_at]")


@pytest.fixture
async def policy(served):
    """The file as it was, in force again at the end."""
    yield served.folder / "policy.yml"
    if (served.folder / "policy.yml").read_text() != POLICY:
        (served.folder / "policy.yml").write_text(POLICY)
        await until(lambda: served.ask("GET", "/_pm/policy")["files"]["policy.yml"]["text"] == POLICY)


async def until(holds, seconds=10.0):
    deadline = asyncio.get_running_loop().time() + seconds
    while not await asyncio.to_thread(holds):
        assert asyncio.get_running_loop().time() < deadline, "it did not come true"
        await asyncio.sleep(0.05)


async def test_why_somebody_can_not_see_a_document(page, hand):
    await hand.sign_in()
    await hand.go_to("Try")
    await hand.choose(page.get_by_label("Who asks"), "somebody else, typed")
    await hand.write(page.get_by_label("Subject"), "bob")
    await hand.write(page.get_by_label("Roles"), "viewer")
    await hand.write(page.get_by_label("Document"), "plan")
    await hand.press(page.get_by_role("button", name="Explain"))
    await see(page, "Not allowed", "read documents plan", "resource.status == 'published'")
    clause = page.locator(".tree li", has_text="resource.status == 'published'").first
    assert "false" in await clause.inner_text()
    ways = await page.locator(".ways").inner_text()
    assert "if resource.status == 'published'" in ways
    assert "with the role admin" in ways
    assert "id=plan" in page.url
    assert TOKEN not in page.url


async def test_mistakes_are_told_where_they_are_as_one_types(page, hand, policy):
    await hand.sign_in()
    await hand.go_to("Change")
    text = page.get_by_label("Text of policy.yml")
    await hand.write(text, POLICY.replace("resource.status == 'published'", "resource.stauts == 'published'"))
    line = 1 + POLICY[: POLICY.index("resource.status == 'published'")].count("\n")
    await see(page, "did you mean 'status'?")
    await hand.press(page.get_by_role("button", name=f"policy.yml:{line}"))
    assert await text.evaluate("one => one === document.activeElement")
    chosen = await text.evaluate("one => one.value.slice(one.selectionStart, one.selectionEnd)")
    assert "stauts" in chosen
    await hand.write(text, POLICY + "# a note\n")
    await see(page, "no mistakes")
    assert policy.read_text() == POLICY


async def test_what_a_change_means_on_live_data(page, hand, policy):
    await hand.sign_in()
    await hand.go_to("Change")
    await hand.write(page.get_by_label("Text of policy.yml"), WIDER)
    await hand.press(page.get_by_role("button", name="Show impact"))
    await see(page, "On live data", "By the rules, for everybody")
    counted = await page.locator(".counts").inner_text()
    assert "viewer as guest gains 14 documents in documents (read)" in counted
    assert "viewer as guest loses the field tags in 1 document of documents" in counted
    assert policy.read_text() == POLICY, "nothing is written by looking"


async def test_a_policy_is_written_and_seen_to_be_live(page, hand, policy, served):
    await hand.sign_in()
    await hand.go_to("Change")
    await hand.write(page.get_by_label("Text of policy.yml"), TAKEN)
    await hand.press(page.get_by_role("button", name="Show difference"))
    await see(page, "tags, owner_id, created_at]}")
    await hand.press(page.get_by_role("button", name="Write it"))
    await hand.press(page.get_by_role("dialog").get_by_role("button", name="Write it"))
    await see(page, "The new policy is live.")
    assert policy.read_text() == TAKEN
    assert served.ask("GET", "/_pm/policy")["files"]["policy.yml"]["text"] == TAKEN
    await hand.go_to("Who may do what")
    await hand.press(page.get_by_role("button", name="viewer, read in documents: some. Show the rules"))
    await page.get_by_role("dialog").get_by_text("created_at", exact=True).wait_for()


async def test_a_policy_that_its_tests_refuse_is_not_written(page, policy):
    hand = Hand(page)
    await hand.sign_in()
    await hand.go_to("Change")
    await hand.write(page.get_by_label("Text of policy.yml"), WIDER)
    await hand.press(page.get_by_role("button", name="Run policy tests"))
    await see(page, "failed", "a viewer reads what is published, without its budget")
    await hand.press(page.get_by_role("button", name="Write it"))
    await hand.press(page.get_by_role("dialog").get_by_role("button", name="Write it"))
    await see(page, "the policy has mistakes")
    assert policy.read_text() == POLICY
    page.heard[:] = [one for one in page.heard if "status of 400" not in one]


async def test_a_policy_that_somebody_changed_meanwhile_is_not_written_over(page, policy):
    hand = Hand(page)
    await hand.sign_in()
    await hand.go_to("Change")
    await hand.write(page.get_by_label("Text of policy.yml"), TAKEN)
    policy.write_text(POLICY + "# theirs\n")
    await hand.press(page.get_by_role("button", name="Write it"))
    await hand.press(page.get_by_role("dialog").get_by_role("button", name="Write it"))
    await see(page, "Somebody changed policy.yml since you read it.")
    assert policy.read_text() == POLICY + "# theirs\n"
    page.heard[:] = [one for one in page.heard if "status of 412" not in one]


async def test_a_deleted_document_is_brought_back(page, hand, served):
    await hand.sign_in()
    await asyncio.to_thread(forget_gone, served)
    await hand.go_to("History")
    await hand.press(page.get_by_role("link", name="Deleted documents"))
    await hand.press(page.get_by_role("button", name="Restore gone"))
    await hand.write(page.get_by_label("Reason"), "deleted by mistake")
    await hand.press(page.get_by_role("dialog").get_by_role("button", name="Restore it"))
    await see(page, "Nothing deleted in documents")
    assert (await asyncio.to_thread(served.ask, "GET", "/documents/gone"))["title"] == "Minutes"
    newest = (await asyncio.to_thread(served.ask, "GET", "/documents/gone/versions"))[0]
    assert (newest["action"], newest["change_reason"]) == ("restore", "deleted by mistake")


def forget_gone(served):
    if not any(one["_id"] == "gone" for one in served.ask("GET", "/documents/deleted")["data"]):
        served.ask("DELETE", "/documents/gone", token=ANN)


async def test_a_batch_is_undone(page, hand, served):
    ids = ["draft-01", "draft-02", "draft-03"]
    deleted = await asyncio.to_thread(served.ask, "POST", "/documents/batch/delete", {"ids": ids}, ANN)
    await hand.sign_in()
    await hand.go_to("History")
    await hand.press(page.get_by_role("link", name="Batches"))
    await hand.press(page.get_by_role("button", name=f"Undo batch {deleted['batch']}"))
    await see(page, "3 documents would be put back")
    await hand.press(page.get_by_role("dialog").get_by_role("button", name="Undo it"))
    await see(page, "Undone", "3 put back")
    for one in ids:
        assert (await asyncio.to_thread(served.ask, "GET", f"/documents/{one}"))["_id"] == one


async def see(page, *texts):
    for text in texts:
        await page.get_by_text(text).first.wait_for()
