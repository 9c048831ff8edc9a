#!/bin/sh
# What a new person does: clone, and the commands of README.md, as an unprivileged user with an empty environment and
# nothing but go, git, make and coreutils on the PATH. With ONCE the sandbox stops by itself when its fleet is ready.
#
# GOMODCACHE, GOPROXY and GOFLAGS are passed on, so that a machine without a network can run it.
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
home=$(mktemp -d)
trap 'rm -rf "$home" 2>/dev/null || { chmod -R u+w "$home"; rm -rf "$home"; }' EXIT

mkdir -p "$home/path"
for tool in go gofmt git make sh; do
	ln -s "$(command -v "$tool")" "$home/path/$tool"
done
# coreutils, by the names that they are installed under.
for tool in '[' basename cat chmod cp cut date dirname echo env expr head id ln ls mkdir mktemp mv printf pwd rm sha256sum sleep sort tail tee test touch tr true uname wc; do
	path=$(command -v "$tool" || true)
	case $path in /*) ln -s "$path" "$home/path/$tool" ;; esac
done

git clone -q "$here" "$home/periplus"
run() {
	if [ "$(id -u)" = 0 ]; then
		command -v setpriv >/dev/null || { echo 'test-fresh as root needs setpriv; run it as another user' >&2; exit 1; }
		chown -R 65534:65534 "$home"
		setpriv --reuid 65534 --regid 65534 --clear-groups -- "$@"
	else
		"$@"
	fi
}
cd "$home/periplus"
for command in 'make sandbox ONCE=1' 'make sandbox-reset' 'make test'; do
	echo "== $command"
	run env -i HOME="$home" PATH="$home/path" GOMODCACHE="${FRESH_GOMODCACHE:-$home/go/pkg/mod}" GOPROXY="$(go env GOPROXY)" \
		GONOSUMDB="$(go env GONOSUMDB)" GOSUMDB="$(go env GOSUMDB)" GOFLAGS="$(go env GOFLAGS)" sh -c "$command"
done
echo 'ok    fresh'
