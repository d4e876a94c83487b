#!/usr/bin/env bash
# An engine and two versions of Compose for the tests in containers, on a Debian machine that has no registry.
#   .ci/docker.sh          again at any time: what is there stays
# What it makes, under STATE_DIR (default .ragline):
#   docker/2.26/docker-compose, docker-buildx      the oldest Compose that is supported
#   docker/newest/docker-compose, docker-buildx    the newest that Debian has
#   docker/config/cli-plugins                      a DOCKER_CONFIG with the former; none where Docker has its own
set -euo pipefail
umask 022
state="$(realpath "${STATE_DIR:-.ragline}")"
docker="$state/docker"
mkdir -p "$docker" "$state/logs"

# --- the engine -------------------------------------------------------------------------------------------------------

if ! command -v dockerd >/dev/null && ! docker info >/dev/null 2>&1; then
  echo "Installing Docker"
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends docker.io iptables >/dev/null
fi

if ! docker info >/dev/null 2>&1; then
  echo "Starting Docker"
  # one that was killed leaves its mark, and the next would take a process of that number, or what is left of it, for it
  ps -C dockerd,containerd -o stat= | grep -qv '^Z' || rm -f /var/run/docker.pid /var/run/docker/containerd/containerd.pid
  setsid nohup dockerd >"$state/logs/dockerd.log" 2>&1 </dev/null &
  for _ in $(seq 120); do
    docker info >/dev/null 2>&1 && break
    sleep 0.5
  done
  docker info >/dev/null 2>&1 || {
    tail -n 20 "$state/logs/dockerd.log" >&2
    echo "dockerd has not answered within 60 seconds; $state/logs/dockerd.log says why." >&2
    exit 1
  }
fi

# --- Compose and buildx: Debian's packages, unpacked and not installed (installing trixie's removes bookworm's Docker) --

grep -q '^ID=debian$' /etc/os-release || {
  echo "Only Debian's packages are known here: install Docker with Compose 2.26 or newer yourself." >&2
  exit 1
}

# The mirror that this machine's own packages come from.
mirror() {
  apt-get indextargets --format '$(REPO_URI) $(CODENAME) $(COMPONENT)' 'Created-By: Packages' |
    awk -v codename="$(. /etc/os-release && echo "$VERSION_CODENAME")" '$2 == codename && $3 == "main" { print $1; exit }'
}

# unpack SUITE FOLDER: both programs of this release of Debian, with an apt that has its own lists and touches nothing else
unpack() {
  local suite="$1" folder="$docker/$2" work
  [ -x "$folder/docker-compose" ] && [ -x "$folder/docker-buildx" ] && return
  echo "Fetching Compose from Debian $suite"
  work="$(mktemp -d)"
  mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$folder"
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $uri $suite main" >"$work/sources.list"
  cat >"$work/apt.conf" <<CONF
Dir::Etc::SourceList "$work/sources.list";
Dir::Etc::SourceParts "/dev/null";
Dir::State::Lists "$work/lists";
Dir::Cache "$work/cache";
APT::Sandbox::User "root";
CONF
  (
    export APT_CONFIG="$work/apt.conf"
    cd "$work"
    apt-get update -qq
    apt-get download -qq docker-compose docker-buildx
  )
  for package in "$work"/*.deb; do dpkg -x "$package" "$work/unpacked"; done
  install -m 755 "$work"/unpacked/usr/libexec/docker/cli-plugins/docker-{compose,buildx} "$folder"
  rm -rf "$work"
}

uri="$(mirror)"
if [ -z "$uri" ]; then
  apt-get update -qq
  uri="$(mirror)"
fi
unpack trixie 2.26
unpack sid newest

# --- what `docker compose` runs ---------------------------------------------------------------------------------------

own="$(docker compose version --short 2>/dev/null || true)"
if [ -z "$own" ] || [ "$(printf '%s\n' 2.26 "${own#v}" | sort -V | head -n 1)" != 2.26 ]; then
  mkdir -p "$docker/config/cli-plugins"
  ln -sf ../../2.26/docker-compose ../../2.26/docker-buildx "$docker/config/cli-plugins/"
fi
