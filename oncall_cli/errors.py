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
    )

    try:
        yield
    except (NoCredentialsError, PartialCredentialsError) as error:
        raise CommandError(f"{what}: there are no AWS credentials: run aws configure, or give --profile") from error
    except ProfileNotFound as error:
        raise CommandError(f"{error}: see aws configure list-profiles") from error
    except (ConnectionError, HTTPClientError) as error:
        raise CommandError(f"{what}: no answer: {error}") from error
    except ClientError as error:
        code, message = error.response["Error"].get("Code", ""), error.response["Error"].get("Message", "")
        raise CommandError(f"{what}: {_ADVICE.get(code, f'{code}: {message}')}") from error
    except BotoCoreError as error:
        raise CommandError(f"{what}: {error}") from error


_ADVICE = {
    "ResourceNotFoundException": "does not exist: deploy the stack first, or look at --table and --region",
    "ExpiredToken": "the AWS credentials have expired: sign in again (aws sso login)",
    "ExpiredTokenException": "the AWS credentials have expired: sign in again (aws sso login)",
    "UnrecognizedClientException": "AWS does not know these credentials: look at --profile",
    "InvalidClientTokenId": "AWS does not know these credentials: look at --profile",
    "InvalidSignatureException": "AWS does not accept these credentials: look at the secret key and this machine's clock",
}
