"""What follows from the records: how sure leads are, the answers, the table."""
