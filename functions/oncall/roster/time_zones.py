"""Which time zones there are: those of the package tzdata, on Lambda and in the command alike, whatever the machine has.

zoneinfo looks at the machine's folder first. The functions' environment turns that off (PYTHONTZPATH in template.yaml),
and the command does it when it starts.
"""

import re
from functools import cache
from importlib import resources

# What the package has and nobody's clock shows: zic's place holder for a machine that has not been set up.
_NO_PLACE = frozenset({"Factory"})


@cache
def names() -> frozenset[str]:
    """All names, as they have to be written. Not the machine's own: `localtime` is another zone on another machine."""
    return frozenset(resources.files("tzdata").joinpath("zones").read_text(encoding="utf-8").split()) - _NO_PLACE


def advice(name: str) -> str:
    """What to write instead of a name that there is not: `did you mean Asia/Tokyo?` for asia/tokio or tokyo.

    No zone of hours alone: whoever writes GMT+9 means Tokyo's time, and Etc/GMT+9 is that of Alaska (see `signed`).
    """
    from difflib import get_close_matches  # noqa: PLC0415  only when something is wrong

    known = {key: zone for zone in sorted(names()) for key in (zone.rpartition("/")[2].lower(), zone.lower())}
    written = name.strip().lower().replace(" ", "_")
    close = [] if re.search("[0-9]", written) else get_close_matches(written, known, 1, 0.8)
    return f"did you mean {known[close[0]]}?" if close else "write a name such as Asia/Tokyo, Europe/Berlin or UTC"


def signed(name: str) -> str:
    """What a zone of hours alone is, whose sign POSIX turned round: Etc/GMT+9 is 9 hours behind UTC. Empty for others."""
    found = re.fullmatch(r"Etc/GMT([+-])([1-9][0-9]?)", name)
    if not found:
        return ""
    return (
        f"{name} is {found[2]} hours {'behind' if found[1] == '+' else 'ahead of'} UTC: its sign is the other way round"
    )
