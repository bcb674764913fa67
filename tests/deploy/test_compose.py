"""docker-compose.yml against the code: roles, settings, addresses, ports and data; nothing is started."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import Any

import pytest
import yaml

from deploy.k8s.alerts import alerts
from deploy.k8s.dashboards import dashboard_files
from deploy.k8s.metric_schema import TARGET_LABELS, schema
from deploy.k8s.roles import City
from deploy.local.kafka_config import NodePorts, node_properties
from deploy.local.kafka_jars import KAFKA_VERSION
from services.cli import city
from services.cli.addresses import from_document
from services.cli.domains import find_domains, service_names
from services.feeds.__main__ import read_arguments
from services.feeds.local_time import DAY_MS, local_midnight_ms
from services.feeds.unusual import UNUSUAL_DAY
from services.runtime.settings import Settings
from tests.deploy.compose import COMPOSE, ROOT, defaults, ours, read_compose, read_example, services, words_of
from tests.deploy.dockerfile import environment_of_image
from tests.deploy.roles import roles

# Facts of one process, which a file that may start several of them cannot say.
OF_ONE_PROCESS = {"URBAN_INSTANCE", "URBAN_STATIC_MEMBER", "URBAN_READY_FILE"}
# The composed city has one ClickHouse.
OF_A_CLUSTER = {
    "URBAN_CLICKHOUSE_CLUSTER",
    "URBAN_CLICKHOUSE_GRANTS",
    "URBAN_GRPC_TLS",
    "URBAN_KAFKA_TLS",
    "URBAN_PROBE_PORT",
}
# Read by the command `urban`, not by a service.
OF_THE_COMMAND = {"URBAN_SERVICES"}

PROMETHEUS = ROOT / "deploy" / "compose" / "prometheus"
LONG_RUNNING = [f"{service}-{role}" for service, role in roles()]


def _settings() -> dict[str, str]:
    """Default of every setting by the name of its variable."""
    prefix = Settings.model_config["env_prefix"]
    return {f"{prefix}{name}".upper(): field.default for name, field in Settings.model_fields.items()}


def _validated(values: dict[str, str]) -> Settings:
    fields = {name.removeprefix("URBAN_").lower(): value for name, value in values.items()}
    return Settings.model_validate(
        {name: json.loads(value) if value[:1] in ("[", "{") else value for name, value in fields.items()}
    )


def test_it_is_what_the_compose_specification_allows():
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(COMPOSE)]
    found = subprocess.run(command, capture_output=True, text=True)
    assert found.returncode == 0, found.stdout + found.stderr


def test_every_role_of_the_code_is_a_service_with_its_command():
    commands = {name: words_of(service) for name, service in ours().items() if name in LONG_RUNNING}
    assert commands == {f"{name}-{role}": ["python", "-m", f"services.{name}", role] for name, role in roles()}


def test_our_image_runs_nothing_else_but_views_feed_and_command():
    assert set(ours()) - set(LONG_RUNNING) == {"migrate", "feed", "urban"}


def test_every_service_of_ours_is_locked_down():
    for name, service in ours().items():
        assert service["read_only"], name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name


@pytest.mark.parametrize("name", [*LONG_RUNNING, "kafka", "clickhouse"])
def test_what_runs_for_long_is_started_again_and_has_time_to_stop(name):
    service = services()[name]
    assert service["restart"] == "unless-stopped"
    assert service["stop_grace_period"] == "60s"


def test_the_image_is_built_by_one_service_and_never_looked_for_elsewhere():
    """Compose builds in parallel, and two builds of one name fail where there is none yet: at the first start."""
    assert [name for name, service in services().items() if "build" in service] == ["migrate"]
    assert {service["pull_policy"] for service in ours().values()} == {"never"}
    assert "profiles" not in services()["migrate"], "it is a part of every start"


def test_nothing_waits_for_a_server_to_be_healthy():
    conditions = {
        condition["condition"]
        for service in services().values()
        for condition in service.get("depends_on", {}).values()
    }
    assert conditions == {"service_started"}
    assert [name for name, service in services().items() if "links" in service] == []


@pytest.mark.parametrize("name", sorted(ours()))
def test_a_service_is_stopped_before_the_servers_that_it_stores_in(name):
    """Compose stops what depends first; what is started for one command needs none of it."""
    assert set(services()[name]["depends_on"]) == (set() if name == "urban" else {"kafka", "clickhouse"})


def test_every_variable_of_a_service_is_a_setting():
    for name, service in ours().items():
        assert set(service["environment"]) - OF_THE_COMMAND <= set(_settings()), name
    assert set(environment_of_image()) <= set(_settings())


def test_every_setting_can_be_set_but_those_of_one_process_or_of_a_cluster():
    given = set(read_compose()["x-service"]["environment"]) | set(environment_of_image())
    assert set(_settings()) - given == OF_ONE_PROCESS | OF_A_CLUSTER


def test_every_setting_of_the_example_is_passed_on_and_valid():
    passed_on = {name for name, value in read_compose()["x-service"]["environment"].items() if value is None}
    told, commented = read_example(), read_example(commented=True)
    assert {name for name in told | commented if name.startswith("URBAN_")} == passed_on
    _validated({name: value for name, value in (told | commented).items() if name in passed_on})


def test_a_wrong_line_of_the_example_would_be_refused():
    with pytest.raises(ValueError, match="clock"):
        _validated({"URBAN_CLOCK": "sundial"})


def test_what_the_example_shows_as_a_comment_is_the_default():
    settings, variables = _settings(), defaults()
    for name, value in read_example(commented=True).items():
        if name in variables:
            assert value == variables[name], name
        elif isinstance(settings[name], (str, float)):
            assert type(settings[name])(value) == settings[name], name


def test_every_variable_of_the_file_is_in_the_example_and_the_reverse():
    told = read_example() | read_example(commented=True)
    # Compose itself reads this one.
    assert {name for name in told if not name.startswith("URBAN_")} - {"COMPOSE_PROFILES"} == set(defaults())


def test_the_example_is_the_city_of_urban_up():
    told = read_example()
    assert json.loads(told["URBAN_TIME_ZONES"]) == city.TIME_ZONES
    assert json.loads(told["URBAN_PROGRAMMES"]) == city.PROGRAMMES
    assert told["URBAN_CLOCK"] == "replay"
    assert "replay" in told["COMPOSE_PROFILES"].split(",")


def test_kafka_has_the_settings_of_the_embedded_one():
    embedded = node_properties(1, {1: NodePorts(9092, 9093)}, ROOT)
    given = {
        name.removeprefix("KAFKA_").replace("_", ".").lower(): value
        for name, value in services()["kafka"]["environment"].items()
        if name.startswith("KAFKA_")
    }
    of_this_place = "listener advertised quorum log.dirs heap".split()
    compared = {name: value for name, value in given.items() if not any(word in name for word in of_this_place)}
    assert compared == {name: embedded.get(name) for name in compared}
    assert {"message.max.bytes", "auto.create.topics.enable", "offsets.topic.replication.factor"} <= set(compared)


def test_kafka_and_clickhouse_are_the_versions_of_the_embedded_ones():
    assert services()["kafka"]["image"].rpartition(":")[2] == KAFKA_VERSION
    ask = "import chdb; print(chdb.query('SELECT version()', 'TabSeparatedRaw'))"
    version = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True).stdout
    assert services()["clickhouse"]["image"].rpartition(":")[2] == ".".join(version.split(".")[:2])


def test_the_manifests_of_kubernetes_name_the_same_versions():
    named = [
        image.removeprefix("docker.io/")
        for path in sorted((ROOT / "deploy" / "k8s").rglob("*.yaml"))
        for image in re.findall(r"image: (\S*(?:apache/kafka|clickhouse/clickhouse-server):\S+)", path.read_text())
    ]
    composed = {services()[name]["image"].removeprefix("docker.io/") for name in ("kafka", "clickhouse")}
    assert len(named) > 2
    assert set(named) == composed


def test_ports_are_published_once_and_on_loopback():
    published = [port.rpartition(":")[0] for service in services().values() for port in service.get("ports", [])]
    assert len(set(published)) == len(published)
    assert [port for port in published if not port.startswith("127.0.0.1:")] == []


@pytest.mark.parametrize("name", service_names())
def test_every_api_is_published_at_the_port_that_the_image_listens_on(name):
    (port,) = services()[f"{name}-api"]["ports"]
    assert port.rpartition(":")[2] == environment_of_image()["URBAN_GRPC_PORT"]


def test_every_volume_is_used_by_one_service_and_data_lie_in_one():
    mounts = [v.split(":") for service in services().values() for v in service.get("volumes", [])]
    named = [mount for mount in mounts if not mount[0].startswith(".")]
    assert sorted(source for source, *_ in named) == sorted(read_compose()["volumes"])
    assert ["kafka", services()["kafka"]["environment"]["KAFKA_LOG_DIRS"]] in named
    assert ["clickhouse", "/var/lib/clickhouse"] in named


def test_every_file_that_is_mounted_is_here():
    mounts = [v.split(":")[0] for service in services().values() for v in service.get("volumes", [])]
    assert [path for path in mounts if path.startswith(".") and not (ROOT / path).exists()] == []


def test_the_feed_is_told_where_its_services_are():
    module, *arguments = words_of(services()["feed"])[2:]
    given = read_arguments(arguments)
    port = environment_of_image()["URBAN_GRPC_PORT"]
    assert module == "services.feeds"
    assert (given.community, given.traffic) == (f"community-api:{port}", f"traffic-api:{port}")
    assert services()["feed"]["volumes"] == [f"feed:{given.position.parent}"]


def test_the_feed_ends_with_its_day():
    """The counts go on for a year: without an end, a replay at this speed would run for eight hours."""
    given = read_arguments(words_of(services()["feed"])[3:])
    assert given.until.timestamp() * 1000 == local_midnight_ms(UNUSUAL_DAY) + DAY_MS


def test_the_command_is_told_where_every_service_is():
    image, environment = environment_of_image(), services()["urban"]["environment"]
    told = {"kafka": environment["URBAN_KAFKA"], "clickhouse": environment["URBAN_CLICKHOUSE"]}
    addresses = from_document({**told, "services": json.loads(environment["URBAN_SERVICES"])})
    assert set(addresses.services) == set(service_names())
    for name, address in addresses.services.items():
        assert address.grpc == f"{name}-api:{image['URBAN_GRPC_PORT']}"
        assert address.metrics == f"http://{name}-processor:{image['URBAN_METRICS_PORT']}/metrics"


def _prometheus() -> dict[str, Any]:
    config: dict[str, Any] = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
    return config


def test_prometheus_asks_every_role_at_its_port():
    (job,) = _prometheus()["scrape_configs"]
    (found,) = job["dns_sd_configs"]
    assert found["names"] == sorted(found["names"], key=LONG_RUNNING.index) == LONG_RUNNING
    assert str(found["port"]) == environment_of_image()["URBAN_METRICS_PORT"]


def test_prometheus_gives_the_labels_that_alerts_and_dashboards_ask_for():
    (job,) = _prometheus()["scrape_configs"]
    given = {rule["target_label"] for rule in job["relabel_configs"]}
    assert given == {"service", "component", "pod"} <= TARGET_LABELS
    # A label of a target hides the metric's own one of that name.
    assert given & {label for metric in schema() for label in metric.labels} == set()


def test_prometheus_has_the_alerts_of_this_city():
    (file,) = _prometheus()["rule_files"]
    (group,) = yaml.safe_load((PROMETHEUS / file).read_text())["groups"]
    assert [rule["alert"] for rule in group["rules"]] == [alert.name for alert in alerts(City(find_domains()))]
    assert f"./{PROMETHEUS.relative_to(ROOT)}:/etc/prometheus:ro" in services()["prometheus"]["volumes"]


def test_grafana_has_the_dashboards_and_a_source_for_them():
    mounts = dict(volume.split(":")[:2] for volume in services()["grafana"]["volumes"])
    inside = {target: ROOT / source for source, target in mounts.items()}
    provisioning = "/etc/grafana/provisioning"
    (source,) = yaml.safe_load((inside[f"{provisioning}/datasources"] / "prometheus.yml").read_text())["datasources"]
    (pages,) = yaml.safe_load((inside[f"{provisioning}/dashboards"] / "urban-brain.yml").read_text())["providers"]
    assert source["type"] == "prometheus"
    assert source["url"] == f"http://prometheus:{services()['prometheus']['ports'][0].rpartition(':')[2]}"
    shown = inside[pages["options"]["path"]]
    assert {file.name for file in shown.iterdir()} == set(dashboard_files())
