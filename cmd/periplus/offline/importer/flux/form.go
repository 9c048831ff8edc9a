package flux

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/periplus-fleet/periplus/api/v1alpha1"
	"github.com/periplus-fleet/periplus/cmd/periplus/offline/importer"
)

// form is what a kustomization applies on one cluster.
func (r *reading) form(c *cluster, d importer.Document, k kustomization, built content, gone []v1alpha1.Patch) form {
	out := form{cluster: c, needs: needed(d.Namespace, k.Spec.DependsOn)}
	if built.made && built.plain && len(gone) == 0 {
		out.plain = built.folder
	}
	out.settle = func(b *importer.Bundle) { r.settle(b, d, k) }
	out.write = func(b *importer.Bundle, alone bool) (importer.Variant, error) {
		sealed := sealedFiles(built.files)
		if alone {
			b.Add("", manifests(built))
			if len(sealed) > 0 {
				r.repo.Report.Differs(importer.Position{File: sealed[0]}, d.What()+": decryption", "the agent opens what is encrypted", "give each cluster's agent the key: Secret periplus-sops in its namespace")
			}
			return importer.Variant{}, nil
		}
		if len(sealed) > 0 {
			b.Spec.Decrypt = v1alpha1.DecryptHub
			r.repo.Report.Differs(importer.Position{File: sealed[0]}, d.What()+": decryption", "a kustomization's encrypted files are opened by the hub, and kept encrypted from there on", "give the hub the key, or put the encrypted manifests into a bundle of plain manifests, which only the cluster opens")
		}
		root := b.Add("", built.files)
		return importer.Variant{Patches: gone, Source: &v1alpha1.BundleSource{Kustomize: &v1alpha1.KustomizeSource{Path: path.Join(root, built.folder)}}}, nil
	}
	return out
}

// manifests are the files of a folder without a kustomization, by their path from there. A folder further down that is a
// kustomization keeps the bundle from being plain manifests.
func manifests(built content) map[string][]byte {
	out := map[string][]byte{}
	for name, data := range built.files {
		if name != path.Join(built.folder, "kustomization.yaml") {
			out[strings.TrimPrefix(name, built.folder+"/")] = data
		}
	}
	return out
}

// sealedFiles are those that SOPS encrypted.
func sealedFiles(files map[string][]byte) []string {
	var out []string
	for name, data := range files {
		text := "\n" + string(data)
		if strings.Contains(text, "\nsops:") && strings.Contains(text, "ENC[") {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// settle translates how a kustomization is delivered.
func (r *reading) settle(b *importer.Bundle, d importer.Document, k kustomization) {
	report, s, what := r.repo.Report, k.Spec, d.What()
	b.Spec.ServiceAccountName = s.ServiceAccountName
	b.Spec.Health.Timeout = s.Timeout
	if s.CommonMetadata != nil {
		b.Spec.Labels, b.Spec.Annotations = s.CommonMetadata.Labels, s.CommonMetadata.Annotations
	}
	if s.Suspend {
		r.suspended(b, d)
	}
	if s.Prune != nil && !*s.Prune {
		report.Differs(d.At("spec.prune"), what+": prune: false", "what leaves the bundle leaves the cluster, within the prune budget", "set prune.budget to 0 objects and 0 percent, so that each removal waits for `periplus confirm`")
	}
	if s.Force {
		report.Differs(d.At("spec.force"), what+": force", "an object whose change its API refuses is not made anew by itself", "remove it by hand when that happens")
	}
	if len(s.HealthChecks)+len(s.HealthCheckExprs) > 0 {
		report.Differs(d.At("spec.healthChecks"), what+": healthChecks", "a bundle is ready when all of its objects are", "")
	}
	if s.DeletionPolicy != "" && s.DeletionPolicy != "MirrorPrune" && s.DeletionPolicy != "Delete" {
		report.Differs(d.At("spec.deletionPolicy"), what+": deletionPolicy "+s.DeletionPolicy, "a bundle that leaves takes its objects along, within its prune budget", "set prune.budget to 0 objects and 0 percent, so that each removal waits for `periplus confirm`")
	}
	for i, one := range s.DependsOn {
		if one.ReadyExpr != "" {
			report.Differs(d.At(fmt.Sprintf("spec.dependsOn[%d].readyExpr", i)), what+": readyExpr", "a dependency is met when the bundle is ready", "")
		}
	}
}
