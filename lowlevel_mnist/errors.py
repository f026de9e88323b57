"""The ways in which a command ends early without being at fault itself."""


class UserError(Exception):
    """Something the user can mend; its text says what is wrong, where, and what to do."""


class UnreachableError(UserError):
    """A data set is neither on disk nor to be downloaded."""


class DivergedError(Exception):
    """The cost is no longer a finite number, so going on with the training is pointless."""
