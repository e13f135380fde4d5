"""What of the functions' dependencies is left out of the artifact, because no function ever loads it.

A smaller artifact is fetched and unpacked faster at a cold start; what is left out here is two thirds of it.
tests/devstack/test_artifact.py proves that nothing is missing.
"""

import shutil
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

# The services of AWS that functions call; botocore has data of some four hundred.
CALLED = frozenset({"cloudwatch", "dynamodb", "lambda", "sns", "ssm", "stepfunctions"})


@dataclass(frozen=True, slots=True)
class Part:
    """Files and folders that match `pattern`, except those called `kept`, and why nobody misses them."""

    pattern: str
    why: str
    kept: frozenset[str] = frozenset()


LEFT_OUT = (
    Part("botocore/data/*/", "botocore's data of services that no function calls", CALLED),
    # Request and response are in service-2; nobody pages by, waits for or documents anything of the others.
    Part("botocore/data/*/*/examples-1*", "botocore's examples"),
    Part("botocore/data/*/*/waiters-2*", "botocore's waiters: no function waits for a resource"),
    *(
        Part(name, "asynchronous clients of Twilio and Slack: functions call one thing at a time")
        for name in (
            *("aiohttp", "aiohttp_retry", "aiosignal", "aiohappyeyeballs", "attr", "attrs", "frozenlist", "multidict"),
            *("propcache", "yarl", "twilio/http/async_http_client.py", "slack_sdk/**/async_*.py"),
        )
    ),
    Part("twilio/rest/*/", "Twilio's products other than calls and messages", frozenset({"api"})),
    *(Part(name, "tokens and task routing of Twilio's") for name in ("jwt", "twilio/jwt")),
    *(
        Part(f"slack_sdk/{name}", "interfaces of Slack's other than the Web API")
        for name in ("audit_logs", "oauth", "rtm", "rtm_v2", "scim", "socket_mode", "aiohttp_version_checker.py")
    ),
    Part("slack", "slack_sdk under its old name"),
    *(
        Part(f"aws_lambda_powertools/{name}", "parts of Powertools other than Logger, Metrics and Tracer")
        for name in (
            *("event_handler", "middleware_factory", "utilities/auth_alpha", "utilities/batch"),
            *(
                "utilities/circuit_breaker",
                "utilities/data_masking",
                "utilities/feature_flags",
                "utilities/idempotency",
            ),
            *("utilities/kafka", "utilities/parameters", "utilities/parser", "utilities/streaming"),
            *("utilities/validation",),
        )
    ),
    *(Part(name, "tests of packages") for name in ("**/tests", "**/test")),
    *(Part(name, "stubs and type information") for name in ("*-stubs", "**/*.pyi", "**/py.typed")),
)


def leave_out(folder: Path) -> Counter[str]:
    """Removes from an unpacked artifact what nobody loads. Returns how many bytes that were for each reason."""
    freed: Counter[str] = Counter()
    for part in LEFT_OUT:
        for path in sorted(folder.glob(part.pattern)):
            if path.name in part.kept or not path.exists():
                continue
            files = [path] if path.is_file() else [each for each in path.rglob("*") if each.is_file()]
            freed[part.why] += sum(each.stat().st_size for each in files)
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
    return freed
