package content

import "fmt"

// Options of one object, as its annotations fleet.periplus.dev/prune, apply and adopt say. The zero value is the default.
type Options struct {
	// Prune is PruneNever for an object that stays when it leaves the bundle, or the bundle the cluster.
	Prune string `json:"prune,omitempty"`
	// Apply is ApplyCreateOnly, ApplyReplace or ApplyIgnore.
	Apply string `json:"apply,omitempty"`
	// Adopt is AdoptIfUnowned for an object that is taken over where it exists and no bundle has it.
	Adopt string `json:"adopt,omitempty"`
}

// The values of Options.
const (
	PruneNever = "never"
	// ApplyCreateOnly makes the object where it is missing, and changes nothing of it afterwards.
	ApplyCreateOnly = "create-only"
	// ApplyReplace deletes the object and makes it anew where a field that changed cannot be changed.
	ApplyReplace = "replace"
	// ApplyIgnore leaves the object as it is, be it there or not.
	ApplyIgnore    = "ignore"
	AdoptIfUnowned = "if-unowned"
)

// ParseOptions reads the values of an object's annotations, "" where one is missing; nil when all are.
func ParseOptions(prune, apply, adopt string) (*Options, error) {
	switch {
	case prune != "" && prune != PruneNever:
		return nil, fmt.Errorf("prune is %q, and can be %s", prune, PruneNever)
	case apply != "" && apply != ApplyCreateOnly && apply != ApplyReplace && apply != ApplyIgnore:
		return nil, fmt.Errorf("apply is %q, and can be %s, %s or %s", apply, ApplyCreateOnly, ApplyReplace, ApplyIgnore)
	case adopt != "" && adopt != AdoptIfUnowned:
		return nil, fmt.Errorf("adopt is %q, and can be %s", adopt, AdoptIfUnowned)
	case prune == "" && apply == "" && adopt == "":
		return nil, nil
	default:
		return &Options{Prune: prune, Apply: apply, Adopt: adopt}, nil
	}
}

func (i Item) options() Options {
	if i.Options == nil {
		return Options{}
	}
	return *i.Options
}

// KeepsWhenPruned says that the object stays when it leaves the bundle.
func (i Item) KeepsWhenPruned() bool { return i.options().Prune == PruneNever }

// Applies is how the object is applied; "" is the default.
func (i Item) Applies() string { return i.options().Apply }

// AdoptsUnowned says that the object is taken over where no bundle has it.
func (i Item) AdoptsUnowned() bool { return i.options().Adopt == AdoptIfUnowned }
