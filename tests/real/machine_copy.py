"""A copy of this machine for a test, in which a script may install, add users and change anything. It goes afterwards.

Stand-ins take the place of what would come from the network: `apt-get`, and the packages that `pip` installs.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from real.documents import command, run, source_folder
from real.engine_process import REPOSITORY

MACHINE = """
umask 022
mount --make-rprivate /
mount -t tmpfs tmpfs "$SCRATCH"
mkdir "$SCRATCH"/up "$SCRATCH"/work "$SCRATCH"/root
mount -t overlay overlay -o "lowerdir=/,upperdir=$SCRATCH/up,workdir=$SCRATCH/work" "$SCRATCH/root"
mount --rbind /proc "$SCRATCH/root/proc"
mount --rbind /dev "$SCRATCH/root/dev"
for each in "$SOURCE" "$REPOSITORY" "$PACKAGES"; do
    [ -e "$SCRATCH/root$each" ] || { mkdir -p "$SCRATCH/root$each" && mount --rbind "$each" "$SCRATCH/root$each"; }
done
ip link set lo up
exec chroot "$SCRATCH/root" bash -euo pipefail -c "$INSIDE"
"""
INSIDE = """
# Where the tests' own Python and code lie, the engine's user must be able to read; on a real machine it is.
for each in "$REPOSITORY" "$PACKAGES" "$BASE"; do
    while [ "$each" != / ]; do chmod a+rx "$each"; each=$(dirname "$each"); done
done
userdel mailbox-engine 2>/dev/null || true
rm -rf /opt/mailbox-engine /var/lib/mailbox-engine /etc/mailbox-engine.toml /backup
cp -r "$SOURCE" /srv/mailbox-engine
cp -r "$STANDINS" /srv/standins
export PATH=/srv/standins:$PATH HOME=/srv
cd /srv/mailbox-engine
"""


class MachineCopy:
    """The copy: a mount namespace and a network of its own, in which this repository is at /srv/mailbox-engine."""

    def __init__(self, folder: Path) -> None:
        """`folder`: an empty one, for what is in the copy alone."""
        self._folder = folder
        source_folder(folder / "source")
        (folder / "source" / "engine").unlink()
        _stand_ins(folder / "standins")
        (folder / "scratch").mkdir()

    @staticmethod
    def is_possible() -> bool:
        """Whether this machine lets a test mount."""
        if os.geteuid() != 0:
            return False
        probe = ["unshare", "-mn", "mount", "--make-rprivate", "/"]
        return subprocess.run(probe, capture_output=True, check=False).returncode == 0

    def run(self, script: str) -> str:
        """What a script of bash prints in the copy, as root. Fails the test at the first command that fails."""
        names = {
            "SCRATCH": str(self._folder / "scratch"),
            "SOURCE": str(self._folder / "source"),
            "STANDINS": str(self._folder / "standins"),
            "REPOSITORY": str(REPOSITORY),
            "PACKAGES": sys.prefix,
            "BASE": sys.base_prefix,
            "INSIDE": f"{INSIDE}\n{script}",
        }
        kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        apart = ["unshare", "-mnp", "--fork", "--kill-child"]
        return run(MACHINE, self._folder, {**kept, **names}, under=apart)


def _stand_ins(folder: Path) -> None:
    """What would come from the network: packages of Debian, and those of Python, which the tests have already."""
    folder.mkdir()
    command(folder / "apt-get", 'case "$*" in update | "install -y "*) ;; *) exit 1 ;; esac')
    (folder / "make.py").write_text(
        f"import sys\nfrom pathlib import Path\nsys.path.insert(0, {str(REPOSITORY / 'tests')!r})\n"
        "from real.documents import environment_folder\nenvironment_folder(Path(sys.argv[1]))\n"
    )
    pip = r"""#!/bin/sh
[ "$1 $2 $4" = "install -c ." ] && [ -e "$3" ] && [ -e pyproject.toml ] || { echo "pip: $*"; exit 1; }
mv "$(dirname "$0")/not-yet" "$(dirname "$0")/engine"
"""
    command(
        folder / "python3",
        f"""if [ "$1 $2" != "-m venv" ]; then exec {os.path.realpath(sys.executable)} "$@"; fi
{sys.executable} /srv/standins/make.py "$(realpath -m "$3")"
cd "$3"/bin && mv engine not-yet
cat >pip <<'END'
{pip}END
chmod 755 pip""",
    )
