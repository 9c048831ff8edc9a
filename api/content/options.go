package content

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Options of one object, as its annotations fleet.periplus.dev/{prune,apply,adopt,wave,timeout,ignore} and the bundle's
// rules say. The zero value is the default.
type Options struct {
	// Prune is PruneNever for an object that stays when it leaves the bundle, or the bundle the cluster; PruneAlways for one
	// that goes without a person's word though others may lose by it (a CRD, a Namespace, a claim).
	Prune string `json:"prune,omitempty"`
	// Apply is ApplyCreateOnly, ApplyReplace or ApplyIgnore.
	Apply string `json:"apply,omitempty"`
	// Adopt says when an object that exists and that no bundle has is taken over: AdoptIfUnowned, AdoptIfEqual or
	// AdoptAlways; "" is never.
	Adopt string `json:"adopt,omitempty"`
	// Wave orders the apply before the phases do: the objects of a wave are applied once all of lower waves are healthy.
	// Needs CapabilityWaves unless 0.
	Wave int `json:"wave,omitempty"`
	// Timeout in which the object is to be healthy, as time.ParseDuration reads it; "" is the bundle's. Needs CapabilityWaves.
	Timeout string `json:"timeout,omitempty"`
	// Ignore are JSON pointers, sorted, of fields that are left to others once the object is there. Needs CapabilityWaves.
	Ignore []string `json:"ignore,omitempty"`
}

// The values of Options.
const (
	PruneNever  = "never"
	PruneAlways = "always"
	// ApplyCreateOnly makes the object where it is missing, and changes nothing of it afterwards.
	ApplyCreateOnly = "create-only"
	// ApplyReplace deletes the object and makes it anew where a field that changed cannot be changed.
	ApplyReplace = "replace"
	// ApplyIgnore leaves the object as it is, be it there or not.
	ApplyIgnore = "ignore"
	AdoptNever  = "never"
	// AdoptIfUnowned takes over what nobody manages: no bundle, no controller, and no other delivery tool's mark.
	AdoptIfUnowned = "if-unowned"
	// AdoptIfEqual takes over what an apply would not change but for marks and managers.
	AdoptIfEqual = "if-equal"
	// AdoptAlways takes over whatever exists, but for what another bundle of this cluster has.
	AdoptAlways = "always"
)

// ParseOptions reads the values of an object's annotations by the word after the slash; nil when all are "" or missing.
func ParseOptions(values map[string]string) (*Options, error) {
	o := Options{Prune: values["prune"], Apply: values["apply"], Adopt: values["adopt"]}
	if err := oneOf("prune", o.Prune, PruneNever, PruneAlways); err != nil {
		return nil, err
	}
	if err := oneOf("apply", o.Apply, ApplyCreateOnly, ApplyReplace, ApplyIgnore); err != nil {
		return nil, err
	}
	if err := oneOf("adopt", o.Adopt, AdoptNever, AdoptIfUnowned, AdoptIfEqual, AdoptAlways); err != nil {
		return nil, err
	}
	if text := values["wave"]; text != "" {
		wave, err := strconv.Atoi(text)
		if err != nil || wave < -1000 || wave > 1000 {
			return nil, fmt.Errorf("wave is %q, and can be a number from -1000 to 1000", text)
		}
		o.Wave = wave
	}
	if text := values["timeout"]; text != "" {
		timeout, err := time.ParseDuration(text)
		if err != nil || timeout <= 0 {
			return nil, fmt.Errorf("timeout is %q, and can be a duration such as 90s or 5m", text)
		}
		o.Timeout = timeout.String()
	}
	for pointer := range strings.FieldsFuncSeq(values["ignore"], func(r rune) bool { return r == ',' || r == ' ' || r == '\n' }) {
		if !strings.HasPrefix(pointer, "/") {
			return nil, fmt.Errorf("ignore holds %q, and can hold JSON pointers such as /spec/replicas, with commas between", pointer)
		}
		o.Ignore = append(o.Ignore, pointer)
	}
	if o.Adopt == AdoptNever {
		o.Adopt = ""
	}
	return o.orNil(), nil
}

func oneOf(word, value string, can ...string) error {
	if value == "" {
		return nil
	}
	for _, known := range can {
		if value == known {
			return nil
		}
	}
	return fmt.Errorf("%s is %q, and can be %s", word, value, strings.Join(can, ", "))
}

// orNil is nil for the default, so that it adds nothing to a manifest.
func (o Options) orNil() *Options {
	if o.Prune == "" && o.Apply == "" && o.Adopt == "" && o.Wave == 0 && o.Timeout == "" && len(o.Ignore) == 0 {
		return nil
	}
	slices.Sort(o.Ignore)
	o.Ignore = slices.Compact(o.Ignore)
	return &o
}

// Required are the capabilities that an agent needs to know these options, sorted.
func (o *Options) Required() []string {
	switch {
	case o == nil:
		return nil
	case o.Wave != 0 || o.Timeout != "" || len(o.Ignore) > 0 || o.Prune == PruneAlways || o.Adopt == AdoptIfEqual || o.Adopt == AdoptAlways:
		return []string{CapabilityOptions, CapabilityWaves}
	default:
		return []string{CapabilityOptions}
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

// PrunesAlways says that the object's removal is never held for a person's word.
func (i Item) PrunesAlways() bool { return i.options().Prune == PruneAlways }

// Applies is how the object is applied; "" is the default.
func (i Item) Applies() string { return i.options().Apply }

// Adopts says when the object is taken over where it exists and no bundle has it; "" is never.
func (i Item) Adopts() string { return i.options().Adopt }

// Wave of the object.
func (i Item) Wave() int { return i.options().Wave }

// Timeout in which the object is to be healthy; 0 is the bundle's.
func (i Item) Timeout() time.Duration {
	// ParseOptions wrote it; what another hub made of it is no timeout.
	timeout, _ := time.ParseDuration(i.options().Timeout)
	return max(timeout, 0)
}

// Ignores are JSON pointers of fields that are left to others once the object is there.
func (i Item) Ignores() []string { return i.options().Ignore }
