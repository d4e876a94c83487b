"""Real servers that speak a vendor's protocol, for tests that need one to misbehave."""
