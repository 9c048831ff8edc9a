package main

import (
	"crypto/x509"
	"runtime"
	"runtime/debug"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

func TestDescribe(t *testing.T) {
	info := func(version string, settings ...debug.BuildSetting) *debug.BuildInfo {
		return &debug.BuildInfo{Main: debug.Module{Path: "example.com/x", Version: version}, Settings: settings}
	}
	committed := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	cases := map[string]struct {
		reason         string
		info           *debug.BuildInfo
		tag, of        string
		created        time.Time
		versionClaimed string
	}{
		"Committed": {reason: "the commit says version and time", created: committed, tag: "v1.2.3", versionClaimed: "v1.2.3", of: "abc",
			info: info("v1.2.3", debug.BuildSetting{Key: "vcs.time", Value: "2026-01-02T03:04:05Z"}, debug.BuildSetting{Key: "vcs.revision", Value: "abc"})},
		"Dirty": {reason: "a tag may not hold a plus sign", info: info("v1.2.4-0.2026+dirty"), created: time.Unix(0, 0).UTC(),
			tag: "v1.2.4-0.2026-dirty", versionClaimed: "v1.2.4-0.2026+dirty"},
		"NoRepository": {reason: "sources without a repository build too, the same each time", info: info("(devel)"),
			created: time.Unix(0, 0).UTC(), tag: "devel", versionClaimed: "devel"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			image := programs[0].describe(c.info)
			got := []string{image.Tag, image.Labels[v1.AnnotationVersion], image.Labels[v1.AnnotationRevision], image.Created.String(), image.User}
			want := []string{c.tag, c.versionClaimed, c.of, c.created.String(), "65532:65532"}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", c.reason, diff)
			}
		})
	}
}

func TestExcess(t *testing.T) {
	cases := map[string]struct {
		reason string
		size   size
		want   string
	}{
		"Small":       {reason: "what fits is no excess", size: size{Architecture: "amd64", Binary: 60 * mib, Compressed: 22 * mib}},
		"LargeBinary": {reason: "the binary counts by itself", size: size{Architecture: "amd64", Binary: 61 * mib}, want: "the binary of periplus-agent for amd64 takes 61.0 MiB, more than 60"},
		"LargeImage":  {reason: "so does the image", size: size{Architecture: "arm64", Compressed: 23 * mib}, want: "image periplus-agent for arm64 takes 23.0 MiB compressed, more than 22"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, programs[0].excess(c.size)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", c.reason, diff)
			}
		})
	}
}

func TestRootsAreReadable(t *testing.T) {
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(roots()) || len(roots()) < 100<<10 {
		t.Errorf("the public CAs are %d bytes that a client cannot read", len(roots()))
	}
}

// BenchmarkAgent builds the agent's image for this kind of machine and says what it takes.
func BenchmarkAgent(b *testing.B) {
	b.Chdir("../../..")
	out := b.TempDir()
	for b.Loop() {
		sizes, err := programs[0].build(out, []string{runtime.GOARCH})
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(sizes[0].Binary)/mib, "binary-MiB")
		b.ReportMetric(float64(sizes[0].Compressed)/mib, "compressed-MiB")
	}
}
