"""The console's files: which there are, what goes with them, and that there is nothing else to be had."""

import re
from importlib.resources import files
from pathlib import Path

import pytest

from tests.http.harness import CONFIG, POLICY, a_config, a_token, a_world
from tests.http.test_routes import sent_as_it_is

pytestmark = pytest.mark.mongo
FOLDER = Path(str(files("permission_mongo"))) / "console"
NAMES = sorted(one.name for one in FOLDER.iterdir())
KINDS = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
GOVERNED = POLICY.replace(
    "root: {cross_tenant: true}",
    "root: {cross_tenant: true}, chief: {inherits: [boss], system: [admin, explain]}, half: {system: [admin]}, "
    "other: {system: [explain]}, heir: {inherits: [chief]}",
)
CHIEF = a_token("carol", ["chief"])


@pytest.fixture(scope="module")
async def world(mongo_uri, tmp_path_factory):
    async with a_world(mongo_uri, a_config(tmp_path_factory.mktemp("console"), policy=GOVERNED)) as world:
        yield world


def directives(answer) -> dict[str, str]:
    parts = (one.strip().partition(" ") for one in answer.headers["content-security-policy"].split(";"))
    return {name: value for name, _, value in parts}


# -- the files


@pytest.mark.parametrize("name", ["", *NAMES])
async def test_each_file_is_served_with_its_kind_and_its_bounds_to_who_shows_no_credential(world, name):
    answer = await world.client.get(f"/_pm/console{'/' if name else ''}{name}")
    file = FOLDER / (name or "index.html")
    assert (answer.status_code, answer.content) == (200, file.read_bytes())
    assert answer.headers["content-type"] == f"{KINDS[file.suffix]}{'' if file.suffix == '.svg' else '; charset=utf-8'}"
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert "set-cookie" not in answer.headers
    told = directives(answer)
    assert told["default-src"] == told["frame-ancestors"] == told["base-uri"] == told["form-action"] == "'none'"
    assert told["script-src"] == told["style-src"] == told["connect-src"] == "'self'"
    assert told["require-trusted-types-for"] == "'script'"
    assert "unsafe" not in answer.headers["content-security-policy"]
    assert "*" not in answer.headers["content-security-policy"]


