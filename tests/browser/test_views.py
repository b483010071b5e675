"""Every view as it is seen: by rules of accessibility in light and dark, on narrow and wide screens, with markup in data."""

import asyncio
from pathlib import Path

import pytest

from tests.browser.conftest import Hand
from tests.browser.gateway import EDITOR, NASTY, POLICY, TOKEN
from tests.http.harness import a_token

pytestmark = [pytest.mark.mongo, pytest.mark.browser]
# What is opened, and a text that stands there once all has come.
VIEWS = {
    "matrix": ("#/matrix", "Roles and actions in documents"),
    "a cell": ("#/matrix?of=manager&to=delete&in=documents", "As a filter of MongoDB"),
    "try": ("#/try?who=alice&action=read&collection=documents", "Documents and their fields"),
    "try an id": ("#/try?who=guest&action=delete&collection=documents&id=plan", "What would change it"),
    "try typed": ("#/try?who=typed&roles=user&action=update&collection=documents", "Further claims"),
    "try oneself": ("#/try?action=update&collection=documents&id=offer", "As the gateway shows them to you."),
    "change": ("#/change?line=17", "As it is in force."),
    "a document": ("#/history?part=document&collection=documents&id=offer", "From version 3 to version 4"),
    "deleted": ("#/history?part=deleted&collection=documents", "Deleted in documents"),
    "batches": ("#/history?part=batches&collection=documents", "Batches among the newest writes"),
    "audit": ("#/audit", "Entries, newest first"),
    "nowhere": ("#/nowhere", "No such view"),
}


async def open_view(page, name):
    address, text = VIEWS[name]
    await page.evaluate("address => { location.hash = address; }", address)
    await page.get_by_text(text).first.wait_for(state="attached")
    await page.locator("[aria-busy]").first.wait_for(state="detached")


async def faults(page) -> list[str]:
    """What axe finds that is serious or critical."""
    found = await page.evaluate("async () => (await axe.run(document, {resultTypes: ['violations']})).violations")
    grave = [one for one in found if one["impact"] in ("serious", "critical")]
    return [f"{one['id']}: {one['help']}: {[node['html'][:200] for node in one['nodes'][:3]]}" for one in grave]


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_every_view_can_be_used_by_everybody(signed_in, scheme):
    axe = pytest.importorskip("axe_playwright_python")
    page = signed_in
    await page.emulate_media(color_scheme=scheme)
    await page.evaluate((Path(axe.__file__).parent / "axe.min.js").read_text())
    await page.evaluate("() => { document.querySelector('main').append(document.createElement('input')); }")
    assert "label" in str(await faults(page)), "a planted fault is found"
    for name in VIEWS:
        await open_view(page, name)
        await page.evaluate("() => document.querySelectorAll('details').forEach(one => { one.open = true; })")
        assert await faults(page) == [], name
    await open_view(page, "deleted")
    await page.get_by_role("button", name="Restore gone").click()
    assert await faults(page) == [], "a question"
    await page.get_by_role("button", name="Leave it").click()
    await page.get_by_role("button", name="Forget the token").click()
    assert await faults(page) == [], "signing in"


@pytest.mark.parametrize("width", [360, 800, 1600])
async def test_nothing_is_wider_than_the_screen(signed_in, width):
    page = signed_in
    await page.set_viewport_size({"width": width, "height": 800})
    for name in VIEWS:
        await open_view(page, name)
        await page.evaluate("() => document.querySelectorAll('details').forEach(one => { one.open = true; })")
        assert await page.evaluate("document.documentElement.scrollWidth") <= width, name
        over = await page.evaluate(
            """width => [...document.querySelectorAll('main *, dialog *')].filter(one => !one.closest('pre, textarea, .gutter')
                && getComputedStyle(one).clipPath === 'none' && one.getClientRects().length
                && one.getBoundingClientRect().right > width + 1).map(one => one.outerHTML.slice(0, 120))""",
            width,
        )
        assert over == [], name


async def test_what_is_markup_elsewhere_is_text_here(signed_in, served):
    """In documents, ids, reasons, claims, roles, filters and refusals. The page's own rule is that nothing else happens."""
    page = signed_in
    shown = {
        "#/history?part=document&collection=documents&id=nasty": ("“", "From version 1 to version 2"),
        "#/try?action=read&collection=documents&id=nasty": ("As the gateway shows them to you.",),
        "#/audit?id=nasty&collection=documents": ("Entries, newest first",),
    }
    for address, texts in shown.items():
        await page.evaluate("address => { location.hash = address; }", address)
        for text in texts:
            await page.get_by_text(text).first.wait_for(state="attached")
        if "audit" not in address:
            await page.get_by_text(NASTY).first.wait_for()
        assert await page.locator("main img, dialog img, main script").count() == 0, address
    await page.evaluate("address => { location.hash = address; }", f"#/{NASTY}")
    await page.get_by_text(f"There is no view {NASTY}").or_(page.get_by_text("There is no view")).first.wait_for()
    hand = Hand(page)
    await hand.go_to("Try")
    await page.get_by_label("Who asks").select_option(label="somebody else, typed")
    await hand.write(page.get_by_label("Subject"), NASTY)
    await hand.write(page.get_by_label("Roles"), NASTY)
    await hand.write(page.get_by_label("Further claims"), f'{{"department": "{NASTY}"}}')
    await hand.press(page.get_by_role("button", name="Explain"))
    await page.get_by_text(f"The policy knows no {NASTY}").wait_for()
    assert await page.locator("img").count() == 0


