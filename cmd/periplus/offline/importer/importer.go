// Package importer writes a fleet repo out of what another tool's repository declares. It holds what the three importers
// share: the model of what is written, documents with their lines, copies of kustomizations and charts, and the report of
// what was translated and what has no equal here. Its sub-packages read one tool each. Nothing of it is part of a hub: what
// it writes is a fleet repo like any other, from the first commit on.
package importer

import (
	"bytes"
	"fmt"
	"maps"
	"path"
	"slices"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/periplus-fleet/periplus/api/content"
	"github.com/periplus-fleet/periplus/api/v1alpha1"
)

// Repo is a fleet repo in the making.
type Repo struct {
	Clusters map[string]*Cluster
	Groups   map[string]metav1.LabelSelector
	Bundles  map[string]*Bundle
	Report   *Report
}

// NewRepo is empty.
func NewRepo() *Repo {
	return &Repo{Clusters: map[string]*Cluster{}, Groups: map[string]metav1.LabelSelector{}, Bundles: map[string]*Bundle{}, Report: &Report{}}
}

// Cluster becomes a FleetCluster that joins by token: no other tool says how a cluster was made.
type Cluster struct {
	Name      string
	Labels    map[string]string
	Variables map[string]any
}

// Bundle becomes a folder of bundles/.
type Bundle struct {
	Name   string
	Labels map[string]string
	Spec   v1alpha1.BundleSpec
	// Files beside bundle.yaml, by their path in the bundle's folder.
	Files map[string][]byte
	// At is what the bundle was made from.
	At Position
}

// Cluster returns the cluster of a name, new or known.
func (r *Repo) Cluster(name string) *Cluster {
	if r.Clusters[name] == nil {
		r.Clusters[name] = &Cluster{Name: name, Labels: map[string]string{}, Variables: map[string]any{}}
	}
	return r.Clusters[name]
}

// Bundle makes a bundle; a name that is taken gets a number.
func (r *Repo) Bundle(name string, at Position) *Bundle {
	unique := Name(name)
	for i := 2; r.Bundles[unique] != nil; i++ {
		unique = Name(fmt.Sprintf("%s-%d", name, i))
	}
	bundle := &Bundle{Name: unique, Files: map[string][]byte{}, At: at}
	r.Bundles[unique] = bundle
	return bundle
}

// Sorted bundles, by name.
func (r *Repo) Sorted() []*Bundle {
	var out []*Bundle
	for _, name := range slices.Sorted(maps.Keys(r.Bundles)) {
		out = append(out, r.Bundles[name])
	}
	return out
}

// Add puts files below a folder of the bundle's. Where one of them is there with other content, all of them go below another
// folder; the one that was taken is returned.
func (b *Bundle) Add(folder string, files map[string][]byte) string {
	for i := 1; ; i++ {
		chosen := folder
		if i > 1 {
			chosen = fmt.Sprintf("%s-%d", path.Clean("variant/"+folder), i)
		}
		if b.fits(chosen, files) {
			for name, data := range files {
				b.Files[path.Join(chosen, name)] = data
			}
			return chosen
		}
	}
}

func (b *Bundle) fits(folder string, files map[string][]byte) bool {
	for name, data := range files {
		if have, taken := b.Files[path.Join(folder, name)]; taken && !bytes.Equal(have, data) {
			return false
		}
	}
	return true
}

// DependsOn adds a dependency once.
func (b *Bundle) DependsOn(name string) {
	here := func(d v1alpha1.Dependency) bool { return d.Bundle == name }
	if name != b.Name && !slices.ContainsFunc(b.Spec.DependsOn, here) {
		b.Spec.DependsOn = append(b.Spec.DependsOn, v1alpha1.Dependency{Bundle: name})
	}
}

// JSON of values; nil for none.
func JSON(values any) *apiextensionsv1.JSON {
	if object, ok := values.(map[string]any); ok && len(object) == 0 {
		return nil
	}
	data, err := content.CanonicalJSON(values)
	if err != nil {
		// Values come out of YAML and JSON, so there is nothing in them that JSON cannot hold.
		panic(err)
	}
	return &apiextensionsv1.JSON{Raw: data}
}

// In90Days is when what is paused elsewhere, without an end, ends here.
func In90Days(now time.Time) metav1.Time {
	return metav1.NewTime(now.Add(90 * 24 * time.Hour).UTC().Truncate(time.Second))
}

// Count of things, in words.
func Count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
