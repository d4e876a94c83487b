"""Documents that are broken, or made to break what reads them, and one test that gives them all to one reader."""
