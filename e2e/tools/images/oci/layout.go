// Package oci writes container images as OCI layouts, the folders that registries' tools copy from, without a container
// runtime. The same input gives the same bytes, so that everybody can check that an image was built from its source.
package oci

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// Image of one program for one or more platforms.
type Image struct {
	// Tag that the layout's index names.
	Tag    string
	Labels map[string]string
	// Created is the time of everything in it.
	Created    time.Time
	User       string
	Entrypoint []string
	Platforms  []Platform
}

// Platform is what an image holds for one kind of machine.
type Platform struct {
	OS, Architecture string
	// Layers from the bottom up; one that rarely changes stands first.
	Layers [][]File
}

// Written says what an image became.
type Written struct {
	// Digest of the index of all platforms.
	Digest digest.Digest
	// Compressed is what a machine fetches, in bytes, by architecture.
	Compressed map[string]int64
}

// Write makes the folder of a layout; what was there before is replaced.
func Write(folder string, image Image) (Written, error) {
	w := writer{folder: folder}
	w.clear()
	written := Written{Compressed: map[string]int64{}}
	index := v1.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageIndex, Annotations: image.Labels}
	for _, platform := range image.Platforms {
		descriptor, size := w.platform(image, platform)
		index.Manifests = append(index.Manifests, descriptor)
		written.Compressed[platform.Architecture] = size
	}
	whole := w.document(v1.MediaTypeImageIndex, index)
	whole.Annotations = map[string]string{v1.AnnotationRefName: image.Tag}
	w.file(v1.ImageIndexFile, w.encode(v1.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageIndex,
		Manifests: []v1.Descriptor{whole}}))
	w.file(v1.ImageLayoutFile, w.encode(v1.ImageLayout{Version: v1.ImageLayoutVersion}))
	if w.err != nil {
		return Written{}, fmt.Errorf("cannot write image layout %q: %w", folder, w.err)
	}
	written.Digest = whole.Digest
	return written, nil
}

// writer keeps the first error.
type writer struct {
	folder string
	err    error
}

func (w *writer) clear() {
	if w.err = os.RemoveAll(w.folder); w.err == nil {
		w.err = os.MkdirAll(filepath.Join(w.folder, v1.ImageBlobsDir, digest.Canonical.String()), 0o755)
	}
}

func (w *writer) platform(image Image, platform Platform) (v1.Descriptor, int64) {
	config := v1.Image{Created: &image.Created, Platform: v1.Platform{OS: platform.OS, Architecture: platform.Architecture},
		Config: v1.ImageConfig{User: image.User, Entrypoint: image.Entrypoint, WorkingDir: "/", Labels: image.Labels},
		RootFS: v1.RootFS{Type: "layers"}}
	manifest := v1.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageManifest, Annotations: image.Labels}
	var size int64
	for _, files := range platform.Layers {
		compressed, plain, err := layer(files, image.Created)
		if w.err == nil {
			w.err = err
		}
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, plain)
		manifest.Layers = append(manifest.Layers, w.blob(v1.MediaTypeImageLayerGzip, compressed))
		size += int64(len(compressed))
	}
	manifest.Config = w.document(v1.MediaTypeImageConfig, config)
	descriptor := w.document(v1.MediaTypeImageManifest, manifest)
	descriptor.Platform = &config.Platform
	return descriptor, size + manifest.Config.Size + descriptor.Size
}

func (w *writer) document(mediaType string, value any) v1.Descriptor {
	return w.blob(mediaType, w.encode(value))
}

func (w *writer) blob(mediaType string, data []byte) v1.Descriptor {
	sum := digest.FromBytes(data)
	w.file(filepath.Join(v1.ImageBlobsDir, sum.Algorithm().String(), sum.Encoded()), data)
	return v1.Descriptor{MediaType: mediaType, Digest: sum, Size: int64(len(data))}
}

func (w *writer) encode(value any) []byte {
	data, err := json.Marshal(value)
	if w.err == nil {
		w.err = err
	}
	return data
}

func (w *writer) file(name string, data []byte) {
	if w.err == nil {
		w.err = os.WriteFile(filepath.Join(w.folder, name), data, 0o644)
	}
}
