package render

import (
	"strconv"
	"strings"

	"github.com/periplus-fleet/periplus/api/content"
	"github.com/periplus-fleet/periplus/api/v1alpha1"
)

// optionAnnotations are those that a user may set at one object.
var optionAnnotations = []string{v1alpha1.AnnotationPrune, v1alpha1.AnnotationApply, v1alpha1.AnnotationAdopt, v1alpha1.AnnotationWave,
	v1alpha1.AnnotationTimeout, v1alpha1.AnnotationIgnore}

// adoptWords are the policies of a bundle in the words of single objects.
var adoptWords = map[v1alpha1.AdoptPolicy]string{v1alpha1.AdoptNever: content.AdoptNever, v1alpha1.AdoptIfUnowned: content.AdoptIfUnowned,
	v1alpha1.AdoptIfEqual: content.AdoptIfEqual, v1alpha1.AdoptAlways: content.AdoptAlways}

// rules says whether a bundle says anything of its objects beyond their own annotations.
func rules(spec v1alpha1.BundleSpec) bool { return spec.Adopt != "" || len(spec.Objects) > 0 }

// optionsOf says how the agent treats an object: as its bundle says, over that as the bundle's rules say, later ones over
// earlier ones, and over that as its own annotations say.
func optionsOf(spec v1alpha1.BundleSpec, object map[string]any) (*content.Options, error) {
	values := map[string]string{}
	put := func(name, value string) {
		if value != "" {
			values[strings.TrimPrefix(name, v1alpha1.Group+"/")] = value
		}
	}
	put(v1alpha1.AnnotationAdopt, adoptWords[spec.Adopt])
	for _, rule := range spec.Objects {
		if !matches(rule.ObjectMatch, object) {
			continue
		}
		put(v1alpha1.AnnotationPrune, rule.Prune)
		put(v1alpha1.AnnotationApply, rule.Apply)
		put(v1alpha1.AnnotationAdopt, rule.Adopt)
		put(v1alpha1.AnnotationIgnore, strings.Join(rule.Ignore, ","))
		if rule.Wave != nil {
			put(v1alpha1.AnnotationWave, strconv.Itoa(*rule.Wave))
		}
		if rule.Timeout != nil {
			put(v1alpha1.AnnotationTimeout, rule.Timeout.Duration.String())
		}
	}
	annotations, _ := object["metadata"].(map[string]any)["annotations"].(map[string]any)
	// Charts say it in Helm's words; ours have the last one.
	if annotations[keepAnnotation] == "keep" {
		put(v1alpha1.AnnotationPrune, content.PruneNever)
	}
	for _, name := range optionAnnotations {
		text, _ := annotations[name].(string)
		put(name, text)
	}
	return content.ParseOptions(values)
}
