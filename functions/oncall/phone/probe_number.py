"""The line that answers by itself: what the probe's number does when it is called, as TwiML."""

from twilio.twiml.voice_response import VoiceResponse

# Twilio: each w waits for half a second. The first 1 comes three seconds after the phone was answered, when the words have
# begun; a tone that is lost, or not heard while somebody speaks, comes again in the pauses after the words. What comes
# after the key was heard meets no Gather.
PRESS = "wwwwww1"
TIMES = 15


def answer() -> str:
    """Presses 1 again and again, and hangs up."""
    response = VoiceResponse()
    for _ in range(TIMES):
        response.play(digits=PRESS)
    response.hangup()
    return str(response)
