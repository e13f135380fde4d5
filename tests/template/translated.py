"""The template as SAM translates it: `python -m tests.template.translated FILE` writes it for other programs to look at."""

import json
import os
import sys
from pathlib import Path
from typing import Any

from devstack.aws.template import parameter_values, parse, translate

ROOT = Path(__file__).parents[2]
TEMPLATE = ROOT / "template.yaml"
GIVEN = {"SlackChannel": "C0123456789", "CallerNumber": "+12025550100"}


def translation(region: str) -> Any:
    """As it would be after packaging, with the state machine's definition in it."""
    template = parse(TEMPLATE.read_text())
    template["Globals"]["Function"]["CodeUri"] = "s3://bucket/key"
    machine = template["Resources"]["StateMachine"]["Properties"]
    machine["Definition"] = json.loads((ROOT / machine.pop("DefinitionUri")).read_text())
    return translate(template, parameter_values(template, GIVEN, {}), region)


if __name__ == "__main__":
    os.environ["AWS_DEFAULT_REGION"] = "us-east-1"
    written = Path(sys.argv[1])
    written.parent.mkdir(parents=True, exist_ok=True)
    written.write_text(json.dumps(translation("us-east-1"), indent=1))
