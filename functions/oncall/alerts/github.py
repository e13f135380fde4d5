"""GitHub Actions: the webhook `workflow_run` of a repository or an organisation.

A workflow that fails on a branch fires, and resolves when it passes there.

GitHub, "Webhook events and payloads", workflow_run: action requested, in_progress or completed; workflow_run.conclusion success,
failure, timed_out, cancelled, neutral, skipped, stale, action_required or startup_failure. A new webhook sends {zen, hook_id}.
"""

from collections.abc import Mapping
from typing import Any

from oncall.alerts.event import Said, SourceEvent
from oncall.errors import WebhookError

_CONCLUSIONS: Mapping[str, Said | None] = {
    **dict.fromkeys(("failure", "timed_out", "startup_failure", "action_required"), "firing"),
    "success": "resolved",
    **dict.fromkeys(("cancelled", "neutral", "skipped", "stale"), None),
}


def read(payload: Mapping[str, Any], product: str) -> SourceEvent | None:
    """The event; None for a ping, and for a run that is not over or says nothing. Raises WebhookError with what is wrong."""
    if "zen" in payload and "hook_id" in payload:
        return None
    run, repository = payload.get("workflow_run"), payload.get("repository")
    if not isinstance(run, Mapping) or not isinstance(repository, Mapping):
        raise WebhookError(
            "the body has no workflow_run and repository: have the webhook send Workflow runs alone, as JSON"
        )
    if payload.get("action") != "completed":
        return None
    conclusion = str(run.get("conclusion"))
    if conclusion not in _CONCLUSIONS:
        raise WebhookError(f"conclusion {conclusion[:50]!r} is none of a workflow's")
    status = _CONCLUSIONS[conclusion]
    if status is None:
        return None
    name, where = str(run.get("name") or "a workflow"), str(repository.get("full_name") or "")
    branch = str(run.get("head_branch") or "")
    return SourceEvent(
        key=f"{where}/{run.get('workflow_id')}/{branch}",
        status=status,
        summary=f"{name} failed in {where}" if status == "firing" else f"{name} in {where}",
        severity="warning",  # a failed build wakes nobody, unless a mapping of the roster's says so
        product=product,
        description=str(run.get("display_title") or ""),
        details={"branch": branch, "conclusion": run.get("conclusion"), "event": run.get("event")},
        link=str(run.get("html_url") or ""),
        starts_at=str(run.get("run_started_at") or ""),
    )
