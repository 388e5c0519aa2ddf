"""The book's driver, called by ``book/build.py``: read chapters, execute what changed, check, record, render."""


class BuildError(Exception):
    """A reason why the book cannot be built, as one line that names the chapter or page and the cause.

    Parameters
    ----------
    where
        The chapter's slug, or the file or page that the reader has to open.
    cause
        What is wrong and what to do, on one line.
    traceback
        The full story, printed before the line.
    """

    def __init__(self, where: str, cause: str, traceback: str = "") -> None:
        self.where, self.cause, self.traceback = where, " ".join(str(cause).split()), traceback
        super().__init__(f"{self.where}: {self.cause}")
