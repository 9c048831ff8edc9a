#!/bin/sh
# Generates code below a folder (default: this repository): Go of the protos, the REST gateway, OpenAPI, deep copies, CRDs, and
# the copies of Cluster API's CRDs.
#
#   generate.sh [folder]
set -eu
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.."
out=${1:-.}
tools=$(sh e2e/tools/build.sh gen)

mkdir -p "$out/api/proto" "$out/api/openapi" "$out/api/crds" "$out/api/v1alpha1" \
	"$out/clusters/local/v1alpha1" "$out/clusters/local/crds" "$out/clusters/local/capi/crds"
"$tools/gen" -I api/proto -out "$out/api/proto" \
	-plugin "$tools/protoc-gen-go=paths=source_relative" \
	-plugin "$tools/protoc-gen-go-grpc=paths=source_relative" \
	periplus/link/v1/link.proto periplus/status/v1/status.proto \
	periplus/plugin/v1/plugin.proto periplus/plugin/v1/renderer.proto periplus/plugin/v1/decrypter.proto periplus/plugin/v1/notifier.proto
"$tools/gen" -I api/proto -out "$out/api/proto" \
	-plugin "$tools/protoc-gen-grpc-gateway=paths=source_relative" \
	periplus/status/v1/status.proto
"$tools/gen" -I api/proto -out "$out/api/openapi" \
	-plugin "$tools/protoc-gen-openapiv2=allow_merge=true,merge_file_name=periplus" \
	periplus/status/v1/status.proto
"$tools/controller-gen" paths=./api/v1alpha1 \
	object "output:object:dir=$out/api/v1alpha1" \
	crd "output:crd:artifacts:config=$out/api/crds"
"$tools/controller-gen" paths=./clusters/local/v1alpha1 \
	object "output:object:dir=$out/clusters/local/v1alpha1" \
	crd "output:crd:artifacts:config=$out/clusters/local/crds"
go run ./clusters/local/capi/generate "$out/clusters/local/capi"
# The reference is made from what was generated above, so it comes last.
mkdir -p "$out/docs/reference"
go run ./docs/gen -folder "$out/docs/reference"
