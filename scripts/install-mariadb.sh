#!/bin/sh
# Makes a MariaDB server program available to the tests, from the system's own packages.
#
# Exits 0 whatever happens: where it cannot be had, one line says so and the tests that need it skip by name.
# Only the "core" packages are installed: the programs without a system service, so nothing is started or left running.
# (The client's core package holds my_print_defaults, which mariadb-install-db calls.)
# INSTALL_TIMEOUT (seconds, default 300) bounds each step.
set -u

seconds="${INSTALL_TIMEOUT:-300}"
PATH="$PATH:/usr/sbin:/usr/local/sbin"

give_up() {
    echo "MariaDB is not here and cannot be installed: the tests that need it will say so by name" >&2
    exit 0
}

have() {
    command -v "$1" >/dev/null 2>&1
}

installed() {
    have mariadbd && have mariadb-install-db && have my_print_defaults
}

installed && exit 0

have apt-get && have timeout || give_up
if [ "$(id -u)" -eq 0 ]; then
    as_root=""
elif have sudo && sudo -n true >/dev/null 2>&1; then
    as_root="sudo -n"
else
    give_up
fi

apt() {
    # shellcheck disable=SC2086 # as_root is a word list on purpose: empty for root
    $as_root timeout "$seconds" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=60 "$@" \
        </dev/null >/dev/null 2>&1
}

# Older Ubuntu releases name the package by version (mariadb-server-core-10.6).
core_package() {
    apt-cache search --names-only '^mariadb-server-core(-[0-9.]+)?$' 2>/dev/null | cut -d' ' -f1 | sort | head -n 1
}

echo "Installing MariaDB for the tests" >&2
apt update
server="$(core_package)"
[ -n "$server" ] || give_up
apt install -y --no-install-recommends "$server" "$(echo "$server" | sed s/server/client/)"
installed || give_up
