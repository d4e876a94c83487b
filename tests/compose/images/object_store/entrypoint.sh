#!/bin/sh
# As the vendor's: every command is one of `weed`.
exec weed "$@"
