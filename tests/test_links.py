"""Every link of a page leads somewhere: to a file that is there, to a heading that it has."""

import re
import textwrap
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.pages import ROOT, anchors, blocks, links, name_of, pages

LANGUAGES = {"sh", "text", "json", "yaml", "js", "http", "python"}


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_every_link_leads_to_a_file_and_a_heading_that_are_there(page: Path):
    dead = []
    for target in links(page):
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        if not file.is_file() or (anchor and anchor not in anchors(file)):
            dead.append(target)
    assert dead == []


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_every_block_says_what_it_is_written_in(page: Path):
    assert {one.language for one in blocks(page)} <= LANGUAGES


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_every_block_of_yaml_is_yaml(page: Path):
    for block in blocks(page):
        if block.language == "yaml":
            yaml.compose(textwrap.dedent(block.text))


def places(nav: object) -> Iterator[str]:
    """The pages that a part of the site's navigation names."""
    if isinstance(nav, str):
        yield nav
    elif isinstance(nav, dict):
        yield from places(list(nav.values()))
    elif isinstance(nav, list):
        for one in nav:
            yield from places(one)


def test_the_site_has_a_place_for_every_page():
    project = tomllib.loads((ROOT / "zensical.toml").read_text())["project"]
    named = list(places(project["nav"]))
    assert len(named) == len(set(named))
    assert set(named) - {"CHANGELOG.md"} == {name_of(page) for page in pages()}
    assert project["theme"]["font"] is False  # else each reader's browser asks somebody else for it


def test_every_page_is_led_to_from_another_one():
    led = {(page.parent / target.partition("#")[0]).resolve() for page in pages() for target in links(page)}
    assert {name_of(page) for page in pages() if page not in led and page != ROOT / "README.md"} == set()


def test_nothing_but_this_machine_is_named_by_an_address_in_a_command():
    """A command that a reader pastes must not send anything to somebody else's address."""
    known = re.compile(r"https?://(?!127\.0\.0\.1|localhost|osv\.dev|\$)\S+")
    assert [one for page in pages() for block in blocks(page) for one in block.commands if known.search(one)] == []
