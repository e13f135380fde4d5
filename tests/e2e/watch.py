"""The real Prometheus, blackbox exporter and a pair of Alertmanagers, watching what a test breaks, and telling a system.

The programs are the test's own, so that it can kill them. Durations are the devstack's (devstack/monitoring.py).
"""

import ipaddress
import json
import os
import ssl
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from werkzeug.serving import make_server

from devstack.shared.serve import TETHER, QuietRequestHandler, free_port
from devstack.system.exporters import create_app as create_exporters
from devstack.system.monitoring import Command, render
from tests.devstack_fixture import wait_until
from tests.e2e.story import SOON, Night, Story, readable

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

JOBS = ("url", "ec2", "opensearch", "elasticsearch")
PORTS = ("prometheus", "alertmanager", "alertmanager_2", "gossip", "gossip_2", "blackbox_exporter")


@contextmanager
def served(app: "WSGIApplication", certificate: tuple[str, str] | None = None) -> Iterator[str]:
    """The address of `app`, served from a thread; over TLS with a certificate and its key."""
    context = None
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
    server = make_server("127.0.0.1", 0, app, threaded=True, ssl_context=context, request_handler=QuietRequestHandler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"{'https' if certificate else 'http'}://127.0.0.1:{server.port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Authority:
    """Whom the exporter trusts, and nobody else."""

    def __init__(self, folder: Path):
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Authority of the tests")])
        builder = self._certificate(self._name, self._key, days=3650).add_extension(
            x509.BasicConstraints(ca=True, path_length=0), critical=True
        )
        self.file = folder / "authority.pem"
        self.file.write_bytes(builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))

    def signs(self, days: float) -> tuple[str, str]:
        """The files of a certificate for 127.0.0.1 that ends in so many days (less than 0: it has ended), and of its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
        address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
        certificate = self._certificate(name, key, days).add_extension(address, critical=False)
        file = self._folder / f"{days}.pem"
        file.write_bytes(certificate.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
        key_file = self._folder / f"{days}.key"
        key_file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return str(file), str(key_file)

    def _certificate(self, name: x509.Name, key: ec.EllipticCurvePrivateKey, days: float) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return x509.CertificateBuilder(
            issuer_name=self._name,
            subject_name=name,
            public_key=key.public_key(),
            serial_number=x509.random_serial_number(),
            not_valid_before=now - timedelta(days=90),
            not_valid_after=now + timedelta(days=days),
        )


class Watch:
    """The running programs, and the system that they tell."""

    def __init__(self, night: Night, folder: Path, exporters: str, site: str, authority: Authority):
        self.night = night
        self.authority = authority
        self._exporters = exporters
        ports = {name: free_port() for name in PORTS} | {"exporters": int(exporters.rpartition(":")[2])}
        endpoints = night.system.endpoints
        commands = render(
            folder,
            gateway_url=endpoints["gateway"],
            bearer_tokens=(endpoints["bearer_token"], endpoints["heartbeat_token"]),
            site_url=site,
            ports=ports,
            aws_url=endpoints["aws"],
            region=endpoints["region"],
            topic=night.system.outputs()["FallbackTopicArn"],
            jobs=JOBS,
        )
        self.prometheus = f"http://127.0.0.1:{ports['prometheus']}"
        self.folder = folder / "prometheus"
        self._logs = folder
        self._commands: dict[str, Command] = {command.name: command for command in commands}
        self._environment = {**os.environ, "SSL_CERT_FILE": str(authority.file)}
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, *names: str) -> None:
        """Start these programs, or all, and wait until they are ready."""
        for name in names or self._commands:
            with (self._logs / f"{name}.log").open("ab") as log:
                self._running[name] = subprocess.Popen(  # noqa: S603 - what the devstack runs
                    [*TETHER, *self._commands[name].argv], env=self._environment, stdout=log, stderr=log
                )
        for name in names or self._commands:
            wait_until(lambda url=self._commands[name].ready_url: _answers(url), SOON, f"{name} being ready")  # type: ignore[misc]

    def kill(self, *names: str) -> None:
        """These programs, or all, die at once."""
        for name in names or [*self._running]:
            process = self._running.pop(name)
            process.kill()
            process.wait()

    def targets(self, story: Story, *urls: str, **labels: str) -> Path:
        """A product's file says that these URLs are watched."""
        file = self.folder / "targets" / f"{story.name}.yml"
        file.write_text(json.dumps([{"targets": urls, "labels": {"product": story.name, **labels}}]))
        return file

    def exporters_say(self, wrong: Mapping[str, Any]) -> None:
        """What is wrong, by the exporters (devstack/exporters.py)."""
        requests.put(f"{self._exporters}/_sim/metrics", json=wrong, timeout=10).raise_for_status()

    def value(self, query: str) -> float | None:
        """What Prometheus answers, if it is one series."""
        answer = requests.get(f"{self.prometheus}/api/v1/query", params={"query": query}, timeout=10).json()
        result = answer["data"]["result"]
        return float(result[0]["value"][1]) if len(result) == 1 else None

    def firing(self, alert: str, **labels: str) -> bool:
        """Whether Prometheus fires an alert with these labels."""
        found = requests.get(f"{self.prometheus}/api/v1/alerts", timeout=10).json()["data"]["alerts"]
        wanted = {"alertname": alert, **labels}.items()
        return any(each["labels"].items() >= wanted and each["state"] == "firing" for each in found)

    def scraped(self, job: str) -> list[dict[str, str]]:
        """The labels of a job's targets that answer."""
        found = requests.get(f"{self.prometheus}/api/v1/targets", timeout=10).json()["data"]["activeTargets"]
        return [one["labels"] for one in found if one["scrapePool"] == job and one["health"] == "up"]

    def heartbeats(self) -> int:
        """How many heartbeats the gateway has counted."""
        return sum(
            each["action"] == "monitoring:PutMetricData" and each["status"] == 200
            for each in self.night.system.requests_to_aws()
        )

    def slack_says(self, words: str, channel: str, timeout: float = SOON) -> dict[str, Any]:
        """Waits for a message with these words in a channel."""

        def said() -> dict[str, Any] | None:
            return next((one for one in self.night.system.messages(channel) if words in readable(one)), None)

        return wait_until(said, timeout, f"{words!r} in Slack")


@contextmanager
def watching(night: Night, folder: Path, site: "WSGIApplication", product: str) -> Iterator[Watch]:
    """The programs, started and at last ended. `product` has the search domain."""
    authority = Authority(folder)
    with ExitStack() as stack:
        exporters = stack.enter_context(served(create_exporters(product)))
        address = stack.enter_context(served(site))
        watch = Watch(night, folder, exporters, address, authority)
        stack.callback(watch.kill)
        watch.start()
        yield watch


def _answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=5).ok
    except requests.ConnectionError:
        return False
