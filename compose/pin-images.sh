#!/bin/sh
# Writes into the compose files and the Dockerfile which image each version is today, as a digest.
#   compose/pin-images.sh          by `docker buildx`, which needs the internet; look at the change with `git diff`
#   compose/pin-images.sh --check  changes nothing, and ends with 1 where a digest is missing or another one
# A digest stays what it is; a version is built anew upstream when what it stands on has a fix.
set -eu
cd "$(dirname "$0")/.."

# `${POSTGRES_IMAGE:-postgres:18.6@sha256:...}` in the compose files, `ARG PYTHON_IMAGE=...` in the Dockerfile;
# our own image is built here, and has no digest anywhere yet
files="docker-compose.yml $(echo compose/*.yml) pipelines/Dockerfile"
named=$(sed -n -e 's/.*\${[A-Z_]*_IMAGE:-\([^}]*\)}.*/\1/p' -e 's/^ARG [A-Z_]*_IMAGE=\(.*\)/\1/p' $files |
  grep -v '^ragline/' | sort -u)

differs=0
for image in $named; do
  version=${image%@*}
  digest=$(docker buildx imagetools inspect "$version" --format '{{.Manifest.Digest}}') || {
    echo "$version cannot be asked for: it needs docker buildx, and a way to its registry." >&2
    exit 1
  }
  for architecture in amd64 arm64; do
    docker buildx imagetools inspect --raw "$version" | grep -q "\"architecture\": *\"$architecture\"" || {
      echo "$version has no image for $architecture: another version is needed." >&2
      exit 1
    }
  done
  [ "$image" = "$version@$digest" ] && continue
  differs=1
  echo "$version is $digest"
  [ "${1:-}" = --check ] && continue
  for file in $files; do
    sed "s|$image\([}[:space:]]\)|$version@$digest\1|; s|=$image\$|=$version@$digest|" "$file" >"$file.new"
    if cmp -s "$file" "$file.new"; then rm "$file.new"; else cat "$file.new" >"$file" && rm "$file.new"; fi
  done
done

[ "$differs" = 1 ] || echo "Every image is what its version says."
[ "${1:-}" != --check ] || exit "$differs"
