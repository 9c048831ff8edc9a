package store

import (
	"testing"

	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
)

func TestStateName(t *testing.T) {
	cases := map[string]linkv1.State{"": linkv1.State_STATE_UNSPECIFIED, "Ready": linkv1.State_STATE_READY, "RolledBack": linkv1.State_STATE_ROLLED_BACK}
	for want, state := range cases {
		if got := stateName(state); got != want {
			t.Errorf("%s is %q, want %q", state, got, want)
		}
	}
}
