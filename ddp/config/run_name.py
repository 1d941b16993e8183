"""The rule of a run's name, which stands in one cell of a table."""

from ddp.errors import ConfigError

MAX_NAME = 80  # characters
PLAIN_RUN = "defaults"  # the name of a run whose command gives nothing


def one_line(key: str, value: str) -> None:
    """Raises ConfigError for a name that is empty, too long, or more than one line."""
    if not (value.isprintable() and value.strip() and len(value) <= MAX_NAME):
        raise ConfigError(
            key, value, f"must be one line of at most {MAX_NAME} characters, and not empty"
        )
