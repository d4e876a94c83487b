#!/bin/sh
# Writes .env: what must be set, as .env.example lists it, each secret a fresh one. What is there is never changed.
#   sh compose/make-env.sh            `make env`: looks ahead at docker compose too
#   sh compose/make-env.sh --native   `make up`, which needs no Docker
set -u
LC_ALL=C
export LC_ALL

PLACEHOLDER=change-me
OLDEST_COMPOSE=2.26
HEADER='# Written by `make env`; readable by you only. Back it up: what n8n encrypted can be read with these values only.
# Every other setting, with its default, stands in .env.example; add lines here to change one.'

main() {
	unset CDPATH
	cd -- "$(dirname -- "$0")/.." || exit 1
	must_be_readable .env.example
	if [ -e .env ] || [ -L .env ]; then must_be_readable .env; fi
	wanted=$(tr -d '\r' <.env.example | sed -n "s/^\([A-Z0-9_]*\)=$PLACEHOLDER\$/\1/p")
	there=$(assignments)
	add_missing
	make_documents "${1:-}"
	if [ "${1:-}" != --native ]; then look_ahead; fi
	refuse_placeholders
	if [ "${1:-}" != --native ]; then refuse_weak; fi
}

say() { echo "make env: $1" >&2; }

fail() {
	say "$1"
	exit 1
}

must_be_readable() {
	if [ -d "$1" ]; then fail "$PWD/$1 is a folder where a file belongs: remove it, then run it again."; fi
	if ! [ -r "$1" ]; then fail "$PWD/$1 is not there, or may not be read by this user."; fi
}

# What .env sets, a line each, as NAME=value with the value bare; the last of several lines counts.
assignments() {
	if ! [ -e .env ]; then return; fi
	tr -d '\r' <.env | awk -v quote="[\"']" '
		{ sub(/^[ \t]*(export[ \t]+)?/, "") }
		/^[A-Za-z0-9_]+[ \t]*=/ {
			name = value = $0
			sub(/[ \t]*=.*/, "", name)
			sub(/^[^=]*=[ \t]*/, "", value)
			if (substr(value, 1, 1) ~ quote) value = substr(value, 2, index(substr(value, 2), substr(value, 1, 1)) - 1)
			else { sub(/^#.*|[ \t]+#.*/, "", value); sub(/[ \t]+$/, "", value) }
			values[name] = value
		}
		END { for (name in values) print name "=" values[name] }'
}

is_set() { printf '%s\n' "$there" | grep -q "^$1="; }

value_of() { printf '%s\n' "$there" | sed -n "s/^$1=//p"; }

add_missing() {
	added= lines=
	for name in $wanted; do
		if is_set "$name"; then continue; fi
		case $name in
		DEFAULT_ACCESS) value=everyone ;;
		*) value=$(fresh_secret) ;;
		esac
		if [ -z "$value" ]; then fail "this system gives no random numbers (/dev/urandom); nothing was written."; fi
		added="$added $name"
		lines="$lines
$name=$value"
	done
	if [ -z "$added" ]; then return; fi
	if [ -e .env ]; then wrote="Added to .env:$added"; else wrote="Wrote the settings and fresh secrets to .env"; fi
	write_whole
	echo "$wrote"
	there=$(assignments)
}

# Forty letters and digits, or nothing: whatever reads them, in an address or in a file, none needs quotes.
fresh_secret() {
	dd if=/dev/urandom bs=1024 count=1 2>/dev/null | tr -dc 'A-Za-z0-9' | cut -c 1-40 | grep '^.\{40\}$'
}

# Beside it first, then in its place: .env is as it was or whole, whatever happens in between.
write_whole() {
	umask 077
	new=.env.new.$$
	trap 'rm -f "$new"' EXIT
	trap 'exit 1' HUP INT TERM
	if ! (content >"$new" && take_its_place) 2>/dev/null; then
		if [ -w . ]; then fail "$PWD/.env could not be written whole: is the disk full? It is as it was."; fi
		fail "$PWD cannot be written: it is read-only, or belongs to another user."
	fi
}

content() {
	if [ -s .env ]; then
		cat .env && if [ -n "$(tail -c 1 .env)" ]; then echo; fi
	else
		printf '%s\n' "$HEADER"
	fi && printf '%s\n' "${lines#?}"
}

take_its_place() {
	if [ -L .env ]; then cat "$new" >.env && chmod 600 .env; else mv -f "$new" .env; fi
}

make_documents() {
	folder=${DOCUMENTS_DIR:-$(value_of DOCUMENTS_DIR)}
	case $folder in
	'') (umask 022 && mkdir -p documents) 2>/dev/null || say "$PWD/documents cannot be made: make it, or set DOCUMENTS_DIR." ;;
	'~'*) ;;
	*) if ! [ -d "$folder" ]; then say "DOCUMENTS_DIR names $folder, which is not there."; fi ;;
	esac
}

look_ahead() {
	if ! command -v docker >/dev/null 2>&1; then return; fi
	version=$(docker compose version --short 2>/dev/null)
	if [ -z "$version" ]; then
		say "docker has no Compose plugin here: the containers need $OLDEST_COMPOSE or newer."
	elif older "${version#v}" "$OLDEST_COMPOSE"; then
		say "docker compose is ${version#v} here and must be $OLDEST_COMPOSE or newer: update Docker's Compose plugin."
	fi
}

older() {
	awk -v one="$1" -v two="$2" 'BEGIN {
		split(one, a, "."); split(two, b, ".")
		exit !(a[1] + 0 < b[1] + 0 || (a[1] + 0 == b[1] + 0 && a[2] + 0 < b[2] + 0))
	}'
}

refuse_placeholders() {
	unset_names=
	for name in $wanted; do
		case $(value_of "$name") in
		'' | "$PLACEHOLDER") unset_names="$unset_names $name" ;;
		esac
	done
	if [ -n "$unset_names" ]; then
		fail ".env still holds the placeholder, or nothing, for$unset_names: delete the line and run \`make env\` again, or set a value of your own."
	fi
}

# As pipelines/settings.py and check-settings do, whose line `docker compose up -d` does not show.
refuse_weak() {
	for name in $wanted; do
		case $name in
		DEFAULT_ACCESS) continue ;;
		OPEN_WEBUI_ADMIN_PASSWORD | N8N_OWNER_PASSWORD | UPLOAD_FORM_PASSWORD) least=8 ;;
		*) least=16 ;;
		esac
		value=$(value_of "$name")
		if [ "${#value}" -lt "$least" ]; then
			fail "$name in .env is shorter than $least characters: set a longer one, or delete the line and run \`make env\` again."
		fi
	done
}

main "$@"
