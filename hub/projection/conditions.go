package projection

import (
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/periplus-fleet/periplus/api/v1alpha1"
	"github.com/periplus-fleet/periplus/hub/delivery"
)

// Tally sums up deliveries, and keeps the first thing that is wrong in words.
type Tally struct {
	Count v1alpha1.DeliveryCount
	// Trouble is "<cluster or bundle>: <message>" of the first delivery that is held or failed.
	Trouble string
	// Waiting counts those that are neither ready nor in trouble.
	Waiting int32
}

// Troubles are the states of deliveries that something is wrong with.
var Troubles = []string{"Held", "Failed", "RolledBack"}

// Add counts one delivery. about names the other side of the pair, for Trouble.
func (t *Tally) Add(d delivery.Delivery, about string) {
	t.Sum(d.State(), 1)
	t.Note(d, about)
}

// Sum counts deliveries of one state.
func (t *Tally) Sum(state string, count int32) {
	t.Count.Total += count
	switch state {
	case "Ready":
		t.Count.Ready += count
	case "Held":
		t.Count.Held += count
	case "Failed", "RolledBack":
		// What was asked for is not there, whatever runs in its place.
		t.Count.Failed += count
	default:
		t.Waiting += count
	}
	t.Count.Display = fmt.Sprintf("%d/%d", t.Count.Ready, t.Count.Total)
}

// Note keeps in words what is wrong with a delivery, if it is the first with which something is.
func (t *Tally) Note(d delivery.Delivery, about string) {
	state := d.State()
	if t.Trouble != "" || !slices.Contains(Troubles, state) {
		return
	}
	message := d.Message
	if state == "Held" && message == "" || state == "Failed" && d.Reason == "" || state == "RolledBack" {
		message = d.Observed.Message
	}
	t.Trouble = about + ": " + message
}

// Conditions are Ready, Reconciling and Stalled of what the tally sums up. frozen says why Git's newer version is refused.
func Conditions(t Tally, frozen string, generation int64) []metav1.Condition {
	ready := metav1.Condition{Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue, Reason: "AsDeclared",
		Message: "as declared on " + clusters(t.Count.Total), ObservedGeneration: generation}
	reconciling := metav1.Condition{Type: v1alpha1.ConditionReconciling, Status: metav1.ConditionFalse, Reason: "Settled", ObservedGeneration: generation}
	stalled := metav1.Condition{Type: v1alpha1.ConditionStalled, Status: metav1.ConditionFalse, Reason: "NotStalled", ObservedGeneration: generation}
	switch {
	case frozen != "":
		ready.Status, ready.Reason, ready.Message = metav1.ConditionFalse, "Frozen", frozen
		stalled.Status, stalled.Reason, stalled.Message = metav1.ConditionTrue, "Frozen", frozen
	case t.Count.Held > 0:
		ready.Status, ready.Reason, ready.Message = metav1.ConditionFalse, "Held", t.Trouble
		stalled.Status, stalled.Reason, stalled.Message = metav1.ConditionTrue, "Held", t.Trouble
	case t.Count.Failed > 0:
		ready.Status, ready.Reason, ready.Message = metav1.ConditionFalse, "Failed", t.Trouble
	case t.Waiting > 0:
		ready.Status, ready.Reason, ready.Message = metav1.ConditionFalse, "Progressing", "being brought to "+clusters(t.Waiting)
		reconciling.Status, reconciling.Reason = metav1.ConditionTrue, "Progressing"
	}
	return []metav1.Condition{ready, reconciling, stalled}
}

// Warned is RenderWarnings where a renderer warns of something, and nothing where none does.
func Warned(warnings delivery.Warnings, generation int64) []metav1.Condition {
	if warnings.Count == 0 {
		return nil
	}
	message := strings.Join(warnings.First, "; ")
	if more := warnings.Count - len(warnings.First); more > 0 {
		message += fmt.Sprintf("; and %d more", more)
	}
	return []metav1.Condition{{Type: v1alpha1.ConditionRenderWarnings, Status: metav1.ConditionTrue, Reason: "Warned", Message: message,
		ObservedGeneration: generation}}
}

func clusters(n int32) string {
	if n == 1 {
		return "1 cluster"
	}
	return fmt.Sprintf("%d clusters", n)
}
