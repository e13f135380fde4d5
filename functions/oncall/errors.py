"""What can go wrong, named for the state machine: its Retry and Catch go by the class name."""


class WebhookError(Exception):
    """The alert group cannot be read, and never will be; the message says what is wrong with it."""


class ConfigurationError(Exception):
    """A setting or a secret is missing or refused; trying again does not help. The message says what to set."""
