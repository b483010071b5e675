"""What an operator starts from: each file is well-formed, and says of the gateway what is so."""

import os
import re
import shutil
import subprocess
import sys
import threading
import tomllib
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

from permission_mongo import __version__
from permission_mongo.api.routes import ROUTES
from permission_mongo.config.environment import FromFiles
from permission_mongo.config.load import load_config
from permission_mongo.errors import Misconfigured
from permission_mongo.trials.load import load_tested
from tests.deploy.test_audit import KEPT, audit

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
SECRETS = {"AUTH_SECRET": "a" * 32, "SERVER_SECRET": "b" * 32, "MONGODB_URI": "mongodb://a,b,c/?replicaSet=rs0"}
CONFIG = load_config(DEPLOY / "config", SECRETS)
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
KUBERNETES = {
    path.name: list(yaml.safe_load_all(path.read_text())) for path in sorted((DEPLOY / "kubernetes").glob("*.yaml"))
}
DEPLOYMENT = KUBERNETES["deployment.yaml"][0]["spec"]
POD = DEPLOYMENT["template"]["spec"]
GATEWAY = POD["containers"][0]
LIKE_SECRETS = {f"{name}_FILE" for name in SECRETS}


# -- the configuration


def test_the_configuration_is_taken_with_its_policy_tests_and_without_a_warning():
    config = load_tested(DEPLOY / "config", SECRETS)
    assert config.warnings == ()
    assert config.tests is not None
    assert not config.mongodb.is_embedded


@pytest.mark.parametrize("name", SECRETS)
def test_without_one_of_its_secrets_nothing_starts(name):
    with pytest.raises(Misconfigured, match=f"the environment has no {name}"):
        load_config(DEPLOY / "config", {one: text for one, text in SECRETS.items() if one != name})


@pytest.mark.parametrize("name", ["schema.yml", "policy.yml", "policy_tests.yml"])
def test_what_is_served_is_the_example_that_is_shipped(name):
    """But for the first line, which says where the editor finds the schema."""
    assert (DEPLOY / "config" / name).read_text().split("\n", 1)[1] == (ROOT / "config" / name).read_text().split(
        "\n", 1
    )[1]


def test_the_secret_that_is_shown_as_an_example_starts_nothing(tmp_path):
    (shown,) = KUBERNETES["secret.example.yaml"]
    environment = {}
    for key, text in shown["stringData"].items():
        (tmp_path / key).write_text(text)
        environment[f"{key.upper()}_FILE"] = str(tmp_path / key)
    assert set(environment) == LIKE_SECRETS
    with pytest.raises(Misconfigured, match="at least 32 bytes"):
        load_config(DEPLOY / "config", FromFiles(environment))


# -- the image


def instructions(word: str) -> list[str]:
    return re.findall(rf"^{word} (.*)$", DOCKERFILE, re.MULTILINE)


def test_the_image_is_of_two_stages_its_base_is_named_and_it_runs_as_nobody():
    assert [one.split(" AS ")[0] for one in instructions("FROM")] == ["${BASE}", "${BASE}"]
    assert re.fullmatch(r"BASE=python:3\.\d+\.\d+-slim-\w+", instructions("ARG")[0])
    last = DOCKERFILE.rsplit("\nFROM", 1)[1]
    assert "COPY --from=build /opt/gateway /opt/gateway" in last
    assert not re.search(r"\b(curl|apt-get|pip install)\b", last)
    assert instructions("USER") == ["65532:65532"]
    assert instructions("ENTRYPOINT") == ['["permission-mongo"]']
    assert instructions("CMD") == ['["serve", "--config", "/etc/permission-mongo"]']


def test_the_image_listens_where_the_configuration_says_and_its_health_is_asked_there():
    assert instructions("EXPOSE") == [f"{CONFIG.server.port} {CONFIG.metrics.port}"]
    assert f"SERVER_PORT={CONFIG.server.port}" in DOCKERFILE
    check = re.search(r'CMD \["python", "-c", "(.*)"\]', DOCKERFILE)
    compile(check[1], "HEALTHCHECK", "exec")
    assert "'GET', '/health'" in check[1]


def test_what_the_image_copies_is_there_and_let_through_by_its_ignore_file():
    copied = {name for line in instructions("COPY") if not line.startswith("--from") for name in line.split()[:-1]}
    ignore = (DEPLOY / "Dockerfile.dockerignore").read_text().split("\n")
    assert ignore[1] == "*"
    assert {f"!{name}" for name in copied} <= set(ignore)
    assert all((ROOT / name).exists() for name in copied)


def pinned(name: str) -> dict[str, str]:
    text = (DEPLOY / name).read_text()
    entries = re.findall(r"^([\w.-]+)==([\w.]+)(.*?)(?=^\S|\Z)", text, re.MULTILINE | re.DOTALL)
    assert all("--hash=sha256:" in more for _, _, more in entries)
    return {package: version for package, version, _ in entries}


