"""`dualenc` and `python -m dualenc`: the command line, in a fork of the workflow's warm process if there is one."""

import sys

from dualenc import warm


def main() -> None:
    """Run the command line, there or here; it is imported here only if need be, as that takes longer than to ask."""
    try:
        status = warm.run()
        if status is not None:
            sys.exit(status)
        from dualenc import cli

        cli.main()
    except KeyboardInterrupt:
        sys.exit(130)  # as shells have it, without a traceback


if __name__ == "__main__":
    main()
