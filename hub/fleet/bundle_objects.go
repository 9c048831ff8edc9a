package fleet

import (
	"fmt"
	"strings"
	"time"

	"github.com/periplus-fleet/periplus/api/content"
	"github.com/periplus-fleet/periplus/api/v1alpha1"
)

// objects checks what the bundle says of single objects.
func (c bundleCheck) objects(spec v1alpha1.BundleSpec) {
	switch spec.Adopt {
	case "", v1alpha1.AdoptNever, v1alpha1.AdoptIfUnowned, v1alpha1.AdoptIfEqual, v1alpha1.AdoptAlways:
	default:
		c.refuse("spec.adopt", "must be Never, IfUnowned, IfEqual or Always, not %q", spec.Adopt)
	}
	for i, rule := range spec.Objects {
		at := fmt.Sprintf("spec.objects[%d]", i)
		c.match(at, rule.ObjectMatch)
		// What an annotation can say, a rule can: one place knows the words.
		for word, value := range map[string]string{"prune": rule.Prune, "apply": rule.Apply, "adopt": rule.Adopt} {
			if _, err := content.ParseOptions(map[string]string{word: value}); err != nil {
				c.refuse(at+"."+word, "%v", err)
			}
		}
		if rule.Wave != nil && (*rule.Wave < -1000 || *rule.Wave > 1000) {
			c.refuse(at+".wave", "must be from -1000 to 1000")
		}
		if rule.Timeout != nil && rule.Timeout.Duration <= 0 {
			c.refuse(at+".timeout", "must be more than 0, such as %s", 5*time.Minute)
		}
		for j, pointer := range rule.Ignore {
			field := fmt.Sprintf("%s.ignore[%d]", at, j)
			c.pointer(field, pointer)
			if strings.ContainsAny(pointer, ", \n") {
				c.refuse(field, "a pointer holds no comma and no space")
			}
			if namesObject(pointer) {
				c.refuse(field, "what names an object cannot be left to others")
			}
		}
		if rule.Prune == "" && rule.Apply == "" && rule.Adopt == "" && rule.Wave == nil && rule.Timeout == nil && len(rule.Ignore) == 0 {
			c.refuse(at, "give at least one of prune, apply, adopt, wave, timeout and ignore")
		}
	}
}
