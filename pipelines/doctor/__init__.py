"""`ragline doctor` and `ragline models`: every part is really asked, and what is wrong comes with a remedy."""
