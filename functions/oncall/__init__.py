"""The on-call domain: plain functions over frozen dataclasses; clients and the time are passed in."""