async def test_a_file_that_is_known_is_not_sent_again(world):
    first = await world.client.get("/_pm/console/app.js")
    again = await world.client.get("/_pm/console/app.js", headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", first.headers["etag"])
    assert again.headers["cache-control"] == "no-cache"
    other = await world.client.get("/_pm/console/app.js", headers={"if-none-match": '"x"'})
    assert other.status_code == 200


ODD = (
    ["nothing.js", "app", "app.js.", "APP.JS", "..", ".", "", "__init__.py", "..%2fgateway.py", "%2e%2e"],
    [
        "../gateway.py",
        "a/app.js",
        "app.js/",
        "/app.js",
        "app.js%00",
        "%2e%2e/gateway.py",
        "..\\gateway.py",
        "index.html;x",
    ],
)


@pytest.mark.parametrize("path", [one for some in ODD for one in some])
async def test_t26_every_other_name_is_the_404_of_no_route(world, path):
    answer = await sent_as_it_is(world.app, f"/_pm/console/{path}".encode(), CHIEF)
    assert answer == await sent_as_it_is(world.app, b"/_pm/nothing", CHIEF)
    assert answer[0] == 404


async def test_another_method_is_refused_and_so_is_a_parameter(world):
    for path in ("/_pm/console", "/_pm/console/app.js"):
        for method in ("HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
            answer = await world.client.request(method, path)
            assert (answer.status_code, answer.headers["allow"]) == (405, "GET"), method
        assert (await world.client.get(path, params={"x": "1"})).status_code == 400


async def test_a_console_that_is_not_enabled_is_no_route_at_all(mongo_uri, tmp_path):
    config = a_config(tmp_path, CONFIG + "console: {enabled: false}\n")
    async with a_world(mongo_uri, config) as closed:
        nowhere = await closed.client.get("/_pm/nothing")
        for path in ("/_pm/console", "/_pm/console/app.js", "/_pm/console/index.html"):
            for method in ("GET", "POST"):
                answer = await closed.client.request(method, path)
                assert (answer.status_code, answer.json()) == (404, nowhere.json())
                assert "content-security-policy" not in answer.headers


def test_nothing_is_put_into_the_page_but_elements_and_texts():
    """Whatever would read a text as markup or as a program has no place in the console."""
    never = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|srcdoc|setHTML|DOMParser"
    for file in FOLDER.glob("*.js"):
        assert not re.search(never, file.read_text()), file.name
        assert not re.search(r"localStorage|sessionStorage|indexedDB|document\.cookie", file.read_text()), file.name
    page = (FOLDER / "index.html").read_text()
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\bstyle=|\bon\w+=|https?:", page)


def test_files_and_functions_of_the_console_are_short():
    for file in (*FOLDER.glob("*.js"), *FOLDER.glob("*.css")):
        lines = file.read_text().splitlines()
        assert len(lines) <= 400, file.name
        starts = [n for n, line in enumerate(lines) if re.match(r"(export )?(async )?function ", line)]
        for start in starts:
            end = next(n for n in range(start, len(lines)) if lines[n] == "}")
            assert end - start < 40, (file.name, lines[start])


# -- the matrix


async def test_the_matrix_is_for_who_may_read_the_policy_and_explain_it(world):
    for roles in ([], ["user"], ["half"], ["other"], ["heir"]):
        answer = await world.get("/_pm/policy/matrix", token=a_token(roles=roles))
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "forbidden"), roles
    for token in (CHIEF, a_token(roles=["half", "other"])):
        assert (await world.get("/_pm/policy/matrix", token=token)).status_code == 200
    assert (await world.client.get("/_pm/policy/matrix")).status_code == 401
    assert (await world.get("/_pm/policy/matrix?x=1", token=CHIEF)).status_code == 400


async def test_a_cell_says_how_much_and_by_which_rules(world):
    told = (await world.get("/_pm/policy/matrix", token=CHIEF)).json()
    cells = {(one["role"], one["collection"], one["action"]): one for one in told["cells"]}

    def said(role, action):
        one = cells.get((role, "notes", action))
        return one and (one["extent"], [(told["rules"][n]["role"], told["rules"][n]["effect"]) for n in one["rules"]])

    assert said("viewer", "read") == ("some", [("viewer", "allow")])
    assert said("user", "read") == ("some", [("viewer", "allow"), ("user", "allow")])
    assert said("user", "delete") == ("some", [("user", "allow"), ("user", "deny")])
    assert said("boss", "read")[0] == said("boss", "purge")[0] == "all"
    assert said("boss", "delete")[0] == "some", "what it inherits denies it too"
    assert said("clerk", "create") == ("some", [("clerk", "allow")])
    assert said("viewer", "delete") is None
    assert cells["chief", "notes", "update"]["extent"] == "all"


async def test_what_can_not_be_read_or_has_no_versions_is_none(mongo_uri, tmp_path):
    policy = "roles: {a: {system: [admin, explain]}}\npolicies: {notes: {a: {actions: [delete]}}, plain: {a: {actions: ['*']}}}"
    async with a_world(mongo_uri, a_config(tmp_path, policy=policy)) as world:
        told = (await world.get("/_pm/policy/matrix", token=a_token(roles=["a"]))).json()
        extents = {(one["collection"], one["action"]): one["extent"] for one in told["cells"]}
        assert extents["notes", "delete"] == extents["plain", "restore"] == "none"
        assert extents["plain", "delete"] == "all"


async def test_a_rule_has_its_place_its_words_its_filter_and_its_fields(world):
    told = (await world.get("/_pm/policy/matrix", token=CHIEF)).json()
    lines = GOVERNED.splitlines()
    own, denied = (one for one in told["rules"] if one["role"] == "user")
    assert "user.id" in lines[own["at"]["line"] - 1]
    assert (own["when"], own["fields"]) == ("resource.owner_id == user.id", {"mask": {"ssn": "last4"}})
    assert own["filter"]["owner_id"]["$eq"] == "<user.id>"
    assert denied["filter"]["status"]["$eq"] == "locked"
    assert {"name": "user", "tenant": "tenant_id", "roles": "roles"} | told["claims"] == told["claims"] | {
        "name": "user"
    }
