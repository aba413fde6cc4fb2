"""`dualenc` and `python -m dualenc`: the command line, in a fork of the workflow's warm process if there is one."""

import os
import sys

from dualenc import warm


def main() -> None:
    """Run the command line, there or here; it is imported here only if need be, as that takes longer than asking.

    Where the locale's encoding is not UTF-8, the process restarts in Python's UTF-8 mode: arguments, file names,
    output, and whatever it starts then use UTF-8 everywhere.
    """
    if sys.getfilesystemencoding() != "utf-8":
        os.environ["PYTHONUTF8"] = "1"  # for the processes that this one starts
        os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])
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
