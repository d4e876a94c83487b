#!/bin/sh
# As the vendor's: `start` unless another command is given (`worker`, `webhook`).
exec n8n "$@"
