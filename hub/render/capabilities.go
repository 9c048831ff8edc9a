package render

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/periplus-fleet/periplus/hub/render/basecache"
	"github.com/periplus-fleet/periplus/plugins/sdk/renderer"
)

// maxUses of one plan that are remembered. A rendering may ask other questions where it got other answers, but hardly many.
const maxUses = 16

// uses remembers what renderings of a plan asked of the cluster. Whoever gives the same answers to the same questions gets
// the same output, whatever else it is.
type uses struct {
	disk  *basecache.Cache
	mu    sync.Mutex
	known *cache[[]renderer.Used]
}

// of a plan, the latest last.
func (u *uses) of(key string) []renderer.Used {
	if known, ok := u.known.get(key); ok {
		return known
	}
	if u.disk == nil {
		return nil
	}
	data, ok := u.disk.Get(usesEntry + key)
	var known []renderer.Used
	if !ok || json.Unmarshal(data, &known) != nil {
		return nil
	}
	u.known.put(key, known, len(data))
	return known
}

// add remembers what was asked and returns it for the disk; nil where it was known.
func (u *uses) add(key string, used renderer.Used) ([]byte, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	known := u.of(key)
	if slices.ContainsFunc(known, func(one renderer.Used) bool { return reflect.DeepEqual(one, used) }) {
		return nil, nil
	}
	known = append(slices.Clone(known), used)
	known = known[max(0, len(known)-maxUses):]
	data, err := json.Marshal(known)
	u.known.replace(key, known, len(data))
	return data, err
}

// baseKey is the plan's key with the cluster's answers to what was asked.
func (r *Renderer) baseKey(plan basePlan, used renderer.Used) string {
	return plan.key + "." + r.sum(answers(plan.request.Capabilities, used)...)
}

// answers to exactly what was asked.
func answers(cluster renderer.Capabilities, used renderer.Used) []string {
	var out []string
	// What a cluster serves that was never heard is what its version serves.
	unheard := len(cluster.APIVersions) == 0
	if asked := len(used.APIVersions) > 0 || used.AllAPIVersions; used.KubeVersion || asked && unheard {
		out = append(out, "version", cluster.KubeVersion)
	}
	for _, asked := range used.APIVersions {
		answer := "no"
		switch {
		case unheard:
			answer = "unheard"
		case serves(cluster.APIVersions, asked):
			answer = "yes"
		}
		out = append(out, asked, answer)
	}
	if used.AllAPIVersions {
		out = append(out, "all")
		out = append(out, cluster.APIVersions...)
	}
	return out
}

// serves says whether a sorted list of group/version/Kind has a kind, or a group/version of any.
func serves(sorted []string, asked string) bool {
	if _, found := slices.BinarySearch(sorted, asked); found {
		return true
	}
	at, _ := slices.BinarySearch(sorted, asked+"/")
	return at < len(sorted) && strings.HasPrefix(sorted[at], asked+"/")
}

// withVersions adds each group/version to a list of group/version/Kind.
func withVersions(kinds []string) []string {
	if len(kinds) == 0 {
		return nil
	}
	all := slices.Clone(kinds)
	for _, kind := range kinds {
		// v1/Pod, apps/v1/Deployment; a version alone is there already.
		if at := strings.LastIndexByte(kind, '/'); at > 0 && isKind(kind[at+1:]) {
			all = append(all, kind[:at])
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// isKind tells kinds from versions: kinds begin with a capital letter.
func isKind(name string) bool { return name != "" && name[0] >= 'A' && name[0] <= 'Z' }
