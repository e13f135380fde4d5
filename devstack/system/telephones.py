"""The telephone network and its two providers, Twilio and Telnyx: one program, so that one phone is rung by both.

Run it: `python -m devstack.system.telephones --port 0 --telnyx-port 0`, with `--number +12025550100[=VOICE_URL]` for each of
Twilio's numbers and `--telnyx-number` for Telnyx's. The accounts and their secrets come from the environment:
TWILIO_ACCOUNT_SID, TWILIO_AUTH_TOKEN, TELNYX_API_KEY, TELNYX_ACCOUNT_SID, TELNYX_APPLICATION, TELNYX_SIGNING_KEY.
"""

import argparse
import os
import threading

from werkzeug.serving import make_server

from devstack.shared.serve import QuietRequestHandler, free_port, serve
from devstack.shared.telephone import Network, Settings
from devstack.telnyx.api import create_app as create_telnyx
from devstack.twilio.api import create_app as create_twilio


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(description="Simulated telephone network")
    parser.add_argument("--port", type=int, default=0, help="Twilio's port on 127.0.0.1; 0: any free one")
    parser.add_argument("--telnyx-port", type=int, help="Telnyx's, if there is to be one")
    parser.add_argument(
        "--number",
        action="append",
        default=[],
        help="a number of the account at Twilio, with =VOICE_URL or without; none: every number",
    )
    parser.add_argument("--telnyx-number", action="append", default=[], help="a number of the account at Telnyx")
    parser.add_argument("--speech-rate", type=float, default=1.0, help="how many times faster than in life is spoken")
    arguments = parser.parse_args()
    network = Network()
    network.settings = Settings(speech_rate=arguments.speech_rate)
    environment = os.environ
    twilio = create_twilio(
        account_sid=environment["TWILIO_ACCOUNT_SID"],
        auth_token=environment["TWILIO_AUTH_TOKEN"],
        numbers=arguments.number,
        network=network,
    )
    if arguments.telnyx_port is not None:
        telnyx = create_telnyx(
            api_key=environment["TELNYX_API_KEY"],
            account_sid=environment["TELNYX_ACCOUNT_SID"],
            application=environment["TELNYX_APPLICATION"],
            signing_key=environment["TELNYX_SIGNING_KEY"],
            numbers=arguments.telnyx_number,
            network=network,
        )
        port = arguments.telnyx_port or free_port()
        server = make_server("127.0.0.1", port, telnyx, threaded=True, request_handler=QuietRequestHandler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
    serve(twilio, arguments.port)


if __name__ == "__main__":
    main()
