"""What tests share: the program and its daemon, servers of the tests' own, and ways to wait and to compare."""
