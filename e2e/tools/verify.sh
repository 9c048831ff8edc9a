#!/bin/sh
# Proves what a reader of the repository takes for granted. `verify.sh all` runs every step and says what failed.
#
#   verify.sh all | [format] [imports] [generated] [modules] [lint] [docs]
set -eu
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.."

step_format() {
	unformatted=$(git ls-files -co --exclude-standard '*.go' | while read -r file; do if [ -e "$file" ]; then echo "$file"; fi; done | xargs gofmt -l)
	if [ -n "$unformatted" ]; then
		printf 'not formatted, run make fmt:\n%s\n' "$unformatted"
		return 1
	fi
}

# Direct imports are depguard's (.golangci.yml); what a binary links through others is seen only here.
step_imports() {
	deps=$(go list -deps ./cmd/periplus-agent)
	for package in $deps; do
		case $package in
		# The API's FleetCluster names them, and policies are of the API; they are types and nothing else.
		sigs.k8s.io/cluster-api/api/*) ;;
		github.com/periplus-fleet/periplus/hub/* | github.com/periplus-fleet/periplus/e2e/* | helm.sh/* | \
			sigs.k8s.io/kustomize/api/* | github.com/go-git/* | sigs.k8s.io/cluster-api/*)
			printf 'periplus-agent links %s: it must stay small and know nothing of the hub (go list -deps ./cmd/periplus-agent)\n' "$package"
			return 1
			;;
		esac
	done
	if [ ! -d cmd/periplus-hub ]; then return 0; fi
	deps=$(go list -deps ./cmd/periplus-hub)
	for package in $deps; do
		case $package in
		github.com/periplus-fleet/periplus/agent/* | github.com/periplus-fleet/periplus/e2e/* | github.com/periplus-fleet/periplus/clusters/local/*)
			printf 'periplus-hub links %s: it must not (go list -deps ./cmd/periplus-hub)\n' "$package"
			return 1
			;;
		esac
	done
}

step_generated() {
	fresh=$(mktemp -d)
	sh e2e/tools/generate.sh "$fresh"
	stale=0
	# A file that nothing generates any more is as stale as one that differs: folders of CRDs hold generated ones only.
	for file in api/crds/*.yaml clusters/local/crds/*.yaml clusters/local/capi/crds/*.yaml; do
		if [ ! -e "$fresh/$file" ]; then
			printf '%s is not generated any more: remove it\n' "$file"
			stale=1
		fi
	done
	for name in $(cd "$fresh" && find . -type f); do
		name=${name#./} file=$fresh/$name
		if ! git --no-pager diff --no-index --stat -- "$name" "$file"; then
			printf '%s is not what make generate writes\n' "$name"
			stale=1
		fi
	done
	rm -rf "$fresh"
	return $stale
}

# A replace would break `go install` of our commands; the nested tool modules may have them.
step_modules() {
	if [ -n "$(go mod edit -json | while read -r line; do case $line in '"Replace": ['*) echo "$line" ;; esac; done)" ]; then
		echo 'go.mod has a replace, which go install refuses'
		return 1
	fi
	if ! go mod tidy -diff; then
		echo 'go.mod or go.sum is not tidy: run go mod tidy'
		return 1
	fi
}

step_lint() {
	tools=$(sh e2e/tools/build.sh lint)
	"$tools/golangci-lint" run ./...
}

step_docs() {
	go test ./e2e/docs
}

steps="$*"
if [ "$steps" = all ]; then steps="format imports generated modules lint docs"; fi
failed=
for step in $steps; do
	started=$(date +%s)
	# A subshell of its own, as set -e does not hold inside a condition.
	set +e
	(set -e; "step_$step")
	status=$?
	set -e
	if [ $status -eq 0 ]; then
		printf 'ok    verify/%s  %ss\n' "$step" "$(($(date +%s) - started))"
	else
		printf 'FAIL  verify/%s  %ss\n' "$step" "$(($(date +%s) - started))"
		failed="$failed $step"
	fi
done
if [ -n "$failed" ]; then
	printf 'failed:%s\n' "$failed"
	exit 1
fi
