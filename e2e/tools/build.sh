#!/bin/sh
# Builds one of the nested tool modules once into the user's cache and prints the folder of its binaries.
#
#   build.sh kube|gen|lint|helm|...
#
# The folder is named by the hash of the module's files, so a changed version builds anew and an old checkout finds its
# own. Only the shell, coreutils and go are used. Progress goes to stderr.
set -eu

tool=${1:?usage: build.sh <folder beside this script>}
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/$tool"

hash=$(cat go.mod go.sum ./*.go 2>/dev/null | sha256sum | cut -c1-16)
cache=${PERIPLUS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/periplus}/tools
folder=$cache/$tool-$hash
if [ -e "$folder/.complete" ]; then
	printf '%s\n' "$folder"
	exit 0
fi

scratch=$folder.$$
mkdir -p "$scratch"
trap 'rm -rf "$scratch"' EXIT
export CGO_ENABLED=0 GOFLAGS="${GOFLAGS:-} -mod=readonly" GOWORK=off

build() {
	case $tool in
	kube)
		# Without a version the API server calls itself v0.0.0-master, which Cluster API and kubectl refuse.
		version=k8s.io/component-base/version
		go build -trimpath -ldflags "-s -w -X $version.gitVersion=v1.36.3 -X $version.gitMajor=1 -X $version.gitMinor=36" \
			-o "$scratch/kube" .
		;;
	*)
		if [ -e main.go ]; then go build -o "$scratch/$tool" .; fi
		GOBIN=$scratch go install tool
		;;
	esac
}

case $tool in
kube) what="etcd, kube-apiserver, kube-controller-manager, kube-scheduler and kubectl (once; 2 to 8 minutes from cold caches)" ;;
lint) what="the linters (once; some minutes from cold caches)" ;;
*) what="the $tool tools (once)" ;;
esac
printf 'building %s\n' "$what" >&2
started=$(date +%s)
build >&2 &
pid=$!
ticks=0
while kill -0 "$pid" 2>/dev/null; do
	sleep 1
	ticks=$((ticks + 1))
	if [ $((ticks % 15)) -eq 0 ]; then printf '  still building %s: %ss\n' "$tool" "$(($(date +%s) - started))" >&2; fi
done
if ! wait "$pid"; then
	printf 'cannot build %s: see above; a failed download needs the network or a GOPROXY that has the modules\n' "$tool" >&2
	exit 1
fi
if [ "$tool" = kube ]; then ln -s kube "$scratch/kubectl"; fi
: >"$scratch/.complete"
# Another build of the same may have won in the meantime; its result is as good.
mv -T "$scratch" "$folder" 2>/dev/null || [ -e "$folder/.complete" ]
printf 'built %s in %ss\n' "$tool" "$(($(date +%s) - started))" >&2
printf '%s\n' "$folder"
