package oci

import (
	"archive/tar"
	"bytes"
	"cmp"
	"compress/gzip"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"
)

// File of an image.
type File struct {
	// Path from the root, without the leading slash.
	Path string
	Mode int64
	// Owner is the user and the group.
	Owner int
	Data  []byte
	// Folder has no Data.
	Folder bool
}

// layer is a tar with nothing in it that a second build would write otherwise: sorted names, one time, no names of users.
func layer(files []File, at time.Time) (compressed []byte, plain digest.Digest, err error) {
	var raw bytes.Buffer
	archive := tar.NewWriter(&raw)
	for _, file := range slices.SortedFunc(slices.Values(files), func(a, b File) int { return cmp.Compare(a.Path, b.Path) }) {
		header := &tar.Header{Typeflag: tar.TypeReg, Name: file.Path, Mode: file.Mode, Uid: file.Owner, Gid: file.Owner,
			Size: int64(len(file.Data)), ModTime: at, Format: tar.FormatPAX}
		if file.Folder {
			header.Typeflag, header.Name = tar.TypeDir, file.Path+"/"
		}
		if !fs.ValidPath(file.Path) {
			return nil, "", fmt.Errorf("cannot put file %q into an image: its path is not clean", file.Path)
		}
		if err := archive.WriteHeader(header); err != nil {
			return nil, "", fmt.Errorf("cannot put file %q into an image: %w", file.Path, err)
		}
		if _, err := archive.Write(file.Data); err != nil {
			return nil, "", fmt.Errorf("cannot put file %q into an image: %w", file.Path, err)
		}
	}
	if err := archive.Close(); err != nil {
		return nil, "", fmt.Errorf("cannot write a layer: %w", err)
	}
	// Every runtime and registry reads gzip; zstd would save a tenth of it and asks for newer ones.
	var out bytes.Buffer
	zipped, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err == nil {
		_, err = zipped.Write(raw.Bytes())
	}
	if err == nil {
		err = zipped.Close()
	}
	if err != nil {
		return nil, "", fmt.Errorf("cannot compress a layer: %w", err)
	}
	return out.Bytes(), digest.FromBytes(raw.Bytes()), nil
}
