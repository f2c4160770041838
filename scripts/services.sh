#!/bin/sh
# Installs the Debian packages that some tests use: Ceph's S3 gateway, a browser, a second OCR engine.
# Without apt or root it only says which are missing; the tests that need them skip and say why.
set -eu

# program:package - the program tells whether the package is there already
wanted="
radosgw:radosgw
ceph-mon:ceph-mon
ceph-osd:ceph-osd
monmaptool:ceph-base
ceph:ceph-common
chromium:chromium
rclone:rclone
wrk:wrk
tesseract:tesseract-ocr
"

missing=
for pair in $wanted; do
    program=${pair%%:*}
    PATH=$PATH:/usr/sbin:/sbin command -v "$program" >/dev/null 2>&1 || missing="$missing ${pair#*:}"
done
if [ -z "$missing" ]; then
    echo "services: everything the tests use is installed"
    exit 0
fi
if ! command -v apt-get >/dev/null 2>&1 || [ "$(id -u)" != 0 ]; then
    echo "services: missing here:$missing"
    echo "services: the tests that need them will skip. On Debian, as root: make services"
    exit 0
fi

# The packages would start daemons of their own; the tests start theirs. 101 = not allowed (invoke-rc.d(8)).
# A policy that is there already is the machine's and stays.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
    trap 'rm -f "$policy"' EXIT
    trap 'exit 130' INT TERM
fi

export DEBIAN_FRONTEND=noninteractive
apt-get -o DPkg::Lock::Timeout=300 update
# shellcheck disable=SC2086 - a list of names
apt-get -o DPkg::Lock::Timeout=300 install -y --no-install-recommends $missing
