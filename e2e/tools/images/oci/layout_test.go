package oci_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"oras.land/oras-go/v2"
	"oras.land/oras-go/v2/content/memory"
	layouts "oras.land/oras-go/v2/content/oci"

	"github.com/periplus-fleet/periplus/e2e/tools/images/oci"
)

func image() oci.Image {
	base := []oci.File{{Path: "etc", Mode: 0o755, Folder: true}, {Path: "etc/passwd", Mode: 0o644, Data: []byte("nonroot:x:65532:65532::/:\n")},
		{Path: "tmp", Mode: 0o1777, Folder: true}}
	platform := func(arch string) oci.Platform {
		return oci.Platform{OS: "linux", Architecture: arch, Layers: [][]oci.File{base, {{Path: "program", Mode: 0o755, Data: []byte("for " + arch)}}}}
	}
	return oci.Image{Tag: "v1", Labels: map[string]string{v1.AnnotationTitle: "program", v1.AnnotationVersion: "v1"},
		Created: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), User: "65532:65532", Entrypoint: []string{"/program"},
		Platforms: []oci.Platform{platform("amd64"), platform("arm64")}}
}

func write(t *testing.T, image oci.Image) (string, oci.Written) {
	t.Helper()
	folder := filepath.Join(t.TempDir(), "layout")
	written, err := oci.Write(folder, image)
	if err != nil {
		t.Fatal(err)
	}
	return folder, written
}

func TestSameInputSameDigest(t *testing.T) {
	_, first := write(t, image())
	shuffled := image()
	for _, platform := range shuffled.Platforms {
		slices.Reverse(platform.Layers[0])
	}
	if _, second := write(t, shuffled); first.Digest != second.Digest {
		t.Errorf("the same image has digests %s and %s", first.Digest, second.Digest)
	}
	changed := image()
	changed.Platforms[1].Layers[1][0].Data = []byte("another")
	if _, third := write(t, changed); first.Digest == third.Digest {
		t.Error("another program has the same digest")
	}
}

// read gives a blob of a layout, whose content must be what its descriptor says.
func read(t *testing.T, folder string, descriptor v1.Descriptor, into any) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(folder, "blobs", "sha256", descriptor.Digest.Encoded()))
	if err != nil {
		t.Fatal(err)
	}
	if digest.FromBytes(data) != descriptor.Digest || int64(len(data)) != descriptor.Size {
		t.Fatalf("blob %s is not what its descriptor says", descriptor.Digest)
	}
	if into != nil {
		if err := json.Unmarshal(data, into); err != nil {
			t.Fatal(err)
		}
	}
	return data
}

func TestLayoutHoldsBothPlatforms(t *testing.T) {
	folder, written := write(t, image())
	data, err := os.ReadFile(filepath.Join(folder, "index.json"))
	if err != nil {
		t.Fatal(err)
	}
	var top, index v1.Index
	if err := json.Unmarshal(data, &top); err != nil {
		t.Fatal(err)
	}
	if len(top.Manifests) != 1 || top.Manifests[0].Annotations[v1.AnnotationRefName] != "v1" || top.Manifests[0].Digest != written.Digest {
		t.Fatalf("the layout names %+v", top.Manifests)
	}
	read(t, folder, top.Manifests[0], &index)
	for i, arch := range []string{"amd64", "arm64"} {
		if index.Manifests[i].Platform.Architecture != arch {
			t.Fatalf("platform %d is %+v, want %s", i, index.Manifests[i].Platform, arch)
		}
		var manifest v1.Manifest
		var config v1.Image
		read(t, folder, index.Manifests[i], &manifest)
		read(t, folder, manifest.Config, &config)
		if config.Config.User != "65532:65532" || !slices.Equal(config.Config.Entrypoint, []string{"/program"}) || config.Architecture != arch {
			t.Errorf("the config of %s is %+v", arch, config)
		}
		size, names := index.Manifests[i].Size+manifest.Config.Size, []string{}
		for at, descriptor := range manifest.Layers {
			found, plain := unpack(t, read(t, folder, descriptor, nil))
			if plain != config.RootFS.DiffIDs[at] {
				t.Errorf("layer %d of %s is not the one that the config names", at, arch)
			}
			names, size = append(names, found...), size+descriptor.Size
		}
		if diff := cmp.Diff([]string{"etc/ 0755 0", "etc/passwd 0644 0", "tmp/ 1777 0", "program 0755 0"}, names); diff != "" {
			t.Errorf("files of %s (-want +got):\n%s", arch, diff)
		}
		if written.Compressed[arch] != size {
			t.Errorf("%s is said to take %d bytes, and takes %d", arch, written.Compressed[arch], size)
		}
	}
}

func unpack(t *testing.T, compressed []byte) (names []string, plain digest.Digest) {
	t.Helper()
	zipped, err := gzip.NewReader(bytes.NewReader(compressed))
	if err != nil {
		t.Fatal(err)
	}
	raw, err := io.ReadAll(zipped)
	if err != nil {
		t.Fatal(err)
	}
	archive := tar.NewReader(bytes.NewReader(raw))
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return names, digest.FromBytes(raw)
		}
		if err != nil {
			t.Fatal(err)
		}
		if !header.ModTime.Equal(image().Created) {
			t.Errorf("%s is of %s", header.Name, header.ModTime)
		}
		names = append(names, fmt.Sprintf("%s %04o %d", header.Name, header.Mode, header.Uid))
	}
}

// TestRegistryClientReadsTheLayout copies an image as a tool does that brings it to a registry.
func TestRegistryClientReadsTheLayout(t *testing.T) {
	folder, written := write(t, image())
	layout, err := layouts.New(folder)
	if err != nil {
		t.Fatal(err)
	}
	copied, err := oras.Copy(t.Context(), layout, "v1", memory.New(), "v1", oras.DefaultCopyOptions)
	if err != nil || copied.Digest != written.Digest {
		t.Errorf("the copy has digest %s (%v), want %s", copied.Digest, err, written.Digest)
	}
}

func TestUncleanPathIsRefused(t *testing.T) {
	for name, path := range map[string]string{"Absolute": "/etc/passwd", "Upwards": "../passwd", "Doubled": "etc//passwd"} {
		t.Run(name, func(t *testing.T) {
			bad := image()
			bad.Platforms[0].Layers[0] = []oci.File{{Path: path, Mode: 0o644}}
			if _, err := oci.Write(filepath.Join(t.TempDir(), "layout"), bad); err == nil {
				t.Errorf("a file at %q was written", path)
			}
		})
	}
}
