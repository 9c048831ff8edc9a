package projection

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/periplus-fleet/periplus/hub/delivery"
)

func TestTallyOfWhatWentBack(t *testing.T) {
	tally := Tally{}
	one := delivery.Delivery{Observed: delivery.Observed{State: "RolledBack", Message: "revision b failed, went back to a: no image"}}
	tally.Add(one, "eu-1")
	if diff := cmp.Diff("eu-1: revision b failed, went back to a: no image", tally.Trouble); diff != "" || tally.Count.Failed != 1 || tally.Count.Ready != 0 {
		t.Errorf("a bundle that went back is not as declared, and says why: %+v\n%s", tally, diff)
	}
}
