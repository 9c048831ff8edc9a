package helm

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"

	"helm.sh/helm/v4/pkg/chart/common"
	"k8s.io/client-go/kubernetes/scheme"

	"github.com/periplus-fleet/periplus/plugins/sdk/renderer"
)

// helmVersion is what charts see of Helm itself: the release whose engine this is, as its own binary says it.
const helmVersion = "v4.2.4"

// asked records what a chart reads of a cluster's capabilities. Only that is part of the key of its output, so that
// clusters which differ in other things share it.
type asked struct {
	mu       sync.Mutex
	version  bool
	versions map[string]bool
	// reads of the list itself, each with whether it was only asked for single versions.
	reads []*read
	all   bool
}

// read is one use of .Capabilities.APIVersions in a template.
type read struct {
	asked *asked
	has   bool
}

func (a *asked) kubeVersion() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.version = true
}

func (a *asked) everything() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.version, a.all = true, true
}

func (a *asked) has(r *read, version string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	r.has = true
	if a.versions == nil {
		a.versions = map[string]bool{}
	}
	a.versions[version] = true
}

// used is what was asked for. Where a template read the list and asked it nothing, it took the list as a whole.
func (a *asked) used() renderer.Used {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := renderer.Used{KubeVersion: a.version, AllAPIVersions: a.all}
	for _, one := range a.reads {
		out.AllAPIVersions = out.AllAPIVersions || !one.has
	}
	for version := range a.versions {
		out.APIVersions = append(out.APIVersions, version)
	}
	slices.Sort(out.APIVersions)
	return out
}

// capabilities stand in a template's .Capabilities: fields of Helm's own type are methods here, so that each read is seen.
// What is exported survives deep copies of the context, which charts make.
type capabilities struct {
	Real *common.Capabilities
	// Whole says that some template uses the list in another way than by Has, so that reading it may mean all of it.
	Whole bool
	Asked *asked `copy:"shallow"`
}

func newCapabilities(given renderer.Capabilities, whole bool) (*capabilities, error) {
	version, err := common.ParseKubeVersion(given.KubeVersion)
	if err != nil {
		return nil, fmt.Errorf("cannot read the cluster's version %q: %w", given.KubeVersion, err)
	}
	own := common.DefaultCapabilities.Copy()
	own.KubeVersion = *version
	own.HelmVersion.Version = helmVersion
	own.APIVersions = slices.Clone(given.APIVersions)
	if len(own.APIVersions) == 0 {
		own.APIVersions = slices.Clone(builtIn())
	}
	// Helm's own list has another order in each process.
	slices.Sort(own.APIVersions)
	return &capabilities{Real: own, Whole: whole, Asked: &asked{}}, nil
}

// builtIn is what Kubernetes itself serves: Helm's list, and the kinds in it, which every real cluster's list has.
var builtIn = sync.OnceValue(func() common.VersionSet {
	out := slices.Clone(common.DefaultVersionSet)
	for kind := range scheme.Scheme.AllKnownTypes() {
		version := kind.GroupVersion().String()
		if slices.Contains(common.DefaultVersionSet, version) && !strings.HasSuffix(kind.Kind, "Options") && !strings.HasSuffix(kind.Kind, "List") {
			out = append(out, version+"/"+kind.Kind)
		}
	}
	return out
})

// KubeVersion is .Capabilities.KubeVersion.
func (c *capabilities) KubeVersion() *common.KubeVersion {
	c.Asked.kubeVersion()
	return &c.Real.KubeVersion
}

// HelmVersion is .Capabilities.HelmVersion.
func (c *capabilities) HelmVersion() any { return c.Real.HelmVersion }

// APIVersions is .Capabilities.APIVersions.
func (c *capabilities) APIVersions() versionList {
	one := &read{asked: c.Asked}
	c.Asked.mu.Lock()
	c.Asked.reads = append(c.Asked.reads, one)
	c.Asked.all = c.Asked.all || c.Whole
	c.Asked.mu.Unlock()
	list := make(versionList, 0, len(c.Real.APIVersions)+1)
	for _, version := range c.Real.APIVersions {
		list = append(list, version)
	}
	return append(list, one)[:len(list)]
}

// MarshalJSON is for toYaml and toJson of the whole context.
func (c *capabilities) MarshalJSON() ([]byte, error) {
	c.Asked.everything()
	return json.Marshal(c.Real)
}

// Format prints the capabilities as Helm's own would be.
func (c *capabilities) Format(state fmt.State, verb rune) {
	c.Asked.everything()
	_, _ = fmt.Fprintf(state, fmt.FormatString(state, verb), c.Real)
}

// versionList is a slice, since templates range over the list and give it to functions for lists. Whoever asks it is told by
// the element behind its last one.
type versionList []any

// Has is .Capabilities.APIVersions.Has.
func (l versionList) Has(version string) bool {
	if len(l) < cap(l) {
		if one, ok := l[:len(l)+1][len(l)].(*read); ok {
			one.asked.has(one, version)
		}
	}
	return slices.Contains(l, any(version))
}

// readsWholeList finds uses of the list other than by Has. It may find too many: then only less is shared.
func readsWholeList(text string) bool {
	const field = "APIVersions"
	for {
		_, rest, found := strings.Cut(text, field)
		if !found {
			return false
		}
		if !strings.HasPrefix(rest, ".Has") {
			return true
		}
		text = rest
	}
}
