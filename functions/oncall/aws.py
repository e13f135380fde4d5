"""AWS's clients, each made when it is first needed, and the secrets in SSM."""

import os
import time
from functools import cache
from typing import TYPE_CHECKING, Any

import botocore.session
from aws_lambda_powertools import Logger
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from oncall.errors import ConfigurationError

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient

logger = Logger(child=True)

# Shorter than any function's time limit, so that a function can still say what happened.
PATIENCE = Config(connect_timeout=2, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 3})
# For the functions somebody waits for on the phone or in Slack: they would rather ask for a moment.
HURRY = Config(connect_timeout=1, read_timeout=2, retries={"mode": "standard", "total_max_attempts": 2})
# For what is asked while Slack waits, in its three seconds, a cold start of ours among them.
GLANCE = Config(connect_timeout=1, read_timeout=1.5, retries={"mode": "standard", "total_max_attempts": 1})

_LARGEST = 65_536  # bytes that are fetched

SECRET_SECONDS = 300  # how long a secret is kept before SSM is asked again
FRESH_SECONDS = 10  # how often at the most SSM is asked because a secret did not fit


_session = cache(botocore.session.get_session)  # without boto3, which loads a fifth more before the first ring


@cache
def client(service: str, config: Config = PATIENCE) -> Any:
    """The one client of a service, as boto3 makes them too. Made when it is first needed."""
    return _session().create_client(service, config=config)


def fetch(address: str) -> bytes:
    """What is at an https address of AWS's that takes no signature. Redirects are not followed.

    Raises LookupError if AWS has nothing there, OSError for what may pass. AWS_ENDPOINT_URL stands for AWS, as for its clients.
    """
    # Only who is told of a topic of SNS needs these: they read the certificates of all authorities.
    from http.client import HTTPException  # noqa: PLC0415
    from urllib.error import HTTPError  # noqa: PLC0415
    from urllib.parse import urlsplit  # noqa: PLC0415
    from urllib.request import Request  # noqa: PLC0415

    from oncall.redirects import open_unfollowed  # noqa: PLC0415

    parts = urlsplit(address)
    endpoint = os.environ.get("AWS_ENDPOINT_URL", f"https://{parts.netloc}")
    query = f"?{parts.query}" if parts.query else ""
    try:
        with open_unfollowed(Request(f"{endpoint}{parts.path}{query}"), timeout=5) as answer:  # noqa: S310  https
            return answer.read(_LARGEST)
    except HTTPError as error:
        with error:
            if error.code < 500 and error.code != 429:
                raise LookupError(f"AWS answers {error.code}") from error
            raise
    except HTTPException as error:
        raise OSError(f"AWS answers in half: {type(error).__name__}") from error


_secrets: dict[str, tuple[str, float]] = {}


def secret(setting: str, *, fresh: bool = False) -> str:
    """The secret in the SSM parameter that the environment variable `setting` names.

    `fresh` asks SSM again unless it was asked in the last ten seconds: for a secret that did not fit.
    Raises ConfigurationError if there is no such parameter or it is empty.
    """
    return secrets(setting, fresh=fresh)[0]


def secrets(*names: str, fresh: bool = False) -> list[str]:
    """Several secrets in one request to SSM; see `secret`."""
    parameters = {setting: os.environ.get(setting, "") for setting in names}
    now = time.monotonic()
    age = FRESH_SECONDS if fresh else SECRET_SECONDS
    wanted = [name for name in parameters.values() if name not in _secrets or now - _secrets[name][1] > age]
    if wanted:
        ssm: SSMClient = client("ssm")
        try:
            found = ssm.get_parameters(Names=wanted, WithDecryption=True)
        except (ClientError, BotoCoreError):
            if fresh or any(name not in _secrets for name in parameters.values()):
                raise  # what did not fit may be right by now: that must not be told from the old one
            logger.warning("SSM does not answer: the secrets as they were last", parameters=wanted)
            return [_secrets[name][0] for name in parameters.values()]
        for parameter in found["Parameters"]:
            _secrets[parameter["Name"]] = (parameter["Value"].strip(), now)
        missing = [name for name in found["InvalidParameters"] if name in wanted]
        if missing:
            raise ConfigurationError(
                f"SSM has no parameter {', '.join(missing)}: store the secret there "
                "(aws ssm put-parameter --type SecureString)"
            )
    values = [_secrets[name][0] for name in parameters.values()]
    if not all(values):
        raise ConfigurationError(f"one of the SSM parameters {', '.join(parameters.values())} is empty")
    return values
