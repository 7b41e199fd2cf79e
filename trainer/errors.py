"""The error that the command line shows as a message, without a traceback."""


class UserError(ValueError):
    """Something that the user can put right; the message says what and how."""
