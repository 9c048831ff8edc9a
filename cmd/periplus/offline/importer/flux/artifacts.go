package flux

import (
	"path"
	"strings"

	"github.com/periplus-fleet/periplus/cmd/periplus/offline/importer"
)

// artifacts are parts of a repository under a name of their own. Where all that is copied keeps its place below one folder,
// that folder stands for the artifact.
func (r *reading) artifacts(c *cluster, d importer.Document) {
	var g artifactGenerator
	if !d.Read(&g, r.repo.Report) {
		return
	}
	roots := map[string]string{}
	for _, one := range g.Spec.Sources {
		namespace := one.Namespace
		if namespace == "" {
			namespace = d.Namespace
		}
		if root, why := r.checkout(c, reference{Kind: one.Kind, Name: one.Name, Namespace: namespace}, namespace, ""); why == "" {
			roots[one.Alias] = root
		}
	}
	for _, artifact := range g.Spec.Artifacts {
		found, same := "", true
		for i, rule := range artifact.Copy {
			root, ok := rooted(rule.From, rule.To, roots)
			same = same && ok && len(rule.Exclude) == 0 && (i == 0 || root == found)
			found = root
		}
		if !same || len(artifact.Copy) == 0 {
			r.repo.Report.LeftOut(d.At("spec.artifacts"), d.What()+": artifact "+artifact.Name, "what it puts together does not stand below one folder", "arrange the files so, and name that folder")
			continue
		}
		c.artifacts[d.Namespace+"/"+artifact.Name] = found
		r.repo.Report.Translated(d.At(""), d.What()+": artifact "+artifact.Name, "folder "+found)
	}
}

// rooted is the folder from which a copied one keeps its path: @repo/apps/base/** to @artifact/base/ is apps.
func rooted(from, to string, roots map[string]string) (string, bool) {
	alias, folder, found := strings.Cut(strings.TrimPrefix(from, "@"), "/")
	root, known := roots[alias]
	folder, whole := strings.CutSuffix(folder, "/**")
	target, artifact := strings.CutPrefix(to, "@artifact")
	if !found || !known || !whole && folder != "**" || !artifact {
		return "", false
	}
	full, target := path.Join(root, strings.TrimSuffix(folder, "**")), strings.Trim(target, "/")
	if target == "" {
		return full, true
	}
	above, below := strings.CutSuffix(full, "/"+target)
	return above, below
}
