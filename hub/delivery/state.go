package delivery

// State is a delivery's state in one word: what holds it first, then what its agent says of the assigned revision. It is one
// of Held, Failed, Removing, Pending, Applying, Progressing, Ready, Waiting, RolledBack.
func (d Delivery) State() string {
	switch d.Reason {
	case "Held", "RemovalHeld", "Suspended":
		return "Held"
	case "RenderFailed", "TargetError":
		return "Failed"
	case "WaitingForDependency":
		return "Waiting"
	}
	switch {
	case d.Tombstone != nil:
		return "Removing"
	case d.Observed.State == "Held":
		return "Held"
	case d.Observed.Revision != d.Assigned.Revision || d.Observed.State == "":
		return "Pending"
	default:
		return d.Observed.State
	}
}
