package infra_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/periplus-fleet/periplus/clusters/local/infra"
	"github.com/periplus-fleet/periplus/clusters/local/v1alpha1"
)

func TestFree(t *testing.T) {
	type want struct {
		port int32
		full bool
	}
	ports := v1alpha1.PortRange{First: 7000, Last: 7002}
	cases := map[string]struct {
		reason string
		taken  map[int32]string
		busy   map[int32]bool
		want   want
	}{
		"First":    {reason: "the first free port is taken", want: want{port: 7000}},
		"Taken":    {reason: "a port of a cluster that does not run yet is not given again", taken: map[int32]string{7000: "a/b"}, want: want{port: 7001}},
		"Busy":     {reason: "another program's port is passed over", taken: map[int32]string{7001: "a/b"}, busy: map[int32]bool{7000: true}, want: want{port: 7002}},
		"Last":     {reason: "the last port of the range belongs to it", taken: map[int32]string{7000: "", 7001: ""}, want: want{port: 7002}},
		"NoneLeft": {reason: "a full range is an error, not a port outside of it", taken: map[int32]string{7000: "", 7001: ""}, busy: map[int32]bool{7002: true}, want: want{full: true}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			port, err := infra.Free(ports, tc.taken, func(port int32) bool { return tc.busy[port] })
			if diff := cmp.Diff(tc.want, want{port: port, full: err != nil}, cmp.AllowUnexported(want{})); diff != "" {
				t.Errorf("%s: -want +got:\n%s", tc.reason, diff)
			}
		})
	}
}
