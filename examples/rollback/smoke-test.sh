#!/bin/sh
# In a real project: curl the new release. No container runs on the sandbox, so this plays a release
# that starts and does not work.
case "$IMAGES" in
  *:1.1.0) echo "GET /health: 500 no such column: discount"; exit 1 ;;
esac
echo "GET /health: 200"
