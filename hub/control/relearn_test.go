package control

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
	"github.com/periplus-fleet/periplus/hub/delivery"
)

func TestAnswerRelearn(t *testing.T) {
	cluster := delivery.Cluster{UID: "u", Name: "eu-1", Namespace: "fleet"}
	entry := func(bundle, revision string) *linkv1.Entry {
		return &linkv1.Entry{Bundle: bundle, Revision: revision, Options: &linkv1.Options{DriftMode: "Correct"}}
	}
	target := outcome{target: delivery.Assignment{Revision: "sha256:new"}}
	denied := outcome{target: delivery.Assignment{Revision: "sha256:new"}, denied: "no"}
	broken := outcome{reason: "RenderFailed", message: "line 3"}
	type kept struct {
		Bundle, Assigned string
		Tombstone        bool
		Orphan           bool
	}
	cases := map[string]struct {
		reason    string
		report    *linkv1.RelearnReport
		outcomes  map[delivery.Key]outcome
		decision  string
		unclaimed []delivery.Key
		want      []kept
	}{
		"Moves": {"what Git declares is moved to what it declares", &linkv1.RelearnReport{Entries: []*linkv1.Entry{entry("fleet/a", "sha256:old")}},
			map[delivery.Key]outcome{"fleet/a": target}, "", nil, []kept{{Bundle: "fleet/a", Assigned: "sha256:new"}}},
		"DeniedStays": {"what policy denies keeps what runs", &linkv1.RelearnReport{Entries: []*linkv1.Entry{entry("fleet/a", "sha256:old")}},
			map[delivery.Key]outcome{"fleet/a": denied}, "", nil, []kept{{Bundle: "fleet/a", Assigned: "sha256:old"}}},
		"BrokenStays": {"what cannot be rendered keeps what runs", &linkv1.RelearnReport{Entries: []*linkv1.Entry{entry("fleet/a", "sha256:old")}},
			map[delivery.Key]outcome{"fleet/a": broken}, "", nil, []kept{{Bundle: "fleet/a", Assigned: "sha256:old"}}},
		"UnclaimedWaits": {"nobody's bundle waits for a person, and nothing else moves meanwhile",
			&linkv1.RelearnReport{Entries: []*linkv1.Entry{entry("fleet/a", "sha256:old"), entry("fleet/gone", "sha256:x")}},
			map[delivery.Key]outcome{"fleet/a": target}, "", []delivery.Key{"fleet/gone"}, nil},
		"Accepted": {"a person may let it go", &linkv1.RelearnReport{Entries: []*linkv1.Entry{entry("fleet/gone", "sha256:x")}}, nil, RecoverAccept,
			[]delivery.Key{"fleet/gone"}, []kept{{Bundle: "fleet/gone", Assigned: "sha256:x", Tombstone: true}}},
		"Orphaned": {"or leave its objects", &linkv1.RelearnReport{Entries: []*linkv1.Entry{entry("fleet/gone", "sha256:x")}}, nil, RecoverOrphan,
			[]delivery.Key{"fleet/gone"}, []kept{{Bundle: "fleet/gone", Assigned: "sha256:x", Tombstone: true, Orphan: true}}},
		"TombstoneKept": {"a removal that was told before the restore goes on", &linkv1.RelearnReport{Tombstones: []*linkv1.Tombstone{{Bundle: "fleet/old"}}}, nil, "",
			nil, []kept{{Bundle: "fleet/old", Tombstone: true}}},
		"TombstoneUndone": {"unless Git declares the bundle again", &linkv1.RelearnReport{Tombstones: []*linkv1.Tombstone{{Bundle: "fleet/a"}}},
			map[delivery.Key]outcome{"fleet/a": target}, "", nil, nil},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			answer := answerRelearn(cluster, tc.report, tc.outcomes, tc.decision, "someone")
			var got []kept
			for _, change := range answer.Kept {
				one := kept{Bundle: string(change.Bundle), Tombstone: change.Tombstone != nil}
				if change.Assigned != nil {
					one.Assigned = string(change.Assigned.Revision)
				}
				one.Orphan = one.Tombstone && change.Tombstone.Orphan
				got = append(got, one)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s: -want +got:\n%s", tc.reason, diff)
			}
			if diff := cmp.Diff(tc.unclaimed, answer.Unclaimed); diff != "" {
				t.Errorf("%s: unclaimed -want +got:\n%s", tc.reason, diff)
			}
		})
	}
}
