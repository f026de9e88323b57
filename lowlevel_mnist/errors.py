"""The ways in which a command ends early without being at fault itself."""


class UserError(Exception):
    """Something the user can mend; its text says what is wrong, where, and what to do."""


class UnreachableError(UserError):
    """A data set is neither on disk nor to be downloaded."""


class LostWorkerError(UserError):
    """Another worker of the run has ended, or can't be reached any more."""


class DivergedError(Exception):
    """The cost is no longer a finite number, so going on with the training is pointless."""


class Interrupted(BaseException):
    """Ctrl-C, or another signal that asks the process to end.

    As with KeyboardInterrupt, `except Exception` does not take it for an error.

    signal: the signal's number.
    """

    def __init__(self, signal, message="Interrupted."):
        super().__init__(message)
        self.signal = signal
