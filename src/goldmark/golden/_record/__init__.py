"""Recording: a golden built from new numbers, and the reasons against recording some of them."""
