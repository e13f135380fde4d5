"""Warm functions: a page comes once a week, and then nobody waits for what has fallen asleep.

Lambda ends an environment that nothing came for in some minutes, and the next invocation starts one anew, which takes
most of a second on the way to the first ring. So the reconciler pings each function on the way every other minute: one
environment of each has started and has made its clients. A ping reads and writes nothing, and is answered before
anything looks at the event.
"""

import json
from collections.abc import Callable, Iterable
from functools import wraps
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger
from botocore.exceptions import BotoCoreError, ClientError

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient

logger = Logger(child=True)

PING = {"ping": True}  # whole: no gateway, state machine or schedule sends such an event

type Handler = Callable[[dict[str, Any], Any], Any]


def answers_pings(prepare: Callable[[], object]) -> Callable[[Handler], Handler]:
    """Has a handler answer pings. `prepare` makes what its first real event would wait for, but asks nobody."""

    def decorate(handler: Handler) -> Handler:
        @wraps(handler)
        def answer(event: dict[str, Any], context: Any) -> Any:
            if event != PING:
                return handler(event, context)
            prepare()
            return None

        return answer

    return decorate


def keep(client: "LambdaClient", functions: Iterable[str]) -> None:
    """Pings functions, beside us. One that cannot be pinged only starts later."""
    for function in functions:
        try:
            client.invoke(FunctionName=function, InvocationType="Event", Payload=json.dumps(PING))
        except (ClientError, BotoCoreError) as error:
            logger.warning("a function could not be kept warm", function=function, error=type(error).__name__)
