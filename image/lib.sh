# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# What every script of image/ shares: where the cache is, how progress is shown, how a result is put in the cache, and how a
# Debian tree is made.
#
# Theory of operation
#
# Everything that is made lives below $CACHE, one directory for each result, beside a stamp that holds the hash of what it was
# made from. A result is made in $CACHE/tmp.XXXX and renamed into place when it is whole, so that a Ctrl-C or a power cut
# leaves either the old result or the new one. One lock ($CACHE/lock) keeps two runs apart; the second waits and then finds
# everything fresh.

set -euo pipefail

SRC=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
CACHE=${HSAVISOR_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/hsavisor}
# The Debian release of the guest, the build tree and the QEMU.
# shellcheck disable=SC2034
RELEASE=trixie
# The suite that the guest's kernel and its headers are from, where that isn't $RELEASE: HSAVISOR_KERNEL=backports takes the newest in
# its backports. The trees, and all that is made of them, are others then: that needs a cache of its own.
KERNEL_SUITE=${HSAVISOR_KERNEL:+$RELEASE-$HSAVISOR_KERNEL}
# The clock of all progress lines, handed down to the scripts that one script starts.
export HSAVISOR_T0=${HSAVISOR_T0:-$(date +%s)}

# say TEXT... - one progress line with the seconds since the command began.
say() {
	printf '[%ds] %s\n' "$(($(date +%s) - HSAVISOR_T0))" "$*"
}

# die TEXT... - the reason, then the end.
die() {
	printf 'hsavisor: %s\n' "$*" >&2
	exit 1
}

case ${HSAVISOR_KERNEL:-}:${HSAVISOR_CACHE:-} in
:* | backports:?*) ;;
*) die "HSAVISOR_KERNEL is 'backports' or empty, and needs a cache of its own: set HSAVISOR_CACHE, too" ;;
esac

# need_root WHAT - stop with a clear sentence when not root.
need_root() {
	[ "$(id -u)" = 0 ] || die "$1 needs root; run it as root or with sudo"
}

# has_vfio_user QEMU - whether it can attach a vfio-user device. All of what it says is read: it would end by SIGPIPE, and a pipe fails with any of its commands.
has_vfio_user() {
	local devices
	devices=$("$1" -device help 2>/dev/null </dev/null) && [[ $devices == *'"vfio-user-pci"'* ]]
}

# lock - take the cache's lock for this script and those it starts; wait for another run to finish, saying so.
lock() {
	[ -z "${HSAVISOR_LOCKED:-}" ] || return 0
	mkdir -p "$CACHE"
	exec 9>"$CACHE/lock"
	if ! flock -n 9; then
		say "waiting for another run to finish"
		flock 9
	fi
	export HSAVISOR_LOCKED=1
}

# scratch - make an empty directory below $CACHE and put its name in $SCRATCH. It is removed when the script ends, however.
scratch() {
	lock
	mkdir -p "$CACHE"
	SCRATCH=$(mktemp -d "$CACHE/tmp.XXXXXX")
	trap scratch_end EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM HUP
}

scratch_end() {
	remove_tree "$SCRATCH"
}

# remove_tree DIR... - remove directories and what is below them, and never descend into something that a killed mmdebstrap
# left mounted there: that is unmounted first.
remove_tree() {
	local dir m
	for dir in "$@"; do
		awk -v d="$(readlink -m "$dir")/" 'index($2, d) == 1 { print $2 }' /proc/self/mounts | sort -r |
			while read -r m; do umount -l "$m" 2>/dev/null || true; done
		rm -rf --one-file-system "$dir"
	done
}

