"""What analysts read: Parquet in Delta tables, completeness per hour, and a published DuckDB catalog over both.

writer        LakeFollower: rows of the log into two tables, exactly once
table         one Delta table: files, commits, positions, repair after a power cut
parquet       types, encodings and statistics of a file
compaction    many small files into few large ones
completeness  CompletenessFollower: expected, received, missing per point and hour
views         the SQL of the published views
catalog       Catalog: publishes them by atomic rename
query         ``lifeline sql``: read only, over a consistent snapshot
verify        the lake against its own log
files         fsync, rename, grace deletion
"""