def test_the_packages_of_the_image_are_those_that_the_project_asks_for_without_an_advisory():
    found = pinned("requirements.txt")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for requirement in map(Requirement, [*project["dependencies"], *project["optional-dependencies"]["tracing"]]):
        assert requirement.specifier.contains(found[audit.canonicalize_name(requirement.name)]), requirement
    versions = {name: audit.Version(version) for name, version in {**found, **pinned("build-requirements.txt")}.items()}
    assert audit.told(KEPT, versions, []) == []


# -- compose


def test_compose_has_three_members_with_a_key_and_hands_secrets_over_as_files():
    services = COMPOSE["services"]
    members = [name for name, one in services.items() if "--replSet" in one.get("command", [])]
    assert members == ["mongo1", "mongo2", "mongo3"]
    assert all("--keyFile" in services[name]["command"] for name in members)
    gateway = services["gateway"]
    assert set(gateway["environment"]) == LIKE_SECRETS
    for path in gateway["environment"].values():
        assert Path(path).name in gateway["secrets"]
    for service in services.values():
        assert set(service.get("secrets", ())) <= set(COMPOSE["secrets"])
        assert all((DEPLOY / one.split(":")[0]).exists() for one in service.get("volumes", ()) if one.startswith("."))
    assert gateway["read_only"]
    assert gateway["ports"] == [f"127.0.0.1:{CONFIG.server.port}:{CONFIG.server.port}"]
    assert gateway["image"].endswith(f":{__version__}")
    assert int(gateway["stop_grace_period"].rstrip("s")) > CONFIG.server.shutdown_timeout


def test_the_secrets_are_made_once_and_are_long_enough(tmp_path):
    shutil.copy(DEPLOY / "secrets.sh", tmp_path)

    def made():
        subprocess.run(["sh", str(tmp_path / "secrets.sh")], check=True, timeout=30)
        return {path.name: path.read_text() for path in (tmp_path / "secrets").iterdir()}

    first = made()
    assert {Path(one["file"]).name for one in COMPOSE["secrets"].values()} == set(first)
    assert made() == first
    files = {name: str(tmp_path / "secrets" / name.removesuffix("_FILE").lower()) for name in LIKE_SECRETS}
    config = load_config(DEPLOY / "config", FromFiles(files))
    assert first["mongodb_gateway_password"].strip() in config.mongodb.uri
    assert config.auth.secret == first["auth_secret"].strip()


# -- systemd


def unit() -> dict[str, dict[str, list[str]]]:
    found: dict[str, dict[str, list[str]]] = {}
    section: dict[str, list[str]] = {}
    for line in (DEPLOY / "permission-mongo.service").read_text().splitlines():
        if line.startswith("["):
            section = found.setdefault(line.strip("[]"), {})
        elif line and not line.startswith("#"):
            key, _, text = line.partition("=")
            section.setdefault(key, []).append(text)
    return found


def test_the_service_is_confined_and_given_time_to_end():
    service = unit()["Service"]
    for key in ("DynamicUser", "NoNewPrivileges", "PrivateTmp", "PrivateDevices", "RestrictNamespaces"):
        assert service[key] == ["yes"]
    assert service["ProtectSystem"] == ["strict"]
    assert service["KillSignal"] == ["SIGTERM"]
    assert service["ExecReload"] == ["/bin/kill -HUP $MAINPID"]
    assert int(service["TimeoutStopSec"][0].rstrip("s")) > CONFIG.server.shutdown_timeout
    given = {name for line in service["Environment"] for name in re.findall(r"(\w+)=", line)}
    assert given == LIKE_SECRETS | {"PYTHONDONTWRITEBYTECODE"}
    credentials = {line.split(":")[0] for line in service["LoadCredential"]}
    assert credentials == {name.removesuffix("_FILE").lower() for name in LIKE_SECRETS}


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd-analyze here")
def test_systemd_finds_no_fault_with_the_service(tmp_path):
    text = (
        (DEPLOY / "permission-mongo.service")
        .read_text()
        .replace("/opt/permission-mongo/bin/permission-mongo", "/bin/true")
    )
    (tmp_path / "permission-mongo.service").write_text(text)
    command = ["systemd-analyze", "verify", str(tmp_path / "permission-mongo.service")]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert (ended.returncode, ended.stderr) == (0, "")


# -- Kubernetes


def test_each_manifest_is_listed_and_has_a_kind_and_a_name():
    (listed,) = KUBERNETES["kustomization.yaml"]
    assert set(listed["resources"]) == set(KUBERNETES) - {"kustomization.yaml", "secret.example.yaml"} | {"../config"}
    assert listed["images"] == [{"name": GATEWAY["image"], "newTag": __version__}]
    for name, documents in KUBERNETES.items():
        for one in documents:
            assert one["apiVersion"], name
            assert one["kind"], name
    kinds = {one["kind"] for documents in KUBERNETES.values() for one in documents}
    assert kinds == {
        *("Kustomization", "Deployment", "Service", "PodDisruptionBudget", "HorizontalPodAutoscaler"),
        *("NetworkPolicy", "Secret"),
    }


