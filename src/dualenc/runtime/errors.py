"""The one exception that means: the input is wrong, and here is what to change."""


class UserError(Exception):
    """Bad input. Its message is one sentence: what is wrong, where, and what to change.

    The command line prints the message without a traceback and exits with status 2.
    """
