"""The page of budgets: what they have, what was spent, and the buttons that move them."""
