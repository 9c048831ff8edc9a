package flux

import (
	"testing"
	"testing/fstest"
	"time"

	"github.com/periplus-fleet/periplus/cmd/periplus/offline/importer/importertest"
)

const (
	configMap = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: app}\ndata: {a: b}\n"
	sealed    = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {a: \"ENC[AES256_GCM,data:x]\"}\nsops: {age: [], mac: \"ENC[x]\", encrypted_regex: ^stringData$}\n"
)

func ks(name, spec string) string {
	return "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: " + name + ", namespace: flux-system}\nspec:\n  sourceRef: {kind: GitRepository, name: flux-system}\n" + spec
}

func TestKustomizations(t *testing.T) {
	cases := map[string]struct {
		reason string
		files  map[string]string
		bundle string
		want   []string
		report []string
	}{
		"SealedManifests": {"encrypted manifests stay as they are, for the agent", map[string]string{"clusters/a/app.yaml": ks("app", "  path: ./app\n  decryption: {provider: sops, secretRef: {name: k}}\n"), "app/a.yaml": configMap, "app/s.yaml": sealed}, "app",
			[]string{"!kustomize", "!decrypt", "- a"}, []string{"periplus-sops", "app/s.yaml"}},
		"SealedKustomization": {"those of a kustomization are opened by the hub", map[string]string{"clusters/a/app.yaml": ks("app", "  path: ./app\n"), "app/kustomization.yaml": "resources: [a.yaml, s.yaml]\n", "app/a.yaml": configMap, "app/s.yaml": sealed}, "app",
			[]string{"path: app", "decrypt: hub"}, []string{"app/s.yaml | Kustomization flux-system/app: decryption"}},
		"Artifacts": {"an artifact is a folder under another name", map[string]string{"clusters/a/app.yaml": "apiVersion: source.extensions.fluxcd.io/v1beta1\nkind: ArtifactGenerator\nmetadata: {name: g, namespace: flux-system}\nspec:\n  sources: [{alias: mono, kind: GitRepository, name: flux-system}]\n  artifacts:\n  - {name: apps, copy: [{from: '@mono/apps/base/**', to: '@artifact/base/'}, {from: '@mono/apps/prod/**', to: '@artifact/prod/'}]}\n---\napiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: apps, namespace: flux-system}\nspec: {path: ./prod, sourceRef: {kind: ExternalArtifact, name: apps}}\n",
			"apps/prod/kustomization.yaml": "resources: [../base]\n", "apps/base/kustomization.yaml": "resources: [a.yaml]\n", "apps/base/a.yaml": configMap}, "apps", []string{"path: apps/prod"}, []string{"folder apps"}},
		"Suspended": {"a suspension gets an end, and an account acts", map[string]string{"clusters/a/app.yaml": ks("app", "  path: ./app\n  suspend: true\n  serviceAccountName: dev\n  prune: false\n  force: true\n  unheard: 1\n"), "app/a.yaml": configMap}, "app",
			[]string{"until: \"2027-01-30T00:00:00Z\"", "serviceAccountName: dev"}, []string{"clusters/a/app.yaml:7", "prune: false", "force", "spec.unheard"}},
		"PartlyDependent": {"nothing waits for what does not go there", map[string]string{"clusters/a/app.yaml": ks("app", "  path: ./app\n  dependsOn: [{name: base}]\n") + "---\n" + ks("base", "  path: ./base\n"), "clusters/b/app.yaml": ks("app", "  path: ./app\n"),
			"app/a.yaml": configMap, "base/b.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: base}\n"}, "app", []string{"!dependsOn", "- a", "- b"}, []string{"dependsOn base"}},
		"UnknownVariable": {"a variable without a value stays, and is named by line", map[string]string{"clusters/a/app.yaml": ks("app", "  path: ./app\n  postBuild: {substitute: {a: x}, substituteFrom: [{kind: Secret, name: vars}]}\n"), "app/a.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: app}\ndata:\n  a: ${a}\n  b: ${b}\n"}, "app",
			nil, []string{"app/a.yaml:6 | variable ${b}", "substituteFrom Secret vars"}},
		"Remote": {"a base on the network is not fetched", map[string]string{"clusters/a/app.yaml": ks("app", "  path: ./app\n") + "---\n" + ks("other", "  path: ./other\n"), "app/kustomization.yaml": "resources:\n- https://example.com/x?ref=v1\n", "other/a.yaml": configMap}, "other",
			nil, []string{"| app/kustomization.yaml:2 | Kustomization flux-system/app |", "vendor it"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			files := fstest.MapFS{}
			for file, text := range tc.files {
				files[file] = &fstest.MapFile{Data: []byte(text)}
			}
			repo, err := Import(t.Context(), Config{Tree: files, Now: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)})
			if err != nil {
				t.Fatal(err)
			}
			world := importertest.Read(t, repo)
			importertest.Expect(t, tc.reason, world.File("bundles/"+tc.bundle+"/bundle.yaml"), tc.want)
			importertest.Expect(t, tc.reason, repo.Report.Markdown("Flux"), tc.report)
		})
	}
}
