// Package charts hands the Helm charts of this repository to Go: the hub installs periplus-agent in the clusters that it
// provisioned from the very files that a cluster's owner installs by hand.
package charts

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"embed"
	"fmt"
	"io/fs"
	"path"
)

// AgentName is the name of the agent's chart, and of the release that the hub makes of it.
const AgentName = "periplus-agent"

//go:embed all:periplus-agent
var files embed.FS

// Agent is the chart periplus-agent, rooted at its Chart.yaml.
func Agent() fs.FS {
	chart, err := fs.Sub(files, AgentName)
	if err != nil {
		panic(err) // the name is a constant that the embed directive names too
	}
	return chart
}

// AgentArchive is the chart periplus-agent packaged as `helm package` does it: a gzipped tar under a folder of the chart's
// name. The same files give the same bytes.
func AgentArchive() ([]byte, error) {
	var out bytes.Buffer
	zipped := gzip.NewWriter(&out)
	archive := tar.NewWriter(zipped)
	err := fs.WalkDir(Agent(), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := fs.ReadFile(Agent(), name)
		if err != nil {
			return err
		}
		header := &tar.Header{Name: path.Join(AgentName, name), Mode: 0o644, Size: int64(len(data)), Typeflag: tar.TypeReg}
		if err := archive.WriteHeader(header); err != nil {
			return err
		}
		_, err = archive.Write(data)
		return err
	})
	if err == nil {
		err = archive.Close()
	}
	if err == nil {
		err = zipped.Close()
	}
	if err != nil {
		return nil, fmt.Errorf("cannot package chart %q: %w", AgentName, err)
	}
	return out.Bytes(), nil
}
