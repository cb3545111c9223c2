"""What must outlive the process: state directory, lock, atomic files, SQLite."""
