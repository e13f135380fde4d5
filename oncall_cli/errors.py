"""What can go wrong between the command and the stack, said so that a person can act on it."""

from collections.abc import Iterator
from contextlib import contextmanager


class CommandError(Exception):
    """The command cannot do what was asked; the message says why and what to do. It ends with exit status 1."""


@contextmanager
def aws_errors(what: str) -> Iterator[None]:
    """Turns botocore's exceptions into CommandError. `what` names the place, such as `table on-call in us-east-1`."""
    from botocore.exceptions import (
        BotoCoreError,
        ClientError,
        ConnectionError,  # noqa: A004  botocore's is the one that is raised
        HTTPClientError,
        NoCredentialsError,
        PartialCredentialsError,
        ProfileNotFound,
        SSOError,
        TokenRetrievalError,
    )

    try:
        yield
    except (NoCredentialsError, PartialCredentialsError) as error:
        raise CommandError(f"{what}: there are no AWS credentials: run aws configure, or give --profile") from error
    except ProfileNotFound as error:
        raise CommandError(f"{error}: see aws configure list-profiles") from error
    except (SSOError, TokenRetrievalError) as error:
        raise CommandError(f"{what}: {_EXPIRED}") from error
    except (ConnectionError, HTTPClientError) as error:
        raise CommandError(
            f"{what}: no answer: {error}. Is the region right (--region), and the network there?"
        ) from error
    except ClientError as error:
        code, message = error.response["Error"].get("Code", ""), error.response["Error"].get("Message", "")
        if code == "ValidationError" and "does not exist" in message:  # CloudFormation's, for a stack
            code = "ResourceNotFoundException"
        raise CommandError(f"{what}: {_ADVICE.get(code, f'{code}: {message}')}") from error
    except BotoCoreError as error:
        raise CommandError(f"{what}: {error}") from error


_EXPIRED = "the AWS credentials have expired: sign in again (aws sso login)"
_ADVICE = {
    "ResourceNotFoundException": (
        "does not exist: deploy the stack first, or look at --stack-name, --table, --region and --profile"
    ),
    "ExpiredToken": _EXPIRED,
    "ExpiredTokenException": _EXPIRED,
    "RequestExpired": _EXPIRED,
    "UnrecognizedClientException": "AWS does not know these credentials: look at --profile",
    "InvalidClientTokenId": "AWS does not know these credentials: look at --profile",
    "InvalidSignatureException": "AWS does not accept these credentials: look at the secret key and this machine's clock",
}
