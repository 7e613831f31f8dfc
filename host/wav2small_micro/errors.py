# SPDX-License-Identifier: Apache-2.0
"""The one exception that a user is meant to read."""


class W2sError(Exception):
    """What went wrong, and what the reader can do about it.

    The command line prints both and exits with 1; anything else that escapes is a bug.

    >>> error = W2sError("no clip at a.wav", "check the path")
    >>> str(error), error.hint
    ('no clip at a.wav', 'check the path')

    A worker process raises it where it is read:

    >>> import pickle
    >>> pickle.loads(pickle.dumps(error)).hint
    'check the path'
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
