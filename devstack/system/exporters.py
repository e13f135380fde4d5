"""The exporters of what this machine has not: node_exporter on EC2 instances, YACE, the Elasticsearch exporter.

`GET /ec2/{instance id}`, `/opensearch`, `/elasticsearch`: metrics in Prometheus' text format, with nothing wrong, until
`PUT /_sim/metrics {"ec2/i-0abc": {"node_memory_MemAvailable_bytes": 2e8}, "opensearch": null}` says otherwise: other values of
series, or null for an exporter that does not answer. Of a counter the value is what it grows by in a second.
What is not named is well again; GET shows what was put.
"""

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Mapping
from threading import Lock
from typing import TYPE_CHECKING, Any

from werkzeug.wrappers import Request, Response

from devstack.shared.serve import serve

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

_DISK = '{device="/dev/nvme0n1p1",fstype="ext4",mountpoint="/"}'
_DOMAIN = '{dimension_DomainName="logs",tag_product="PRODUCT"}'
_NODE = '{cluster="logs",name="node-1"}'

# What they say of a good day, as far as the bundled alerts read it.
_GOOD: Mapping[str, Mapping[str, float]] = {
    "ec2": {
        'node_cpu_seconds_total{cpu="0",mode="idle"}': 0.9,
        "node_memory_MemAvailable_bytes": 4e9,
        "node_memory_MemTotal_bytes": 8e9,
        f"node_filesystem_avail_bytes{_DISK}": 50e9,
        f"node_filesystem_size_bytes{_DISK}": 100e9,
        f"node_filesystem_readonly{_DISK}": 0,
        f"node_filesystem_files_free{_DISK}": 5e6,
        f"node_filesystem_files{_DISK}": 6e6,
    },
    "opensearch": {
        f"aws_es_cpuutilization_maximum{_DOMAIN}": 30,
        f"aws_es_jvmmemory_pressure_maximum{_DOMAIN}": 50,
        f"aws_es_free_storage_space_minimum{_DOMAIN}": 90_000,  # MB
        f"aws_es_cluster_status_red_maximum{_DOMAIN}": 0,
        f"aws_es_cluster_status_yellow_maximum{_DOMAIN}": 0,
        f"aws_es_cluster_index_writes_blocked_maximum{_DOMAIN}": 0,
        f"aws_es_threadpool_write_rejected_maximum{_DOMAIN}": 0,
        f"aws_es_automated_snapshot_failure_maximum{_DOMAIN}": 0,
    },
    "elasticsearch": {
        "elasticsearch_cluster_health_up": 1,
        f"elasticsearch_os_cpu_percent{_NODE}": 30,
        'elasticsearch_jvm_memory_used_bytes{area="heap",cluster="logs",name="node-1"}': 2e9,
        'elasticsearch_jvm_memory_max_bytes{area="heap",cluster="logs",name="node-1"}': 4e9,
        f"elasticsearch_filesystem_data_available_bytes{_NODE}": 50e9,
        f"elasticsearch_filesystem_data_size_bytes{_NODE}": 100e9,
        'elasticsearch_cluster_health_status{cluster="logs",color="red"}': 0,
        'elasticsearch_cluster_health_status{cluster="logs",color="yellow"}': 0,
        'elasticsearch_thread_pool_rejected_count{cluster="logs",name="node-1",type="write"}': 0,
    },
}
_COUNTERS = (
    "node_cpu_seconds_total",
    "aws_es_threadpool_write_rejected_maximum",
    "elasticsearch_thread_pool_rejected_count",
)


class _Exporters:
    """What each exporter says."""

    def __init__(self, product: str) -> None:
        self._product = product
        self._lock = Lock()
        self.wrong: Mapping[str, Mapping[str, float] | None] = {}
        self._counted: dict[tuple[str, str], float] = defaultdict(float)
        self._asked_at: dict[str, float] = {}

    def text(self, path: str) -> str | None:
        """The metrics of one exporter; None for one that does not answer. Raises KeyError if there is none."""
        good = _GOOD[path.partition("/")[0]]
        with self._lock:
            wrong = self.wrong.get(path, {})
            if wrong is None:
                return None
            now = time.monotonic()
            seconds = now - self._asked_at.get(path, now)
            self._asked_at[path] = now
            lines = []
            for series, value in {**good, **_named(good, wrong)}.items():
                if series.startswith(_COUNTERS):
                    self._counted[path, series] += value * seconds
                    value = self._counted[path, series]  # noqa: PLW2901 - a counter's is its sum
                lines.append(f"{series.replace('PRODUCT', self._product)} {value}\n")
        return "".join(lines)

    def put(self, wanted: Any) -> None:
        """Raises ValueError for what no exporter says."""
        if not isinstance(wanted, dict):
            raise ValueError("an object of exporters is expected")  # noqa: TRY004 - the request's fault, as the others
        for path, wrong in wanted.items():
            kind, _, instance = path.partition("/")
            if kind not in _GOOD or bool(instance) != (kind == "ec2"):
                raise ValueError(f"there is no exporter {path}: ec2/INSTANCE, opensearch, elasticsearch")
            if wrong is not None:
                _named(_GOOD[kind], wrong)
        with self._lock:
            self.wrong = wanted


def _named(good: Mapping[str, float], wrong: Mapping[str, float]) -> dict[str, float]:
    """The series that are meant, which may be called by their metric alone. Raises ValueError for others."""
    found: dict[str, float] = {}
    for name, value in wrong.items():
        meant = [series for series in good if series == name or series.partition("{")[0] == name]
        if not meant or type(value) not in (int, float):
            raise ValueError(f"{name}: there is no such metric, or its value is no number")
        found |= dict.fromkeys(meant, value)
    return found


def create_app(product: str = "product-a") -> "WSGIApplication":
    """The exporters of all that there is, in one place. `product` is the search domain's tag."""
    exporters = _Exporters(product)

    @Request.application
    def app(request: Request) -> Response:
        path = request.path.strip("/")
        if path == "_sim/metrics":
            if request.method == "PUT":
                try:
                    exporters.put(json.loads(request.get_data() or b"null"))
                except ValueError as error:
                    return _json({"error": str(error)}, 400)
            return _json(exporters.wrong)
        try:
            text = exporters.text(path)
        except KeyError:
            return Response("There is no such exporter.\n", status=404)
        return Response("Gone.\n", 503) if text is None else Response(text, content_type="text/plain; version=0.0.4")

    return app


def _json(body: Any, status: int = 200) -> Response:
    return Response(json.dumps(body), status=status, mimetype="application/json")


def main() -> None:
    """Serve them until told to end."""
    parser = argparse.ArgumentParser(prog="python -m devstack.system.exporters", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0: any free one")
    serve(create_app(), parser.parse_args().port)


if __name__ == "__main__":
    main()
