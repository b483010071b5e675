"""The samples of the Go gateway's pages load as they stand; what it means to ignore a key is told, and what is not there is refused."""

import shutil
from pathlib import Path

import pytest

from permission_mongo.config.load import load_config
from permission_mongo.errors import Misconfigured

GO = Path(__file__).parent / "go"
PAGE = (Path(__file__).parents[2] / "docs" / "coming-from-go.md").read_text()
ENVIRONMENT = {"JWT_SECRET": "0123456789abcdef0123456789abcdef", "MONGODB_URI": "mongodb://db:27017/?replicaSet=rs0"}


def a_folder(tmp_path: Path, *names: str, **changed: str) -> Path:
    for name in names:
        shutil.copy(GO / name, tmp_path / name)
    for name, text in changed.items():
        (tmp_path / f"{name}.yml").write_text(text)
    return tmp_path


def refused(folder: Path) -> list[str]:
    with pytest.raises(Misconfigured) as caught:
        load_config(folder, ENVIRONMENT)
    return [str(finding) for finding in caught.value.findings if not finding.warning]


@pytest.mark.parametrize("config", ["config.yaml", "server.yml"])
def test_the_published_samples_load_as_they_stand(tmp_path, config):
    loaded = load_config(a_folder(tmp_path, config, "schema.yml", "policy.yml", "hooks.yml"), ENVIRONMENT)
    assert set(loaded.collections) == {"users", "documents"}
    assert set(loaded.hooks) == {"documents"}
    assert set(loaded.policy.roles) == {"viewer", "user", "manager", "admin"}
    assert loaded.auth.secret == ENVIRONMENT["JWT_SECRET"]
    assert loaded.collections["documents"].owner_field == "created_by"


def test_each_key_that_does_nothing_here_is_a_warning_at_its_place(tmp_path):
    warnings = [
        str(one)
        for one in load_config(a_folder(tmp_path, "config.yaml", "schema.yml", "policy.yml"), ENVIRONMENT).warnings
    ]
    keys = [
        "server.read_timeout",
        "redis",
        "audit.batch_size",
        "audit.flush_interval",
    ]
    keys += [
        "audit.buffer_size",
        "audit.storage",
        "cache",
        "versioning",
        "scalability.max_batch_size",
        "scalability.max_aggregation_stages",
    ]
    for key in keys:
        assert [one for one in warnings if f"'{key}'" in one and one.startswith("config.yaml:")], key
        assert f"`{key}`" in PAGE or f"`{key}.*`" in PAGE, key


def test_the_quickstarts_spelling_is_told_too(tmp_path):
    warnings = "\n".join(
        map(str, load_config(a_folder(tmp_path, "server.yml", "schema.yml", "policy.yml"), ENVIRONMENT).warnings)
    )
    for told in (
        "server.yml: warning: is read as config.yaml",
        "'auth.jwt_secret' is read as 'auth.secret'",
        "'auth.token_expiry'",
        "'audit.collection'",
    ):
        assert told in warnings


def test_limits_keep_their_values_under_their_go_names(tmp_path):
    loaded = load_config(a_folder(tmp_path, "config.yaml", "schema.yml", "policy.yml"), ENVIRONMENT)
    assert (loaded.limits.max_batch_size, loaded.limits.max_result_size) == (500, 5000)
    assert loaded.mongodb.database == "app"


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            "scalability: {max_batch_size: 5}\nlimits: {max_batch_size: 6}",
            "config.yml:1:31: stands beside 'limits.max_batch_size'",
        ),
        (
            "auth: {secret: '0123456789abcdef0123456789abcdef', jwt_secret: '0123456789abcdef0123456789abcdef'}",
            "stands beside 'auth.secret'",
        ),
        ("auth: {jwt_secret: short}", "needs at least 32 bytes"),
        ("scalability: {max_batch_size: many}", "a whole number"),
        ("scalability: {max_batchsize: 5}", "unknown key 'max_batchsize'"),
        ("audit: {storage: webhook}", "'audit.storage' is one of mongodb"),
    ],
)
def test_what_a_go_key_would_promise_and_is_not_kept_is_refused(tmp_path, config, message):
    found = refused(a_folder(tmp_path, "schema.yml", "policy.yml", config=config))
    assert any(message in line for line in found), found


def test_reporting_lines_are_taken_over(tmp_path):
    schema = (GO / "schema.yml").read_text()
    schema = schema.replace(
        "  users:\n    fields:\n",
        "  users:\n    hierarchy: {user_id_field: _id, manager_field: manager_id}\n    fields:\n",
    )
    policy = (GO / "policy.yml").read_text().replace("in user.roles", "in user.$subordinates")
    loaded = load_config(a_folder(tmp_path, "config.yaml", schema=schema, policy=policy), ENVIRONMENT)
    assert [one.hierarchy.manager_field for one in loaded.collections.values() if one.hierarchy] == ["manager_id"]
    assert loaded.policy.relations == {"$subordinates"}


def test_hooks_may_be_rooted_in_collections(tmp_path):
    """The pages have it both ways."""
    hooks = (GO / "hooks.yml").read_text().replace("hooks:", "collections:")
    loaded = load_config(a_folder(tmp_path, "config.yaml", "schema.yml", "policy.yml", hooks=hooks), ENVIRONMENT)
    assert set(loaded.hooks) == {"documents"}
    assert any("'collections' is read as 'hooks'" in str(one) for one in loaded.warnings)


def test_how_versions_are_kept_is_taken_over(tmp_path):
    schema = (GO / "schema.yml").read_text()
    schema = schema.replace("mode: full", "mode: diff\n      max_versions: 50\n      retention_days: 90")
    loaded = load_config(a_folder(tmp_path, "config.yaml", "policy.yml", schema=schema), ENVIRONMENT)
    kept = [one.keeping for one in loaded.collections.values() if one.versioned]
    assert kept
    assert {(one.differences, one.most, one.days, one.deleted_days) for one in kept} == {(True, 50, 90, 365)}


def test_every_go_key_of_the_samples_stands_on_the_page():
    for key in (
        "redis",
        "cache",
        "versioning",
        "scalability.max_result_size",
        "auth.jwt_secret",
        "auth.token_expiry",
        "audit.collection",
        "server.yml",
    ):
        assert f"`{key}" in PAGE, key
