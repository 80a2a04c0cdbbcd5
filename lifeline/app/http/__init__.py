"""The console's ports over the real things: queue, lake, last values, SQL, accounts, audit.

Rules of this package: a refusal of the queue or of the accounts becomes a ``ProblemError`` with its status here, so
that the console knows neither; rights of a row are judged before anything is changed.
"""
