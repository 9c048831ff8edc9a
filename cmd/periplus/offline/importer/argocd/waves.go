package argocd

import (
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/periplus-fleet/periplus/cmd/periplus/offline/importer"
)

const (
	waveAnnotation = "argocd.argoproj.io/sync-wave"
	hookAnnotation = "argocd.argoproj.io/hook"
	helmHook       = "helm.sh/hook"
)

// waves reports every use of sync waves: the order of a bundle's objects is that of their kinds.
func (m *making) waves(files map[string][]byte) {
	for name, data := range files {
		line := 0
		for text := range strings.Lines(string(data)) {
			line++
			at := importer.Position{File: name, Line: line}
			switch {
			case strings.Contains(text, waveAnnotation):
				m.reportWave(at)
			case strings.Contains(text, hookAnnotation):
				m.repo.Report.Differs(at, "hook", "in a kustomization or chart it is an ordinary object; Helm's own hooks are run", "say it with helm.sh/hook in a chart")
			}
		}
	}
}

func (m *making) reportWave(at importer.Position) {
	m.repo.Report.Differs(at, "sync wave", "objects are applied in the order of their kinds: namespaces and CRDs first, webhooks last", "put what must wait into a bundle of its own with dependsOn")
}

// withoutHooks takes hooks out of manifests: they would stay applied, where Argo CD runs them at a moment.
func (m *making) withoutHooks(folder string, files map[string][]byte) (map[string][]byte, error) {
	out := map[string][]byte{}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		documents, err := importer.ParseDocuments(path.Join(folder, name), files[name])
		if err != nil {
			return nil, err
		}
		var kept []importer.Document
		for _, d := range documents {
			metadata, _ := d.Object["metadata"].(map[string]any)
			annotations, _ := metadata["annotations"].(map[string]any)
			hook, isHook := annotations[hookAnnotation].(string)
			if !isHook {
				hook, isHook = annotations[helmHook].(string)
			}
			switch {
			case isHook && hook != "":
				m.repo.Report.LeftOut(d.At(""), d.What()+": hook "+hook, "hooks are run for charts only", "put it into a chart, with annotation helm.sh/hook (PreSync is pre-install,pre-upgrade; PostSync is post-install,post-upgrade)")
			case metadata["generateName"] != nil:
				m.repo.Report.LeftOut(d.At("metadata.generateName"), d.Kind+": generateName", "each apply would make another object", "give it a name")
			default:
				if annotations[waveAnnotation] != nil {
					m.reportWave(d.At(""))
				}
				kept = append(kept, d)
			}
		}
		if len(kept) == len(documents) {
			out[name] = files[name]
			continue
		}
		var text []byte
		for _, d := range kept {
			data, err := importer.YAML(d.Object)
			if err != nil {
				return nil, err
			}
			text = append(append(text, "---\n"...), data...)
		}
		if len(text) > 0 {
			out[name] = text
		}
	}
	return out, nil
}
