"""What a number of the account itself does when it is called: its voice URL is asked for TwiML, which is then performed.

Twilio: the number answers with the first verb, unless that is a Pause, which delays it. Keys of `<Play digits>` reach the
other end of the call, w is half a second of silence. A voice URL that fails is answered with a word of regret.
"""

import time
import uuid
from typing import TYPE_CHECKING

from devstack.shared import twiml, webhooks
from devstack.shared.telephone import APPLICATION_ERROR, ENDED, ImpossibleError, Network

if TYPE_CHECKING:
    from devstack.shared.telephone import Call, Exchange

_SILENCE = {"w": 0.5, "W": 1.0}
_TONE = 0.1  # seconds between two keys


class AutomaticNumber:
    """A number with a voice URL. Called with each call that rings at it, in a thread of its own."""

    def __init__(self, network: Network, exchange: "Exchange", account_sid: str, voice_url: str) -> None:
        self._network = network
        self._exchange = exchange
        self._account_sid = account_sid
        self.voice_url = voice_url

    def __call__(self, call: "Call") -> None:
        """Answer the call, perform what the voice URL says, hang up."""
        try:
            verbs = self._instructions(call)
            if verbs and isinstance(verbs[0], twiml.Pause):
                self._wait(call, verbs.pop(0))
            self._network.answer(call)
            for verb in verbs:
                if isinstance(verb, twiml.Hangup) or not self._perform(call, verb):
                    break
            self._network.hang_up(call)
        except ImpossibleError:
            pass  # it has ended meanwhile

    def _instructions(self, call: "Call") -> list[twiml.Verb]:
        about = {
            "CallSid": "CA" + uuid.uuid4().hex,  # of this end
            "AccountSid": self._account_sid,
            "From": call.from_,
            "To": call.to,
            "Caller": call.from_,
            "Called": call.to,
            "CallStatus": "ringing",
            "Direction": "inbound",
            "ApiVersion": "2010-04-01",
        }
        try:
            answer = self._exchange.send(self.voice_url, "POST", about)
            return twiml.parse(twiml.checked_body(answer))
        except (twiml.TwimlError, webhooks.WebhookError) as error:
            self._network.record_error(self._exchange, error.code, str(error), call, url=self.voice_url)
            return twiml.parse(APPLICATION_ERROR)

    def _perform(self, call: "Call", verb: twiml.Verb) -> bool:
        """False for what is not simulated here; it is recorded."""
        if isinstance(verb, twiml.Gather | twiml.Redirect):
            self._network.record_error(
                self._exchange, 12200, f"{type(verb).__name__} is not simulated for incoming calls", call
            )
            return False
        if not isinstance(verb, twiml.Play) or not verb.digits:
            self._wait(call, verb)
            return True
        for key in verb.digits:
            self._rest(call, _SILENCE.get(key, _TONE))
            if key not in _SILENCE:
                self._network.press(call, key)
        return True

    def _wait(self, call: "Call", verb: twiml.Verb) -> None:
        match verb:
            case twiml.Pause():
                self._rest(call, verb.length)
            case twiml.Say():
                self._rest(call, len(verb.text) / 15)
            case _:
                self._rest(call, 1)  # how long a sound is, nobody looks

    def _rest(self, call: "Call", seconds: float) -> None:
        """Wait, in the network's time. Raises ImpossibleError when the call has ended."""
        deadline = time.monotonic() + seconds / self._network.settings.speech_rate
        with self._network.changed:
            while (left := deadline - time.monotonic()) > 0:
                if call.status in ENDED:
                    raise ImpossibleError("the call has ended")
                self._network.changed.wait(left)
