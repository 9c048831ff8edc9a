package controlplane

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/utils/ptr"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	"github.com/periplus-fleet/periplus/clusters/local/member"
	"github.com/periplus-fleet/periplus/clusters/local/v1alpha1"
)

func TestReport(t *testing.T) {
	type want struct {
		Initialized        bool
		Version            string
		Versions           []clusterv1.StatusVersion
		Available, Rolling string
	}
	at := func(version string) []clusterv1.StatusVersion { return []clusterv1.StatusVersion{{Version: version}} }
	cases := map[string]struct {
		reason          string
		running, wanted string
		state           member.State
		emulated        string
		refused         string
		want            want
	}{
		"Starting": {reason: "no version is reported before one answers", wanted: "v1.35.0", emulated: "1.35",
			want: want{Available: "False/Starting", Rolling: "False/UpToDate"}},
		"Answers": {reason: "the first answer initializes", wanted: "v1.35.0", emulated: "1.35", state: member.State{Emulated: "1.35"},
			want: want{Initialized: true, Version: "v1.35.0", Versions: at("v1.35.0"), Available: "True/Available", Rolling: "False/UpToDate"}},
		"Upgrading": {reason: "workers wait for the version, so the old one stays until the new one answers", running: "v1.35.0", wanted: "v1.36.0", emulated: "1.36",
			state: member.State{Emulated: "1.35"},
			want:  want{Initialized: true, Version: "v1.35.0", Versions: at("v1.35.0"), Available: "False/Starting", Rolling: "True/Upgrading"}},
		"Upgraded": {reason: "the new one answers", running: "v1.35.0", wanted: "v1.36.0", emulated: "1.36", state: member.State{Emulated: "1.36"},
			want: want{Initialized: true, Version: "v1.36.0", Versions: at("v1.36.0"), Available: "True/Available", Rolling: "False/UpToDate"}},
		"Refused": {reason: "a refused version changes nothing but what is said of it", running: "v1.35.0", wanted: "v1.40.0", emulated: "1.35", refused: "cannot run v1.40.0",
			state: member.State{Emulated: "1.35"},
			want:  want{Initialized: true, Version: "v1.35.0", Versions: at("v1.35.0"), Available: "True/Available", Rolling: "False/VersionRefused"}},
		"Failed": {reason: "a failed start is told and does not take initialization back", running: "v1.35.0", wanted: "v1.35.0", emulated: "1.35",
			state: member.State{Err: errors.New("port taken")},
			want:  want{Initialized: true, Version: "v1.35.0", Versions: at("v1.35.0"), Available: "False/StartFailed", Rolling: "False/UpToDate"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			plane := &v1alpha1.LocalControlPlane{Spec: v1alpha1.LocalControlPlaneSpec{Version: tc.wanted}}
			if tc.running != "" {
				plane.Status.Version, plane.Status.Versions = tc.running, at(tc.running)
				plane.Status.Initialization.ControlPlaneInitialized = ptr.To(true)
			}
			report(plane, observe(tc.state, tc.emulated, tc.refused))
			text := func(kind string) string {
				c := meta.FindStatusCondition(plane.Status.Conditions, kind)
				return string(c.Status) + "/" + c.Reason
			}
			got := want{Initialized: ptr.Deref(plane.Status.Initialization.ControlPlaneInitialized, false), Version: plane.Status.Version,
				Versions: plane.Status.Versions, Available: text(ConditionAvailable), Rolling: text(ConditionRollingOut)}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s: -want +got:\n%s", tc.reason, diff)
			}
		})
	}
}
