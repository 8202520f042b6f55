"""What exact search is made of: screens that leave few candidates, and their exact order."""
