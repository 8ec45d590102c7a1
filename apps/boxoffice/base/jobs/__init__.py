"""Jobs of staff: whatever a second person has to approve, or takes longer than a request may.

An app registers a `JobKind` for each when Django starts; a page calls `request_job`. Each row of a job is done in one transaction with
its result, so a process that dies at any moment leaves it done once or not at all, and the next run goes on behind it.
"""
