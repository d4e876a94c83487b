#!/bin/bash
# As the vendor's: starts the program with what it is given.
exec ./qdrant "$@"