# hash_of FILE-OR-DIR... [-- WORD...] - the hash of the contents (with names) of files and trees, wherever they lie, and of the
# words.
hash_of() {
	local f
	{
		while [ $# -gt 0 ] && [ "$1" != -- ]; do
			if [ -d "$1" ]; then
				(cd "$1" && find . -type f -print0 | LC_ALL=C sort -z | xargs -0r sha256sum)
			elif [ -e "$1" ]; then
				f=$(sha256sum <"$1")
				printf '%s %s\n' "$f" "${1##*/}"
			fi
			shift
		done
		printf '%s\n' "$@"
	} | sha256sum | cut -c1-32
}

# fresh NAME HASH - is the result NAME in the cache and made from HASH?
fresh() {
	[ -e "$CACHE/$1" ] && [ "$(cat "$CACHE/$1.stamp" 2>/dev/null)" = "$2" ]
}

# publish PATH NAME HASH - put a finished file or directory in the cache, in place of what was there.
publish() {
	rm -f "$CACHE/$2.stamp"
	if [ -e "$CACHE/$2" ]; then
		mv -T "$CACHE/$2" "$SCRATCH/old.$2"
	fi
	mv -T "$1" "$CACHE/$2"
	printf '%s\n' "$3" >"$CACHE/$2.stamp"
}

# debian_mirror - the base address of the Debian archive that this machine's own apt uses, security and other archives left out.
# apt tells it; where it can't, its source files do, of either style. (No awk here ends early: with pipefail, the broken pipe
# would count as a failure.)
debian_mirror() {
	local codename uri etc=${APT_ETC:-/etc/apt}
	codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
	# shellcheck disable=SC2016
	uri=$({ apt-get indextargets --format '$(CODENAME) $(COMPONENT) $(REPO_URI)' 'Created-By: Packages' 2>/dev/null || true; } |
		awk -v c="$codename" '$2 == "main" && $1 == c && !n++ { print $3 }')
	if [ -z "$uri" ]; then
		uri=$({ cat "$etc/sources.list" "$etc"/sources.list.d/*.list 2>/dev/null || true; } |
			sed -n 's/^deb *\(\[[^]]*\]\)\{0,1\} *\([^ ]*\) *\([^ ]*\) .*\bmain\b.*/\3 \2/p' |
			awk -v c="$codename" '$1 == c && !n++ { print $2 }')
	fi
	if [ -z "$uri" ]; then
		uri=$({ cat "$etc"/sources.list.d/*.sources 2>/dev/null || true; } |
			awk -v c="$codename" 'BEGIN { RS = ""; FS = "\n" }
				{ u = ""; s = "";
				  for (i = 1; i <= NF; i++) { n = split($i, w, /[ \t]+/);
					if (w[1] == "URIs:") u = w[2];
					if (w[1] == "Suites:") for (j = 2; j <= n; j++) if (w[j] == c) s = c }
				  if (u != "" && s != "" && !found++) print u }')
	fi
	[ -n "$uri" ] || die "no Debian archive in this machine's apt sources (apt-get indextargets lists none)"
	printf '%s\n' "${uri%/}"
}

# apt_options - mmdebstrap's --aptopt arguments: the proxies, time-outs and credentials of this machine's apt, which
# mmdebstrap's own apt would not read. The trees are made from what the mirror holds, however old its signature (a mirror in a
# closed network is seldom refreshed); the signature itself is always checked.
apt_options() {
	apt-config dump 2>/dev/null | sed -n 's/^\(Acquire::\(http\|https\|ftp\|ForceIPv[46]\|Retries\|Check-Date\)\>.* ".\+";\)$/--aptopt=\1/p'
	printf '%s\n' '--aptopt=Acquire::Check-Valid-Until "false";' '--aptopt=Acquire::Languages "none";' \
		'--aptopt=Acquire::Retries "3";' '--aptopt=APT::Install-Recommends "false";'
	[ ! -e /etc/apt/auth.conf ] || echo '--aptopt=Dir::Etc::netrc "/etc/apt/auth.conf";'
	[ ! -d /etc/apt/auth.conf.d ] || echo '--aptopt=Dir::Etc::netrcparts "/etc/apt/auth.conf.d";'
}

# package_list NAME - the packages of image/packages/NAME and of the variable HSAVISOR_NAME_EXTRA (for people who want more in
# their guest), joined by commas; the kernel's with the suite that they are to be from.
package_list() {
	local extra="HSAVISOR_${1^^}_EXTRA"
	{
		sed 's/#.*//' "$SRC/image/packages/$1"
		printf '%s\n' "${!extra:-}" | tr -s ', ' '\n'
	} | sed 's/[ \t]//g; /^$/d' |
		sed "${KERNEL_SUITE:+s,^linux-\(image\|headers\)-amd64\$,&/$KERNEL_SUITE,}" | paste -s -d ,
}

# debootstrap_tree LOG ARGUMENT... - mmdebstrap as root, quiet, its words in LOG; the end of LOG is shown when it fails. Its
# mounts (/proc, /sys and others in the tree) are in a mount namespace of its own, where this machine allows one, so that they
# go with its processes even if those are killed. $KERNEL_SUITE is a source where a package is to be from it.
debootstrap_tree() {
	local log=$1 opts namespace=()
	shift
	mapfile -t opts < <(apt_options)
	case $* in
	*"/${KERNEL_SUITE:-none},"* | *"/${KERNEL_SUITE:-none} "*) set -- "$@" "deb $(debian_mirror) $KERNEL_SUITE main" ;;
	esac
	if unshare --mount true 2>/dev/null; then
		namespace=(unshare --mount)
	fi
	if ! nice -n 5 "${namespace[@]}" mmdebstrap --mode=root --format=directory --architectures=amd64 "${opts[@]}" "$@" >"$log" 2>&1 </dev/null; then
		tail -n 20 "$log" >&2
		die "mmdebstrap failed (see above)"
	fi
}
