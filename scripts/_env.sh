# Sourced by the scripts beside it, which set `root` first: finds a Python and keeps .venv as requirements.lock says.
# PYTHON=/path/to/python chooses the interpreter; another version than before builds .venv anew.
# shellcheck shell=sh
# shellcheck disable=SC2154  # root: see above

venv=$root/.venv

fail() {
    printf '%s: %s\n' "${0##*/}" "$1" >&2
    exit 1
}

# Print the first Python that is new enough.
find_python() {
    if [ -n "${PYTHON:-}" ]; then
        is_new_enough "$PYTHON" || fail "PYTHON=$PYTHON is not a Python 3.11 or newer"
        printf '%s\n' "$PYTHON"
        return
    fi
    for candidate in python3 python3.13 python3.12 python3.11 python; do
        if is_new_enough "$candidate"; then
            printf '%s\n' "$candidate"
            return
        fi
    done
    fail "no Python 3.11 or newer found (tried python3, python3.13, python3.12, python3.11, python); \
install one, or name it: PYTHON=/path/to/python scripts/${0##*/}"
}

is_new_enough() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

# What .venv was made from. It cannot be moved: its scripts carry the folder they were made in.
wanted_state() {
    printf '%s\n' "$root"
    "$venv/bin/python" -V 2>&1
    cksum <"$root/requirements.lock"
    cksum <"$root/pyproject.toml"
}

is_ready() {
    [ -f "$venv/.ready" ] && [ -x "$venv/bin/python" ] && [ "$(wanted_state)" = "$(cat "$venv/.ready")" ] \
        && is_chosen_python
}

is_chosen_python() {
    [ -z "${PYTHON:-}" ] || [ "$("$PYTHON" -V 2>&1)" = "$("$venv/bin/python" -V 2>&1)" ]
}

# A .venv that can be brought up to date: whole, made here, and with the Python that is asked for.
is_usable() {
    [ ! -f "$venv/.building" ] && "$venv/bin/python" -m pip --version >/dev/null 2>&1 \
        && is_chosen_python && is_new_enough "$venv/bin/python" \
        && { [ ! -f "$venv/.ready" ] || [ "$(head -n 1 "$venv/.ready")" = "$root" ]; }
}

# Make .venv fit requirements.lock and pyproject.toml; do nothing where it does. Two at once: one works, one waits.
ensure_venv() {
    is_ready && return
    python=$(find_python) || exit 1
    mkdir -p "$venv"
    # The lock ends with the process that holds it, however that ends.
    (
        "$python" -c '
import fcntl, sys
try:
    fcntl.flock(0, fcntl.LOCK_EX | fcntl.LOCK_NB)
except OSError:
    print("Waiting for another process that is preparing .venv ...", file=sys.stderr)
    fcntl.flock(0, fcntl.LOCK_EX)
' <&9 || fail "cannot lock .venv"
        is_ready || build_venv
    ) 9<>"$venv/.lock" || exit 1
}

build_venv() {
    if ! is_usable; then
        printf 'Making .venv with %s ...\n' "$("$python" -V 2>&1)" >&2
        : >"$venv/.building" # stays when we are killed, and then nothing half made is trusted
        rm -f "$venv/.ready" "$venv/pyvenv.cfg"
        rm -rf "${venv:?}/bin" "${venv:?}/lib" "${venv:?}/lib64" "${venv:?}/include"
        "$python" -m venv "$venv" || fail "cannot make .venv (on Debian and Ubuntu: apt install python3-venv)"
    fi
    : >"$venv/.building"
    rm -f "$venv/.ready"
    state=$(wanted_state) # before installing: an edit meanwhile counts as a change
    printf 'Installing what requirements.lock lists (about a minute the first time) ...\n' >&2
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-input \
        --require-hashes --no-deps -r "$root/requirements.lock" \
        || give_up "cannot install requirements.lock; the reason stands above, the next start goes on from here"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-input \
        --no-deps --no-build-isolation --editable "$root" \
        || give_up "cannot install the project into .venv"
    printf '%s\n' "$state" >"$venv/.ready.$$" && mv -f "$venv/.ready.$$" "$venv/.ready"
    rm -f "$venv/.building"
}

# pip undoes what it could not finish, so .venv is whole although something is missing.
give_up() {
    rm -f "$venv/.building"
    fail "$1"
}
