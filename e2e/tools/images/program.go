package main

import (
	"bytes"
	"cmp"
	"debug/buildinfo"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/crypto/x509roots/fallback/bundle"

	"github.com/periplus-fleet/periplus/e2e/tools/images/oci"
)

// program is a command with an image of its own.
type program struct {
	name, title string
	// public says that it talks to servers that public CAs vouch for.
	public bool
	// binary and image are what they may take at most, in MiB; 0 is any.
	binary, image int64
}

var programs = []program{
	// The agent trusts its API server and its hub by CAs that it is given.
	{name: "periplus-agent", title: "The one process of a member cluster", binary: 60, image: 22},
	{name: "periplus-hub", title: "The hub of a fleet", public: true},
}

// nonroot is the user of both images; the agent's chart names the same.
const nonroot = 65532

func (p program) build(out string, architectures []string) ([]size, error) {
	license, err := os.ReadFile("LICENSE")
	if err != nil {
		return nil, fmt.Errorf("cannot build images but in the repository's root: %w", err)
	}
	scratch, err := os.MkdirTemp("", "periplus-images-")
	if err != nil {
		return nil, fmt.Errorf("cannot build image %q: %w", p.name, err)
	}
	defer func() { _ = os.RemoveAll(scratch) }()
	image, base, sizes := oci.Image{}, p.base(license), []size{}
	for _, architecture := range architectures {
		path := filepath.Join(scratch, p.name)
		if err := compile(p.name, architecture, path); err != nil {
			return nil, err
		}
		binary, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("cannot build image %q: %w", p.name, err)
		}
		info, err := buildinfo.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("cannot read what %s was built from: %w", p.name, err)
		}
		platforms := append(image.Platforms, oci.Platform{OS: "linux", Architecture: architecture,
			Layers: [][]oci.File{base, {{Path: p.name, Mode: 0o755, Data: binary}}}})
		image = p.describe(info)
		image.Platforms = platforms
		sizes = append(sizes, size{Image: p.name + ":" + image.Tag, Architecture: architecture, Binary: int64(len(binary))})
	}
	written, err := oci.Write(filepath.Join(out, p.name), image)
	for i := range sizes {
		sizes[i].Digest, sizes[i].Compressed = written.Digest.String(), written.Compressed[sizes[i].Architecture]
	}
	return sizes, err
}

// compile makes a static binary that says nothing of the machine that built it, and of which commit it is.
func compile(name, architecture, path string) error {
	command := exec.Command("go", "build", "-trimpath", "-buildvcs=auto", "-ldflags", "-s -w", "-o", path, "./cmd/"+name)
	command.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+architecture, "GOAMD64=v1", "GOARM64=v8.0")
	command.Stdout, command.Stderr = os.Stderr, os.Stderr
	if err := command.Run(); err != nil {
		return fmt.Errorf("cannot build %s for %s: %w", name, architecture, err)
	}
	return nil
}

// describe says of an image what its binary was built from: the commit's time is that of all its files.
func (p program) describe(info *debug.BuildInfo) oci.Image {
	settings := map[string]string{}
	for _, setting := range info.Settings {
		settings[setting.Key] = setting.Value
	}
	created, err := time.Parse(time.RFC3339, settings["vcs.time"])
	if err != nil {
		created = time.Unix(0, 0).UTC()
	}
	version := strings.Trim(cmp.Or(info.Main.Version, "devel"), "()")
	return oci.Image{Tag: strings.ReplaceAll(version, "+", "-"), Created: created, User: fmt.Sprintf("%d:%d", nonroot, nonroot),
		Entrypoint: []string{"/" + p.name}, Labels: map[string]string{
			v1.AnnotationTitle: p.name, v1.AnnotationDescription: p.title, v1.AnnotationVersion: version,
			v1.AnnotationRevision: settings["vcs.revision"], v1.AnnotationSource: "https://" + info.Main.Path,
			v1.AnnotationLicenses: "Apache-2.0",
		}}
}

// base is all that stands in an image beside the program.
func (p program) base(license []byte) []oci.File {
	files := []oci.File{
		{Path: "LICENSE", Mode: 0o644, Data: license},
		{Path: "tmp", Mode: 0o1777, Folder: true},
		{Path: "etc", Mode: 0o755, Folder: true},
		{Path: "etc/passwd", Mode: 0o644, Data: fmt.Appendf(nil, "root:x:0:0::/:/sbin/nologin\nnonroot:x:%d:%d::/:/sbin/nologin\n", nonroot, nonroot)},
		{Path: "etc/group", Mode: 0o644, Data: fmt.Appendf(nil, "root:x:0:\nnonroot:x:%d:\n", nonroot)},
	}
	if !p.public {
		return files
	}
	return append(files,
		oci.File{Path: "etc/ssl", Mode: 0o755, Folder: true},
		oci.File{Path: "etc/ssl/certs", Mode: 0o755, Folder: true},
		oci.File{Path: "etc/ssl/certs/ca-certificates.crt", Mode: 0o644, Data: roots()},
		// The hub's own folder, where no volume is mounted.
		oci.File{Path: "var", Mode: 0o755, Folder: true},
		oci.File{Path: "var/lib", Mode: 0o755, Folder: true},
		oci.File{Path: "var/lib/periplus", Mode: 0o700, Owner: nonroot, Folder: true},
	)
}

// roots are the public CAs. One that is trusted under a condition only is left out, as a file cannot say the condition.
func roots() []byte {
	var out bytes.Buffer
	for root := range bundle.Roots() {
		if root.Constraint == nil {
			_ = pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate})
		}
	}
	return out.Bytes()
}

// excess says what of an image is larger than it may be; "" is nothing.
func (p program) excess(s size) string {
	switch {
	case p.binary > 0 && s.Binary > p.binary*mib:
		return fmt.Sprintf("the binary of %s for %s takes %.1f MiB, more than %d", p.name, s.Architecture, float64(s.Binary)/mib, p.binary)
	case p.image > 0 && s.Compressed > p.image*mib:
		return fmt.Sprintf("image %s for %s takes %.1f MiB compressed, more than %d", p.name, s.Architecture, float64(s.Compressed)/mib, p.image)
	default:
		return ""
	}
}
