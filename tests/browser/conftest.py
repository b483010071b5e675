"""A real Chromium, one for each file, on a gateway of its own; and hands that do what people do with it."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import pytest

from tests.browser.gateway import TOKEN, Served, fill, serving

try:
    from playwright.async_api import Browser, Locator, Page, async_playwright, expect
except ImportError:
    async_playwright = None
REQUIRED = os.environ.get("PERMISSION_MONGO_BROWSER") == "required"
MOST_TABS = 150


def _missing() -> str | None:
    if async_playwright is None:
        return "the Python package playwright is not installed"
    return None if shutil.which("chromium") else "there is no program `chromium`; on Debian: apt-get install chromium"


@pytest.fixture(scope="module")
def served(mongo_uri, tmp_path_factory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("console"), mongo_uri) as found:
        fill(found)
        yield found


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    missing = _missing()
    if missing is not None:
        (pytest.fail if REQUIRED else pytest.skip)(f"{missing}, so the console is not tried in a browser")
    async with async_playwright() as playwright:
        found = await playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        yield found
        await found.close()


@pytest.fixture
async def page(browser, served) -> AsyncIterator[Page]:
    """A page that is signed out. Whatever it says on its console at the end of a test is a failure."""
    context = await browser.new_context(viewport={"width": 1280, "height": 900}, locale="en-GB")
    context.set_default_timeout(10_000)
    found = await context.new_page()
    heard: list[str] = []
    found.on("console", lambda said: heard.append(said.text) if said.type in ("error", "warning") else None)
    found.on("pageerror", lambda error: heard.append(str(error)))
    found.on("dialog", lambda dialog: heard.append(f"a dialog: {dialog.message}"))
    found.heard = heard
    await found.goto(f"{served.address}/_pm/console")
    yield found
    await context.close()
    assert heard == []


@dataclass
class Hand:
    """Does what a person does. A keyboard goes from one thing to the next by Tab, and never jumps."""

    page: Page

    async def press(self, thing: Locator) -> None:
        await thing.click()

    async def choose(self, thing: Locator, label: str) -> None:
        await thing.select_option(label=label)

    async def write(self, thing: Locator, text: str) -> None:
        await thing.click()
        await self._put(text)

    async def _put(self, text: str) -> None:
        await self.page.keyboard.press("Control+A")
        await self.page.keyboard.insert_text(text)

    async def sign_in(self) -> None:
        await self.write(self.page.get_by_label("Token or API key"), TOKEN)
        await self.press(self.page.get_by_role("button", name="Sign in"))
        await expect(self.page.get_by_role("heading", level=1)).not_to_have_text("Sign in")

    async def go_to(self, view: str) -> None:
        await self.press(self.page.get_by_role("navigation", name="Views").get_by_role("link", name=view))
        await expect(self.page.get_by_role("heading", level=1)).to_have_text(view)


class Keyboard(Hand):
    async def press(self, thing: Locator) -> None:
        await self._reach(thing)
        await self.page.keyboard.press("Enter")

    async def choose(self, thing: Locator, label: str) -> None:
        await self._reach(thing)
        await self.page.keyboard.type(label)

    async def write(self, thing: Locator, text: str) -> None:
        await self._reach(thing)
        await self._put(text)

    async def _reach(self, thing: Locator) -> None:
        await expect(thing).to_be_visible()
        for _ in range(MOST_TABS):
            if await thing.evaluate("one => one === document.activeElement && one.matches(':focus-visible')"):
                return
            await self.page.keyboard.press("Tab")
        raise AssertionError(f"the Tab key does not lead to {thing}")


@pytest.fixture(params=[Hand, Keyboard], ids=["mouse", "keyboard"])
def hand(request, page) -> Hand:
    return request.param(page)


@pytest.fixture
async def signed_in(page) -> Page:
    await Hand(page).sign_in()
    return page
