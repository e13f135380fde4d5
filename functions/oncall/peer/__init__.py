"""The other stack: what each knows of the other's incidents, and when the standby takes over."""
