"""What fit is given, as rows, images or files, and how all later rows are read alike."""
