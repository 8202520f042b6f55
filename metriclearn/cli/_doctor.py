"""``metriclearn doctor``: what slows search on this machine."""

from metriclearn.cli._errors import EXIT_SLOW, BadInputError


def add_parser(commands):
    """Add the sub-command to a parser."""
    parser = commands.add_parser(
        "doctor",
        help="what slows nearest-neighbor search on this machine, and the remedy",
        description=(
            "Look for what slows nearest-neighbor search on this machine, and name the remedy. "
            "The exit status is 0 where nothing does, 1 where something does."
        ),
    )
    parser.set_defaults(run=run)


def run(options, command):
    """Run the sub-command; return the exit code."""
    from metriclearn.neighbors._doctor import diagnose, show

    findings = diagnose()
    try:
        show(findings)
    except ImportError as error:
        raise BadInputError(error) from None
    return 0 if all(finding.ok for finding in findings) else EXIT_SLOW
