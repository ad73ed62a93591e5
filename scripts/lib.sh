# Shared by the scripts here; sourced, never run. Finds a Python, makes its environment, installs Debian packages.
# Each function prints what it does. A failure prints one plain reason, or the one command to run, and ends the script.
# Nothing outside the checkout is touched except Debian packages, and those only as root or where sudo asks nothing.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"

# print FORMAT ARGUMENT...: nobody may be reading any more.
print() { printf "$@" 2>/dev/null || true; }

STEP=0
step() { STEP=$((STEP + 1)) && print '[%d/%d] %s\n' "$STEP" "$STEPS" "$*"; }
say() { print '      %s\n' "$*"; }
fail() { printf '\n%s\n' "$*" >&2 && exit 1; }

# AGAIN: the command that runs this script as it was run, for what is suggested.
AGAIN=$0
for each in "$@"; do AGAIN+=" $(printf %q "$each")"; done

# runs PYTHON CODE: whether PYTHON is there and runs CODE without an error.
runs() { "$1" -c "$2" >/dev/null 2>&1; }

# find_python [NAME]: sets PYTHON (full path) and MINOR ("3.11"). NAME is a command, a path, or a python3.X that pyenv has.
find_python() {
    local candidate candidates=(python3 python3.13 python3.12 python3.11)
    [ -z "${1:-}" ] || candidates=("$1" ~/.pyenv/versions/"${1#python}".*/bin/"$1")
    for candidate in "${candidates[@]}"; do
        if runs "$candidate" 'import sys; sys.exit(sys.version_info < (3, 11))'; then
            PYTHON=$("$candidate" -c 'import sys; print(sys.executable)')
            MINOR=$(minor_of "$PYTHON")
            say "$PYTHON ($("$PYTHON" -V))"
            return
        fi
    done
    [ -z "${1:-}" ] || fail "$1 is not there, does not run, or is older than Python 3.11."
    fail "No Python 3.11 or newer was found. $(how_to_install python3 python3-venv) Or name one:  $0 --python /path/to/python3.13"
}

# how_to_install PACKAGE...: what someone who may do so types, as a sentence.
how_to_install() {
    if [ "$(id -u)" = 0 ]; then
        echo "Run:  apt-get update && apt-get install -y $*"
    elif command -v sudo >/dev/null; then
        echo "Run:  sudo apt-get update && sudo apt-get install -y $*"
    else
        echo "Ask who administers this machine, or become root (su -), for:  apt-get update && apt-get install -y $*"
    fi
}

minor_of() { "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])'; }

# constraints: the exact versions for MINOR. Quart's newest runs on 3.13 and later only, so there are two sets.
constraints() {
    case $MINOR in
    3.11 | 3.12) echo requirements/constraints-3.11.txt ;;
    *) echo requirements/constraints-3.13.txt ;;
    esac
}

# make_environment [dev]: sets VENV, an environment of PYTHON that runs this checkout, with the test tools if "dev".
# Its stamp says what it was made from; while that is the same, nothing is done. Of Python that is the version of its
# binary interface: an environment outlives a patch update, which changes nothing that was installed.
make_environment() {
    local extra=${1:-} made_from
    VENV=.venv-$MINOR
    made_from=$(what_it_is_made_from | sha256sum | cut -d' ' -f1)
    exec 9>"$VENV.lock" && flock 9
    if grep -qsx "$made_from ${extra:-\(dev\)\?}" "$VENV/stamp" && runs "$VENV/bin/python" 'import trio'; then
        say "$VENV is up to date"
    else
        if ! grep -qs "^$made_from" "$VENV/stamp" || ! runs "$VENV/bin/python" 'import trio'; then
            say "making $VENV"
            rm -rf "$VENV"
            create_venv
        fi
        install_packages "$extra"
        echo "$made_from $extra" >"$VENV/stamp"
    fi
    # Every start of the engine is 0.4 s faster, also where Python is told to write no bytecode by itself.
    "$VENV/bin/python" -m compileall -q engine
    exec 9<&-
}

what_it_is_made_from() {
    pwd && "$PYTHON" -c 'import sysconfig; print(sysconfig.get_config_var("SOABI"))' && cat pyproject.toml "$(constraints)"
}

# create_venv: python -m venv; where Debian keeps that in a package of its own, installs it or says how.
create_venv() {
    local log package=python3-venv
    log=$(mktemp)
    if ! "$PYTHON" -m venv "$VENV" >"$log" 2>&1; then
        runs "$PYTHON" 'import ensurepip, venv' && fail "$PYTHON -m venv failed: $(tail -n 3 "$log")"
        [ "$MINOR" = "$(minor_of /usr/bin/python3)" ] || package=python$MINOR-venv
        say "this Python cannot make environments without the package $package"
        may_install || fail "$(how_to_install "$package")
Then:  $AGAIN
Without them: another Python that brings venv with it, named as in  $0 --python /path/to/python3.13"
        install_debian "$package"
        rm -rf "$VENV"
        "$PYTHON" -m venv "$VENV" >"$log" 2>&1 || fail "$PYTHON -m venv failed: $(tail -n 3 "$log")"
    fi
    rm -f "$log"
}

# install_packages [dev]: the exact versions of the constraints file, one dot a package, and this checkout as it lies here.
# Where a change is checked, most of what a package brings is never imported: what is, is compiled by the first import.
install_packages() {
    local log=$VENV/install.log compile=''
    [ "${CI:-}" != true ] || compile=--no-compile
    say "installing the packages of $(constraints), about a minute"
    print '      '
    {
        "$VENV/bin/python" -m pip install --disable-pip-version-check --progress-bar off \
            $compile -c "$(constraints)" -e ".${1:+[$1]}" 2>&1 || echo "pip has failed"
    } | tee "$log" | while read -r line; do
        case $line in
        Collecting*) print . ;;
        "Installing collected"*) print ' unpacking' ;;
        esac
    done
    print '\n'
    [ "$(tail -n 1 "$log")" != "pip has failed" ] ||
        fail "pip failed; the end of $log:"$'\n'"$(grep -v '^WARNING' "$log" | tail -n 5)"
}

# may_install: whether Debian packages can be installed without asking anyone. Sets SUDO ("" as root) either way.
may_install() {
    SUDO=''
    [ "$(id -u)" = 0 ] || SUDO='sudo -n'
    command -v apt-get >/dev/null && { [ -z "$SUDO" ] || $SUDO true 2>/dev/null; }
}

# install_debian PACKAGE...: apt-get install that asks nothing and starts none of the services it brings. After may_install.
install_debian() {
    local log
    log=$(mktemp)
    say "apt-get install $*, about half a minute"
    if ! (without_service_start apt_get_install "$@" >"$log" 2>&1); then
        fail "apt-get failed; the end of $log:"$'\n'"$(tail -n 5 "$log")"
    fi
    rm -f "$log"
}

apt_get_install() {
    $SUDO apt-get update && $SUDO env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@"
}

# without_service_start COMMAND...: Debian's maintainer scripts ask policy-rc.d; exit 101 from it means "do not start".
without_service_start() {
    local policy=/usr/sbin/policy-rc.d
    if [ ! -e $policy ]; then
        trap "$SUDO rm -f $policy" EXIT
        printf '#!/bin/sh\nexit 101\n' | $SUDO tee $policy >/dev/null
        $SUDO chmod 755 $policy
    fi
    "$@"
}
