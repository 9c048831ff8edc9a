package projection

import (
	"testing"

	"github.com/periplus-fleet/periplus/api/v1alpha1"
	"github.com/periplus-fleet/periplus/hub/delivery"
)

func TestWarned(t *testing.T) {
	if conditions := Warned(delivery.Warnings{}, 0); conditions != nil {
		t.Errorf("what nobody warns of has no condition: %v", conditions)
	}
	conditions := Warned(delivery.Warnings{Count: 7, First: []string{"a", "b"}}, 3)
	if len(conditions) != 1 || conditions[0].Type != v1alpha1.ConditionRenderWarnings || conditions[0].Status != "True" ||
		conditions[0].Message != "a; b; and 5 more" || conditions[0].ObservedGeneration != 3 {
		t.Errorf("the first warnings and how many more: %+v", conditions)
	}
}
