"""A configuration is taken whole or refused with every mistake, each at its place."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from permission_mongo.cli.main import main
from permission_mongo.config.load import load_config
from permission_mongo.config.yaml import read_yaml
from permission_mongo.documents.paths import canonical
from permission_mongo.errors import Misconfigured
from permission_mongo.policy.rules import ACTIONS, EVERY_ACTION

CONFIG = "auth: {secret: '0123456789012345678901234567890123456789'}\n"
SCHEMA = """
settings: {id_type: string, default_tenant_field: tenant_id}
collections:
  notes:
    versioning: {enabled: true}
    fields:
      tenant_id: {type: string}
      owner_id: {type: string}
      title: {type: string, required: true}
      pay: {type: object, properties: {month: {type: number}}}
      tags: {type: array, items: {type: string}}
      at: {type: date}
"""
POLICY = """
roles: {user: {}, boss: {inherits: [user]}}
policies:
  notes:
    user: {actions: [read], when: "resource.owner_id == user.id"}
"""


def load(tmp_path: Path, config=CONFIG, schema=SCHEMA, policy=POLICY, **environment):
    for name, text in (("config.yaml", config), ("schema.yml", schema), ("policy.yml", policy)):
        if text is not None:
            (tmp_path / name).write_text(text)
    return load_config(tmp_path, environment)


def mistakes(tmp_path: Path, **files) -> list[str]:
    with pytest.raises(Misconfigured) as caught:
        load(tmp_path, **files)
    return [str(finding) for finding in caught.value.findings if not finding.warning]


def test_the_shipped_configuration_is_fine():
    config = load_config(Path(__file__).parents[2] / "config", {})
    assert set(config.collections) == {"documents", "users", "orders"}
    assert config.warnings == ()


def test_a_configuration_is_read_into_types(tmp_path):
    config = load(tmp_path)
    notes = config.collections["notes"]
    assert (notes.tenant_field, notes.versioned, notes.id_type, notes.client_ids) == (
        "tenant_id",
        True,
        "string",
        False,
    )
    assert notes.kind_of("pay.month") == "number"
    assert notes.kind_of("tags") == "string"
    assert [rule.role for rule in config.policy.rules.values()] == ["user"]
    assert config.policy.rules["notes/user/0"].place.line == 5


@pytest.mark.parametrize(
    ("changed", "place", "message"),
    [
        # yaml
        ({"config": "a: 1\na: 2"}, "config.yaml:2:1", "'a' stands here twice; first at line 1"),
        ({"config": "auth: [1"}, "config.yaml:2:1", "while parsing a flow sequence that begins at line 1"),
        ({"config": "- 1"}, "config.yaml:1:1", "expected keys and values"),
        ({"config": "server: {host: !!python/object:os.system x}"}, "config.yaml:1:16", "tag"),
        ({"config": "server: {host: '${ENV.NOT_THERE}'}"}, "config.yaml:1:16", "the environment has no NOT_THERE"),
        # config.yaml
        ({"config": "servers: {}"}, "config.yaml:1:1", "unknown key 'servers'; did you mean 'server'?"),
        ({"config": "server: {port: no}"}, "config.yaml:1:16", "a whole number from 0 to 65535"),
        ({"config": "server: {port: 8080.0}"}, "config.yaml:1:16", "a whole number"),
        ({"config": "limits: {query_timeout: 1:30}"}, "config.yaml:1:25", "a duration such as 500ms"),
        ({"config": "limits: {max_body_bytes: 1MB}"}, "config.yaml:1:26", "a size such as"),
        ({"config": "limits: {max_document_bytes: 17MiB}"}, "config.yaml:1:30", "at most 16 MiB - 64 KiB"),
        ({"config": "limits: {max_body_bytes: 41MiB}"}, "config.yaml:1:26", "at most 40 MiB"),
        ({"config": "limits: {rate: {per_principal: 100}}"}, "config.yaml:1:32", "a rate such as 100/s"),
        ({"config": "limits: {rate: {per_principal: 0/s}}"}, "config.yaml:1:32", "a rate such as 100/s"),
        ({"config": "limits: {rate: {per_address: 2000000/s}}"}, "config.yaml:1:30", "at most 1000000/s"),
        ({"config": "limits: {rate: {per_adress: 1/s}}"}, "config.yaml:1:17", "did you mean 'per_address'?"),
        ({"config": "limits: {rate: 100/s}"}, "config.yaml:1:16", "expects keys and values"),
        ({"config": "limits: {rate: {burst: 1s}}"}, "config.yaml:1:16", "neither 'per_principal' nor 'per_address'"),
        ({"config": "limits: {rate: {per_address: 1/h}}"}, "config.yaml:1:30", "never lets a request through"),
        ({"config": "limits: {max_transaction_bytes: 48MiB}"}, "config.yaml:1:33", "at most 40 MiB"),
        ({"config": "mongodb: {uri: localhost}"}, "config.yaml:1:16", "begins with mongodb://"),
        ({"config": "mongodb: {database: admin}"}, "config.yaml:1:21", "can't be the database"),
        ({"config": "auth: {algorithm: HS265}"}, "config.yaml:1:19", "did you mean 'HS256'"),
        ({"config": "auth: {algorithm: [HS256, RS256]}"}, "config.yaml:1:27", "two families"),
        ({"config": "auth: {algorithm: none}"}, "config.yaml:1:19", "unknown algorithm 'none'"),
        ({"config": "auth: {secret: short}"}, "config.yaml:1:16", "at least 32 bytes"),
        ({"config": "server: {previous_secrets: ['']}"}, "config.yaml:1:29", "a list of texts"),
        (
            {"config": f"server: {{secret: {'a' * 32}, previous_secrets: short}}"},
            "config.yaml:1:70",
            "at least 32 bytes",
        ),
        (
            {"config": f"server: {{secret: {'a' * 32}, previous_secrets: [{'b' * 32}, {'a' * 32}]}}"},
            "config.yaml:1:105",
            "given twice",
        ),
        ({"config": f"server: {{previous_secrets: {'b' * 32}}}"}, "config.yaml:1:28", "without the present one"),
        (
            {"config": f"server: {{secret: {'a' * 32}, previous_secrets: {[str(n) * 32 for n in range(9)]}}}"},
            "config.yaml:1:70",
            "at most 8",
        ),
        ({"config": "auth: {algorithm: RS256}"}, "config.yaml:1:19", "'public_key_file' or 'jwks_file'"),
        ({"config": "auth: {public_key: x}"}, "config.yaml:1:7", "not a public key"),
        ({"config": "auth: {jwks_file: nowhere.json}"}, "config.yaml:1:19", "there is no file nowhere.json"),
        ({"config": "namespaces: {a: {}}"}, "config.yaml:1:17", "'' can't be the database of documents"),
        ({"config": "namespaces: {default: {database: x}}"}, "config.yaml:1:23", "and not 'default'"),
        ({"config": "namespaces: {a: {database: Permission_Mongo}}"}, "config.yaml:1:28", "of the namespace 'default'"),
        (
            {"config": "doors: [firebase]"},
            "config.yaml:1:9",
            "no door of this version; there is atlas_data_api, mixpeek, moorcheh",
        ),
        ({"config": "doors: atlas_dataapi"}, "config.yaml:1:8", "did you mean 'atlas_data_api'"),
        (
            {"config": "doors: [atlas_data_api]", "schema": SCHEMA + "  app: {fields: {tenant_id: {type: string}}}"},
            "schema.yml:13:3",
            "'app' is taken by the door 'atlas_data_api'",
        ),
        (
            {"config": "doors: [moorcheh]", "schema": SCHEMA + "  search: {fields: {tenant_id: {type: string}}}"},
            "schema.yml:13:3",
            "'search' is taken by the door 'moorcheh'",
        ),
        # schema.yml
        ({"schema": SCHEMA + "  health: {fields: {tenant_id: {type: string}}}"}, "schema.yml:13:11", "reserved"),
        (
            {"schema": SCHEMA + "  system.js: {fields: {tenant_id: {type: string}}}"},
            "schema.yml:13:14",
            "begin with a letter",
        ),
        ({"schema": SCHEMA + "  other: {fields: {}}"}, "schema.yml:13:10", "say `access: {tenant_field: null}`"),
        ({"schema": SCHEMA + "      a.b: {type: string}"}, "schema.yml:13:12", "can't hold '.'"),
        ({"schema": SCHEMA + "      _version: {type: string}"}, "schema.yml:13:17", "the gateway's own"),
        ({"schema": SCHEMA + "      x: {type: strng}"}, "schema.yml:13:17", "did you mean 'string'"),
        ({"schema": SCHEMA + "      x: {type: string, min: 1}"}, "schema.yml:13:30", "'min' is for number"),
        ({"schema": SCHEMA + "      x: {type: string, pattern: '('}"}, "schema.yml:13:34", "not a regular expression"),
        ({"schema": SCHEMA + "      x: {type: integer, default: soon}"}, "schema.yml:13:35", "expected a number"),
        ({"schema": SCHEMA + "      x: {type: string, enum: [a], default: b}"}, "schema.yml:13:45", "is none of a"),
        ({"schema": SCHEMA + "      x: {type: string, computed: {}}"}, "schema.yml:13:35", "expected one operator"),
        ({"schema": SCHEMA + "    indexes: [{fields: [titel]}]"}, "schema.yml:13:25", "did you mean 'title'"),
        (
            {"schema": SCHEMA + "    indexes: [{fields: [title], unique: true}]"},
            "schema.yml:13:41",
            "tells one tenant of another",
        ),
        ({"schema": "settings: {id_type: objectID}"}, "schema.yml:1:21", "did you mean 'objectId'"),
        # policy.yml
        (
            {"policy": POLICY + "    usr: {actions: [read]}"},
            "policy.yml:6:5",
            "unknown role 'usr'; did you mean 'user'?",
        ),
        (
            {"policy": POLICY.replace("notes", "note")},
            "policy.yml:4:3",
            "unknown collection 'note'; did you mean 'notes'?",
        ),
        ({"policy": POLICY.replace("[read]", "[raed]")}, "policy.yml:5:22", "did you mean 'read'"),
        (
            {"policy": POLICY.replace("actions", "actons")},
            "policy.yml:5:12",
            "unknown key 'actons', ".replace(", ", "; did you mean 'actions'?"),
        ),
        (
            {"policy": POLICY.replace("owner_id", "owner")},
            "policy.yml:5:36",
            "has no field 'owner'; did you mean 'owner_id'?",
        ),
        ({"policy": POLICY.replace("== user", "= user")}, "policy.yml:5:54", "did you mean '=='"),
        ({"policy": POLICY.replace("owner_id == user.id", "at > 'soon'")}, "policy.yml:5:36", "is of type date"),
        ({"policy": POLICY.replace("user.id", "user.$subordinates")}, "policy.yml:5:57", "needs a hierarchy"),
        ({"policy": POLICY + "    boss: {actions: [read], effect: Deny}"}, "policy.yml:6:37", "did you mean 'deny'"),
        (
            {"policy": POLICY + "    boss: {actions: [read], effect: deny, check: 'true'}"},
            "policy.yml:6:50",
            "a deny rule has no 'check'",
        ),
        (
            {"policy": POLICY + "    boss: {actions: [read], effect: deny, fields: []}"},
            "policy.yml:6:51",
            "names at least one field",
        ),
        (
            {"policy": POLICY + "    boss: {actions: [read], fields: {allow: []}}"},
            "policy.yml:6:45",
            "names at least one field",
        ),
        (
            {"policy": POLICY + "    boss: {actions: [read], fields: {deny: [salary]}}"},
            "policy.yml:6:45",
            "has no field 'salary'",
        ),
        ({"policy": POLICY + "    boss: {actions: [read], fields: {deny: [pay]}}"}, "policy.yml:6:11", "is void"),
        (
            {"policy": POLICY + "    boss: {actions: [read], fields: {allow: [tags.0]}}"},
            "policy.yml:6:46",
            "no positions",
        ),
        (
            {"policy": POLICY + "    boss: {actions: [read], fields: {mask: {pay: hidden}}}"},
            "policy.yml:6:50",
            "is one of",
        ),
        (
            {"policy": "roles: {a: {inherits: [b]}, b: {inherits: [a]}}"},
            "policy.yml:1:9",
            "inherits itself: a -> b -> a",
        ),
        ({"policy": "roles: {a: {system: [root]}}"}, "policy.yml:1:22", "unknown right 'root'"),
        ({"policy": None}, "policy.yml", "not found"),
    ],
)
def test_a_mistake_is_named_with_its_place_and_what_would_be_right(tmp_path, changed, place, message):
    found = mistakes(tmp_path, **changed)
    assert any(line.startswith(place + ":") and message in line for line in found), found


def test_all_mistakes_of_all_files_are_told_at_once(tmp_path):
    found = mistakes(
        tmp_path,
        config="server: {port: no, hots: x}",
        schema=SCHEMA.replace("date", "dat"),
        policy=POLICY.replace("read", "raed").replace("user.id", "user.$boss"),
    )
    assert [line.split(":")[0] for line in found] == ["config.yaml"] * 2 + ["policy.yml"] * 2 + ["schema.yml"]


def test_t31_aliases_that_explode_and_deep_nesting_are_refused():
    bomb = "a: &a [1,1,1,1,1,1,1,1,1,1]\n" + "".join(
        f"{chr(98 + n)}: &{chr(98 + n)} [{','.join(['*' + chr(97 + n)] * 10)}]\n" for n in range(8)
    )
    assert "too large" in str(read_yaml(bomb, "x")[1][0])
    assert "nested too deep" in str(read_yaml("a: " + "[" * 60 + "]" * 60, "x")[1][0])
    # So deep that libyaml would end the process by its recursion.
    for deep in ("[" * 1_000_000, "{a: " * 300_000, "- " * 500_000, "\n".join(f"{' ' * n}a:" for n in range(1_500))):
        assert "nested too deep" in str(read_yaml(deep, "x")[1][0])
    assert read_yaml("a: &a [*a]", "x")[1]
    assert read_yaml("x: '" + "y" * 5_000_000 + "'", "x")[1]


@pytest.mark.parametrize(
    ("changed", "place"),
    [
        ({"policy": POLICY + "    user: {actions: [delete]}\n"}, "policy.yml:6:5"),
        ({"policy": POLICY + "policies: {}\n"}, "policy.yml:6:1"),
        ({"policy": POLICY.replace("actions: [read]", "actions: [read], actions: [delete]")}, "policy.yml:5:29"),
        ({"policy": POLICY + '    "user": {actions: [delete]}\n'}, "policy.yml:6:5"),
        ({"schema": SCHEMA + "      title: {type: integer}\n"}, "schema.yml:13:7"),
        ({"config": CONFIG + "auth: {secret: '" + "y" * 32 + "'}\n"}, "config.yaml:"),
    ],
)
def test_t31_what_stands_twice_is_refused_and_never_the_last_taken(tmp_path, changed, place):
    """A rule, a field or a secret would vanish without a word."""
    found = mistakes(tmp_path, **changed)
    assert any(line.startswith(place) and "stands here twice" in line for line in found), found


def test_t31_only_plain_values_are_made_of_a_file():
    tags = (
        "!!python/object/apply:os.system [x]",
        "!!python/name:os.system",
        "!!binary eA==",
        "!x 1",
        "!!set {b}",
        "!x {b: 1}",
    )
    for tagged in tags:
        _, findings = read_yaml(f"a: {tagged}", "x")
        assert [one for one in findings if "is not taken here" in one.message], tagged
    for text in ("? [a]\n: 1", "a: 1\n---\nb: 2"):
        assert read_yaml(text, "x")[1], text
    assert set(read_yaml("<<: {a: 1}\nb: 2", "x")[0].entries) == {"<<", "b"}, "nothing is merged in"


def test_t34_an_empty_policy_is_one_that_allows_nothing(tmp_path):
    for text in ("", "roles: {user: {}}", "roles: {user: {}}\npolicies: {}", "roles: {}\npolicies: {notes: {}}"):
        config = load(tmp_path, policy=text)
        assert config.policy.rules == {}
        for roles in ({"user"}, {"*"}, {""}, {"admin", "root"}, set()):
            assert config.policy.engine.speaking(frozenset(roles), "notes", "read") == ()


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        ("user: {actions: [raed]}", "did you mean 'read'"),
        ("user: {actions: [READ]}", "READ"),
        ("user: {actions: ['']}", "actions"),
        ("user: {actions: [read, '**']}", "**"),
        ("usr: {actions: [read]}", "unknown role 'usr'"),
        ("'*': {actions: [read]}", "unknown role '*'"),
        ("user: {actions: [read], effect: Deny}", "did you mean 'deny'"),
        ("user: {actions: [read], effect: permit}", "is one of allow, deny"),
        ("user: {actions: [read], effect: ''}", "effect"),
        ("user: {effect: deny}", "actions"),
    ],
)
def test_t34_an_unknown_action_role_or_effect_is_no_policy(tmp_path, rule, told):
    """Passed over, a deny would be none."""
    found = mistakes(tmp_path, policy=f"roles: {{user: {{}}}}\npolicies:\n  notes:\n    {rule}\n")
    assert any(told in line for line in found), found


@pytest.mark.parametrize(
    "name",
    [
        "system.js",
        "system.users",
        "_pm_keys",
        "_pm_versions",
        "$cmd",
        "a.b",
        "a b",
        "..",
        "a/b",
        "''",
        "admin\\x",
        '"a\\0b"',
        "n\u0302otes",
    ],
)
def test_t26_a_collection_of_the_servers_or_the_gateways_can_not_be_declared(tmp_path, name):
    assert mistakes(tmp_path, schema=SCHEMA + f"  {name}: {{fields: {{tenant_id: {{type: string}}}}}}\n")


def test_t31_words_and_times_of_old_yaml_are_text():
    tree, findings = read_yaml("a: no\nb: 1:30\nc: 2026-01-31\nd: 0o7\ne: true\nf: 010", "x")
    assert not findings
    assert [node.value for node in tree.entries.values()] == ["no", "1:30", "2026-01-31", "0o7", True, 10]


def test_variables_are_filled_in_and_typed_like_what_is_written(tmp_path):
    config = load(tmp_path, config=CONFIG + "server:\n  port: ${ENV.P}\n  workers: ${ENV.W:-3}\n", P="9000")
    assert (config.server.port, config.server.workers) == (9000, 3)


def test_the_environment_goes_before_the_file(tmp_path):
    config = load(tmp_path, SERVER_PORT="9001", SERVER_HOST="0.0.0.0", MONGODB_URI="mongodb://db/?replicaSet=r")
    assert (config.server.port, config.server.host, config.mongodb.is_embedded) == (9001, "0.0.0.0", False)


def test_a_star_is_all_actions_but_purge(tmp_path):
    config = load(tmp_path, policy=POLICY.replace("[read]", "['*']"))
    assert config.policy.rules["notes/user/0"].actions == EVERY_ACTION
    assert set(ACTIONS) - set(EVERY_ACTION) == {"purge"}


def test_templates_and_defaults_are_joined_as_further_rules(tmp_path):
    policy = POLICY + "    use: [own]\ntemplates: {own: {boss: {actions: [delete]}}}\ndefaults: {deny_fields: [pay]}\n"
    config = load(tmp_path, policy=policy)
    assert config.policy.rules["notes/own:boss/0"].actions == ("delete",)
    hidden = config.policy.speaking(frozenset({"boss"}), "notes", "read").hides
    assert {path for rule in hidden for path in rule.hidden} == {canonical("pay")}


def test_two_stamps_for_one_field_are_an_error(tmp_path):
    policy = POLICY + "    boss: [{actions: [create], set: {title: a}}, {actions: [create], set: {title: b}}]"
    assert any("'set' of title has another value" in line for line in mistakes(tmp_path, policy=policy))


def test_secrets_never_show_in_a_repr(tmp_path):
    """T32"""
    config = load(tmp_path, config=CONFIG + "mongodb: {uri: 'mongodb://u:canary@h/'}\n")
    assert "canary" not in repr(config)
    assert "0123456789" not in repr(config)


@settings(max_examples=150, deadline=None)
@given(st.text(alphabet="abcdefghijkmnoprstuvxy:{}[]-'\"\n &*!|>#0123456789.$", max_size=120))
def test_any_text_as_policy_is_loaded_or_refused_and_never_breaks(tmp_path_factory, text):
    try:
        config = load(tmp_path_factory.mktemp("any"), policy=text)
    except Misconfigured as error:
        assert error.findings
    else:
        assert config.policy.rules == {}


def test_check_prints_the_places_and_exits_with_1(tmp_path, capsys):
    mistakes(tmp_path, policy=POLICY.replace("[read]", "[raed]"))
    assert main(["check", str(tmp_path)]) == 1
    told = capsys.readouterr().out
    assert "policy.yml:5:22: unknown action 'raed'; did you mean 'read'? [unknown-action]" in told
    assert main(["check", "--json", str(tmp_path)]) == 1
    assert '"line":5' in capsys.readouterr().out
    assert main(["check", str(Path(__file__).parents[2] / "config")]) == 0


def test_a_folder_that_is_not_there_is_said_so(tmp_path, capsys):
    assert main(["check", str(tmp_path / "nowhere")]) == 2
    assert "not found" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("stamp", "message"),
    [
        ("pay.month: 5", "names a top-level field"),
        ("owner_id: usr.id", "did you mean 'user'"),
        ("owner_id: $user.id", "unknown name '$user'"),
        ("owner_id: user.$boss", "unknown relation"),
    ],
)
def test_t24_a_stamp_that_would_not_say_what_it_reads_like_is_refused(tmp_path, stamp, message):
    policy = POLICY + "    boss: {actions: [create], set: {" + stamp + "}}"
    assert any(message in line for line in mistakes(tmp_path, policy=policy))


@pytest.mark.parametrize(
    "versioning",
    [
        "mode: other",
        "max_versions: 0",
        "max_versions: -1",
        "max_versions: many",
        "retention_days: 0",
        "deleted_days: 0",
        "days: 3",
    ],
)
def test_how_versions_are_kept_is_checked(tmp_path, versioning):
    schema = "collections: {notes: {access: {owner_field: null}, fields: {title: {type: string}}, versioning: {%s}}}\n"
    (tmp_path / "schema.yml").write_text(schema % versioning)
    (tmp_path / "policy.yml").write_text("roles: {user: {}}\npolicies: {notes: {user: {actions: [read]}}}\n")
    (tmp_path / "config.yaml").write_text("auth: {secret: '0123456789abcdef0123456789abcdef'}\n")
    with pytest.raises(Misconfigured) as caught:
        load_config(tmp_path, {})
    assert any(versioning.split(":")[0] in str(one) for one in caught.value.findings)


@pytest.mark.parametrize(("written", "each"), [("100/s", 100.0), ("600/m", 10.0), ("1800 / h", 0.5), ("0.5/s", 0.5)])
def test_a_rate_is_so_many_a_second(tmp_path, written, each):
    rate = load(tmp_path, config=f"limits: {{max_batch_size: 3, rate: {{per_principal: {written}}}}}").limits.rate
    assert (rate.per_principal, rate.per_address, rate.burst) == (each, None, 10.0)


def test_a_rate_that_lets_no_largest_batch_through_is_worth_a_warning(tmp_path):
    config = load(tmp_path, config="limits: {max_batch_size: 50, rate: {per_principal: 4/s, per_address: 5/s}}")
    assert [str(one) for one in config.warnings] == [
        "config.yaml:1:52: warning: 'limits.rate.per_principal' lets at most 40 items through at once,"
        " and no batch of 'max_batch_size' (50)"
    ]
