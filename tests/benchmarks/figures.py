"""What a run of the benchmarks has measured: kept as JSON, one file a run, and compared with another run's file."""

import json
import os
import platform
import time
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / ".devstack/bench"  # git ignores it


def _machine() -> dict[str, object]:
    load = [round(one, 2) for one in os.getloadavg()]
    return {
        "cores": os.cpu_count(),
        "load_before": load,
        "system": platform.platform(),
        "python": platform.python_version(),
    }


@dataclass(slots=True)
class Figures:
    """Figures by their names, which say their units. Smaller is better."""

    what: str
    values: dict[str, float] = field(default_factory=dict)
    began: float = field(default_factory=time.time)
    machine: dict[str, object] = field(default_factory=_machine)

    def note(self, name: str, value: float) -> None:
        """Keeps a figure."""
        self.values[name] = round(value, 3)

    def write(self) -> Path:
        """Writes the file. Returns where it is."""
        FOLDER.mkdir(parents=True, exist_ok=True)
        moment = time.strftime("%Y%m%d-%H%M%S", time.gmtime(self.began))
        path = FOLDER / f"{moment}-{self.what}.json"
        known = {"what": self.what, "at": moment, "machine": self.machine, "figures": self.values}
        path.write_text(json.dumps(known, indent=1, ensure_ascii=False) + "\n")
        return path

    def table(self, base: Path | None) -> str:
        """The figures as lines; with another run's file, its figures beside them and the ratio of the two."""
        before: dict[str, float] = json.loads(base.read_text())["figures"] if base else {}
        width = max(map(len, self.values), default=0)
        lines = [f"machine: {self.machine}"]
        for name, value in self.values.items():
            old = before.get(name)
            compared = f"  before {old:>9}  ratio {value / old:.2f}" if old else ""
            lines.append(f"{name:{width}}  {value:>9}{compared}")
        return "\n".join(lines)