async def test_markup_in_the_policy_is_text(signed_in, served):
    page, hand = signed_in, Hand(signed_in)
    await hand.go_to("Change")
    await hand.write(page.get_by_label("Text of policy.yml"), POLICY.replace(EDITOR, f"  '{NASTY}': {{}}\n"))
    await page.get_by_text("letters, digits").first.wait_for()
    await hand.press(page.get_by_role("button", name="Show difference"))
    await page.locator("ins", has_text=NASTY).wait_for()
    assert await page.locator("img").count() == 0


async def test_a_reload_forgets_the_token_and_nothing_keeps_it(signed_in):
    page = signed_in
    await Hand(page).go_to("Audit")
    kept = "() => [document.cookie, localStorage.length, sessionStorage.length, location.href, document.body.outerHTML].join()"
    assert TOKEN not in await page.evaluate(kept)
    assert (await page.evaluate("() => [document.cookie, localStorage.length, sessionStorage.length]")) == ["", 0, 0]
    await page.reload()
    await page.get_by_label("Token or API key").wait_for()
    assert "a reload forgets it" in await page.locator("main").inner_text()
    await page.evaluate("() => { location.hash = '#/try'; }")
    assert await page.get_by_role("heading", level=1).inner_text() == "Sign in"


async def test_who_may_not_is_told_in_words_with_the_requests_id(page):
    hand = Hand(page)
    await hand.write(page.get_by_label("Token or API key"), "no.such.token")
    await hand.press(page.get_by_role("button", name="Sign in"))
    await page.get_by_text("The token is not taken").wait_for()
    await hand.write(page.get_by_label("Token or API key"), a_token("ann", ["user"]))
    await hand.press(page.get_by_role("button", name="Sign in"))
    await page.get_by_text("This is not permitted to you.").wait_for()
    told = await page.locator(".notice").inner_text()
    assert "admin" in told
    assert "request" in told
    await hand.go_to("History")
    await page.get_by_label("Document").fill("offer")
    await hand.press(page.get_by_role("button", name="Show versions"))
    await page.get_by_text("From version 3 to version 4").wait_for(state="attached")
    await hand.go_to("Try")
    await page.get_by_text("To ask about others you need the system rights").wait_for()
    page.heard[:] = [one for one in page.heard if "status of 401" not in one and "status of 403" not in one]


async def test_no_other_page_and_no_script_of_elsewhere_gets_in(page, served):
    """What the policy of contents refuses is heard here, and expected."""
    refused = await page.evaluate(
        """async () => {
            const failing = async does => { try { await does(); return 'done'; } catch (error) { return error.name; } };
            return [await failing(() => { document.body.innerHTML = '<p>x</p>'; }),
                    await failing(() => fetch('http://127.0.0.1:9/')),
                    await failing(() => { document.createElement('script').text = 'window.got = 1'; })];
        }"""
    )
    assert refused == ["TypeError", "TypeError", "TypeError"]
    page.heard.clear()


async def test_a_link_leads_to_what_was_looked_at(signed_in):
    page, hand = signed_in, Hand(signed_in)
    await hand.press(page.get_by_role("button", name="user, delete in documents: some. Show the rules"))
    await page.get_by_role("dialog").wait_for()
    address = page.url
    assert "of=user" in address
    await page.keyboard.press("Escape")
    await page.get_by_role("dialog").wait_for(state="detached")
    await page.goto("about:blank")
    await page.goto(address)
    await hand.sign_in()
    assert "user: delete in documents" in await page.get_by_role("dialog").inner_text()


async def test_older_entries_of_the_audit_come_behind_the_others(signed_in, served):
    page, hand = signed_in, Hand(signed_in)
    for _ in range(60):
        await asyncio.to_thread(served.ask, "POST", "/_pm/explain", {"action": "read", "collection": "orders"})
    await page.evaluate("() => { location.hash = '#/audit?collection=orders&action=explain'; }")
    rows = page.locator("tbody tr")
    await page.get_by_role("button", name="Older entries").wait_for()
    assert await rows.count() == 50
    await hand.press(page.get_by_role("button", name="Older entries"))
    await page.get_by_role("button", name="Older entries").wait_for(state="detached")
    assert await rows.count() >= 60
    assert await rows.nth(50).evaluate("one => one === document.activeElement")


async def test_any_two_versions_are_compared(signed_in):
    page, hand = signed_in, Hand(signed_in)
    await open_view(page, "a document")
    await page.get_by_label("from version 1").check()
    await page.get_by_label("to version 3").check()
    await hand.press(page.get_by_role("button", name="Compare the two"))
    await page.get_by_text("From version 1 to version 3").wait_for(state="attached")
    told = await page.locator("table", has_text="From version 1 to version 3").inner_text()
    assert "Offer to Initech" in told
    assert "1200" in told


async def test_who_worked_in_a_list_is_still_there_when_it_is_made_anew(signed_in):
    page = signed_in
    await page.evaluate("() => { location.hash = '#/history?part=document&collection=documents&id=plan'; }")
    await page.get_by_role("button", name="Restore version 1").click()
    await page.get_by_role("dialog").get_by_role("button", name="Restore it").click()
    await page.get_by_role("heading", name="Version 3 restore").wait_for()
    assert await page.evaluate("() => document.activeElement.classList.contains('results')")
