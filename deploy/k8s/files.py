"""What is generated: each file's path from deploy/k8s, and its text."""

from __future__ import annotations

from pathlib import Path

from deploy.k8s import (
    alerts,
    certificates,
    clickhouse,
    dashboards,
    grpc_tls,
    kafka,
    metric_schema,
    network,
    routes,
    rules,
    scaling,
    workloads,
)
from deploy.k8s.objects import Object, kustomization, text_of
from deploy.k8s.roles import City
from services.cli.domains import find_domains

FOLDER = Path(__file__).resolve().parent
# For the Prometheus of docker-compose.yml, which knows no custom resources.
PLAIN_RULES = "../compose/prometheus/rules.yml"
# Whole folders of what is generated: a file there that nobody makes any more is removed.
OWN_FOLDERS = ("base/services", "components/monitoring/dashboards", "components/rules/rules")


def files() -> dict[str, str]:
    """Every generated file of the city that this checkout declares."""
    city = City(find_domains())
    return {**_base(city), **_components(city), **_monitoring(city), **_rules(), **_dev(city)}


def _base(city: City) -> dict[str, str]:
    made = {f"{role.name}.yaml": workloads.workload(role) for role in city.roles}
    listed = {"kustomization.yaml": [kustomization(sorted(made))], **made}
    return {f"base/services/{name}": text_of(objects) for name, objects in listed.items()}


def _components(city: City) -> dict[str, str]:
    scaled, autoscalers = scaling.scaled_objects(city), scaling.autoscalers(city)
    return {
        "components/kafka-strimzi/topics.yaml": text_of(kafka.topics(city)),
        "components/kafka-strimzi/users.yaml": text_of(kafka.users(city)),
        "components/kafka-strimzi/certificates.yaml": text_of(kafka.certificates(city)),
        "components/kafka-strimzi/kustomization.yaml": _kafka_component(),
        "components/clickhouse-operator/users.yaml": text_of([clickhouse.installation(city)]),
        "components/clickhouse-operator/addresses.yaml": text_of(clickhouse.addresses(city)),
        "components/certificates/certificates.yaml": text_of(certificates.certificates(city)),
        "components/grpc-tls/patches.yaml": text_of(grpc_tls.patches(city)),
        "components/grpc-tls/policies.yaml": text_of(grpc_tls.policies(city)),
        "components/grpc-tls/kustomization.yaml": _grpc_component(),
        "components/keda/scaledobjects.yaml": text_of(scaled),
        "components/keda/kustomization.yaml": _scaling_component("scaledobjects.yaml", scaled, city),
        "components/hpa/autoscalers.yaml": text_of(autoscalers),
        "components/hpa/kustomization.yaml": _scaling_component("autoscalers.yaml", autoscalers, city),
        "components/network-policies/roles.yaml": text_of(network.policies(city)),
        "components/gateway/routes.yaml": text_of(routes.routes(city)),
    }


def _monitoring(city: City) -> dict[str, str]:
    folder = "components/monitoring"
    shown = dashboards.dashboard_files()
    component = {
        "apiVersion": "kustomize.config.k8s.io/v1alpha1",
        "kind": "Component",
        "resources": ["podmonitor.yaml", "rules.yaml"],
        # Grafana's sidecar takes what has this label.
        "configMapGenerator": [
            {
                "name": file.removesuffix(".json"),
                "files": [f"dashboards/{file}"],
                "options": {"labels": {"grafana_dashboard": "1"}, "disableNameSuffixHash": True},
            }
            for file in shown
        ],
    }
    rules = alerts.rule_object(city)
    return {
        f"{folder}/kustomization.yaml": text_of([component]),
        f"{folder}/rules.yaml": text_of([rules]),
        PLAIN_RULES: text_of([rules["spec"]]),
        f"{folder}/{alerts.RUNBOOK}": alerts.runbook(city),
        f"{folder}/METRICS.md": metric_schema.page(),
        **{f"{folder}/dashboards/{file}": text for file, text in shown.items()},
    }


def _dev(city: City) -> dict[str, str]:
    folder = "overlays/dev/clickhouse-users"
    return {
        f"{folder}/kustomization.yaml": text_of([clickhouse.dev_component(city)]),
        f"{folder}/addresses.yaml": text_of(clickhouse.addresses(city, tls=False)),
        f"{folder}/urban.xml": clickhouse.dev_users(city),
    }


def _rules() -> dict[str, str]:
    folder = "components/rules"
    texts = {f"rules/{name}": text for name, text in rules.shipped().items()}
    return {
        f"{folder}/kustomization.yaml": text_of([rules.component(sorted(texts))]),
        f"{folder}/mounts.yaml": text_of(rules.mounts()),
        **{f"{folder}/{name}": text for name, text in texts.items()},
    }


def _grpc_component() -> str:
    component = {
        **kustomization(["policies.yaml"]),
        "patches": [{"path": "patches.yaml"}, grpc_tls.gateway_patch()],
    }
    component |= {"apiVersion": "kustomize.config.k8s.io/v1alpha1", "kind": "Component"}
    return text_of([component])


def _kafka_component() -> str:
    settings = [f"URBAN_KAFKA={kafka.CLUSTER}-kafka-bootstrap:{kafka.PORT}"]
    component = {
        **kustomization(["kafka.yaml", "topics.yaml", "users.yaml"]),
        "configMapGenerator": [{"name": "urban-settings", "behavior": "merge", "literals": settings}],
        "patches": [{"path": "certificates.yaml"}],
    }
    component |= {"apiVersion": "kustomize.config.k8s.io/v1alpha1", "kind": "Component"}
    return text_of([component])


def _scaling_component(file: str, objects: list[Object], city: City) -> str:
    component = {**kustomization([file]), "patches": scaling.without_replicas(objects, city)}
    component |= {"apiVersion": "kustomize.config.k8s.io/v1alpha1", "kind": "Component"}
    return text_of([component])


def stale(made: dict[str, str]) -> list[str]:
    """Paths that differ from what is to be there, those that are not to be there among them."""
    differ = [path for path, text in made.items() if _read(path) != text]
    return differ + [path for path in _present() if path not in made]


def write(made: dict[str, str]) -> None:
    """Bring the folder up to date."""
    for path in stale(made):
        file = FOLDER / path
        if path in made:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(made[path], encoding="utf-8")
        else:
            file.unlink()


def _present() -> list[str]:
    found = [path for folder in OWN_FOLDERS for path in (FOLDER / folder).glob("*")]
    return sorted(path.relative_to(FOLDER).as_posix() for path in found)


def _read(path: str) -> str | None:
    file = FOLDER / path
    return file.read_text(encoding="utf-8") if file.is_file() else None
