package version_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/periplus-fleet/periplus/clusters/local/version"
)

func TestChoose(t *testing.T) {
	type want struct {
		emulated string
		refused  bool
	}
	cases := map[string]struct {
		reason                 string
		wanted, running, built string
		want                   want
	}{
		"Own":        {reason: "the binary runs as itself", wanted: "v1.36.0", built: "v1.36.3", want: want{emulated: "1.36"}},
		"Oldest":     {reason: "two minors before are emulated", wanted: "v1.34.9", built: "v1.36.3", want: want{emulated: "1.34"}},
		"TooOld":     {reason: "three minors before are refused though the binary might", wanted: "v1.33.0", built: "v1.36.3", want: want{refused: true}},
		"TooNew":     {reason: "nothing emulates the future", wanted: "v1.37.0", built: "v1.36.3", want: want{refused: true}},
		"Upgrade":    {reason: "an upgrade goes on", wanted: "v1.36.0", running: "v1.35.2", built: "v1.36.3", want: want{emulated: "1.36"}},
		"Downgrade":  {reason: "stored objects may be newer", wanted: "v1.35.0", running: "v1.36.0", built: "v1.36.3", want: want{refused: true}},
		"PatchBack":  {reason: "patch versions are all the same binary", wanted: "v1.36.0", running: "v1.36.2", built: "v1.36.3", want: want{emulated: "1.36"}},
		"NoVersion":  {reason: "nothing can be guessed", wanted: "latest", built: "v1.36.3", want: want{refused: true}},
		"OtherMajor": {reason: "there is no Kubernetes 2", wanted: "v2.36.0", built: "v1.36.3", want: want{refused: true}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			emulated, err := version.Choose(tc.wanted, tc.running, tc.built)
			got := want{emulated: emulated, refused: errors.Is(err, version.ErrRefused)}
			if diff := cmp.Diff(tc.want, got, cmp.AllowUnexported(want{})); diff != "" {
				t.Errorf("%s: -want +got:\n%s(%v)", tc.reason, diff, err)
			}
		})
	}
}