def test_the_configmap_holds_the_files_of_the_configuration_and_no_other():
    listed = yaml.safe_load((DEPLOY / "config/kustomization.yaml").read_text())["configMapGenerator"][0]
    there = {path.name for path in (DEPLOY / "config").iterdir()} - {"kustomization.yaml"}
    assert set(listed["files"]) == there
    volumes = {one["name"]: one for one in POD["volumes"]}
    assert volumes["config"]["configMap"]["name"] == listed["name"]
    assert volumes["secrets"]["secret"]["secretName"] == KUBERNETES["secret.example.yaml"][0]["metadata"]["name"]


def test_the_ports_are_those_of_the_configuration():
    ports = {one["name"]: one["containerPort"] for one in GATEWAY["ports"]}
    assert ports == {"http": CONFIG.server.port, "metrics": CONFIG.metrics.port}
    targets = [port["targetPort"] for service in KUBERNETES["service.yaml"] for port in service["spec"]["ports"]]
    assert targets == ["http", "metrics"]
    (network,) = KUBERNETES["network.yaml"]
    assert [port["port"] for rule in network["spec"]["ingress"] for port in rule["ports"]] == ["http", "metrics"]


@pytest.mark.parametrize(
    ("probe", "path"), [("startupProbe", "/health"), ("livenessProbe", "/health"), ("readinessProbe", "/ready")]
)
def test_the_probes_ask_routes_that_there_are(probe, path):
    asked = GATEWAY[probe]["httpGet"]
    assert (asked["path"], asked["port"]) == (path, "http")
    assert ("GET", path) in {(method, route) for method, route, _ in ROUTES}


def test_a_pod_has_the_time_to_finish_what_it_was_asked():
    (sleep, seconds) = GATEWAY["lifecycle"]["preStop"]["exec"]["command"]
    assert sleep == "sleep"
    assert POD["terminationGracePeriodSeconds"] >= int(seconds) + CONFIG.server.shutdown_timeout + 5


def test_a_pod_is_nobody_and_writes_nothing():
    assert POD["securityContext"]["runAsUser"] == int(instructions("USER")[0].split(":")[0])
    assert POD["securityContext"]["runAsNonRoot"]
    own = GATEWAY["securityContext"]
    assert own["readOnlyRootFilesystem"]
    assert not own["allowPrivilegeEscalation"]
    assert own["capabilities"] == {"drop": ["ALL"]}
    assert not POD["automountServiceAccountToken"]
    assert {one["mountPath"] for one in GATEWAY["volumeMounts"] if not one.get("readOnly")} == {"/tmp"}


def test_a_pod_is_given_its_secrets_as_the_files_that_are_mounted():
    mounted = next(one["mountPath"] for one in GATEWAY["volumeMounts"] if one["name"] == "secrets")
    keys = KUBERNETES["secret.example.yaml"][0]["stringData"]
    assert {one["name"]: one["value"] for one in GATEWAY["env"]} == {
        f"{key.upper()}_FILE": f"{mounted}/{key}" for key in keys
    }


def test_what_chooses_pods_chooses_those_of_the_deployment():
    labels = DEPLOYMENT["template"]["metadata"]["labels"]
    (budget,), (scaler,), (network,) = (
        KUBERNETES[name] for name in ("disruption.yaml", "autoscaler.yaml", "network.yaml")
    )
    selectors = [service["spec"]["selector"] for service in KUBERNETES["service.yaml"]]
    selectors += [budget["spec"]["selector"]["matchLabels"], network["spec"]["podSelector"]["matchLabels"]]
    selectors += [DEPLOYMENT["selector"]["matchLabels"]]
    assert all(one == labels for one in selectors)
    assert scaler["spec"]["scaleTargetRef"]["name"] == KUBERNETES["deployment.yaml"][0]["metadata"]["name"]
    assert budget["spec"]["minAvailable"] < DEPLOYMENT["replicas"] <= scaler["spec"]["minReplicas"]


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="there is no kubectl here")
def test_kustomize_builds_it_with_the_configmap_that_the_pods_mount():
    command = ["kubectl", "kustomize", str(DEPLOY / "kubernetes")]
    built = list(yaml.safe_load_all(subprocess.run(command, capture_output=True, check=True, timeout=60).stdout))
    by_kind = {one["kind"]: one for one in built}
    volumes = {one["name"]: one for one in by_kind["Deployment"]["spec"]["template"]["spec"]["volumes"]}
    assert volumes["config"]["configMap"]["name"] == by_kind["ConfigMap"]["metadata"]["name"]
    assert by_kind["ConfigMap"]["data"]["policy.yml"] == (DEPLOY / "config/policy.yml").read_text()
    assert "Secret" not in by_kind


@pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 1)])
def test_the_health_check_of_the_image_tells_a_gateway_that_answers_from_one_that_does_not(status, code):
    class Gateway(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status if self.path == "/health" else 404)
            self.end_headers()

        def log_message(self, *words):
            pass

    script = re.search(r'CMD \["python", "-c", "(.*)"\]', DOCKERFILE)[1]
    with HTTPServer(("127.0.0.1", 0), Gateway) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        environment = {**os.environ, "SERVER_PORT": str(server.server_port)}
        asked = subprocess.run([sys.executable, "-c", script], env=environment, timeout=30, check=False)
    assert asked.returncode == code
