package fleet_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/periplus-fleet/periplus/hub/fleet"
)

func TestReadRefusesFields(t *testing.T) {
	helm := "source: {helm: {chart: ./c}}"
	cases := map[string]struct {
		reason string
		// spec stands at line 6 and after; want is "line: field", with a word of the message where one counts.
		spec string
		want []string
		says string
	}{
		"HelmAll":          {reason: "A chart from a repository, with all that goes with it.", spec: "source: {helm: {repository: 'https://x.example.com/charts', name: a, version: '>=1.2 <2', secretRef: {name: s}, skipCRDs: true, tests: true}}"},
		"HelmOCI":          {reason: "A chart from a registry.", spec: "source: {helm: {oci: 'oci://x.example.com/a', version: 1.2.3}}"},
		"HelmNowhere":      {reason: "A chart is somewhere.", spec: "source: {helm: {releaseName: a}}", want: []string{"6: spec.source.helm"}},
		"HelmTwice":        {reason: "And at one place.", spec: "source: {helm: {chart: ./c, oci: 'oci://x.example.com/a', version: 1.0.0}}", want: []string{"6: spec.source.helm"}},
		"HelmNoName":       {reason: "A repository holds many charts.", spec: "source: {helm: {repository: 'https://x.example.com', version: 1.0.0}}", want: []string{"6: spec.source.helm.name"}},
		"HelmNoVersion":    {reason: "Without version every commit could be another chart.", spec: "source: {helm: {oci: 'oci://x.example.com/a'}}", want: []string{"6: spec.source.helm.version"}},
		"HelmBadVersion":   {reason: "A version is one.", spec: "source: {helm: {oci: 'oci://x.example.com/a', version: new}}", want: []string{"6: spec.source.helm.version"}},
		"HelmTag":          {reason: "The version has its own field.", spec: "source: {helm: {oci: 'oci://x.example.com/a:1.0.0', version: 1.0.0}}", want: []string{"6: spec.source.helm.oci"}},
		"HelmFile":         {reason: "A repository is on the network.", spec: "source: {helm: {repository: 'file:///etc', name: a, version: 1.0.0}}", want: []string{"6: spec.source.helm.repository"}},
		"HelmPassword":     {reason: "Credentials do not belong into Git.", spec: "source: {helm: {repository: 'https://a:b@x.example.com', name: a, version: 1.0.0}}", want: []string{"6: spec.source.helm.repository"}, says: "secretRef"},
		"HelmLocalVersion": {reason: "What would do nothing is refused.", spec: "source: {helm: {chart: ./c, version: 1.0.0, secretRef: {name: s}}}", want: []string{"6: spec.source.helm.secretRef", "6: spec.source.helm.version"}},
		"Jsonnet":          {reason: "Jsonnet takes values.", spec: "source: {jsonnet: {path: a.jsonnet, importPaths: [../lib], valuesAs: TLAs}}\n  values: {a: 1}"},
		"JsonnetOut":       {reason: "Imports stay in the repository.", spec: "source: {jsonnet: {importPaths: [../../..]}}", want: []string{"6: spec.source.jsonnet.importPaths[0]"}},
		"JsonnetAs":        {reason: "One of two ways.", spec: "source: {jsonnet: {valuesAs: Env}}", want: []string{"6: spec.source.jsonnet.valuesAs"}},
		"Plugin":           {reason: "A plugin takes values and its own config.", spec: "source: {plugin: {name: cue, path: x, config: {a: [1]}}}\n  values: {a: 1}"},
		"PluginBuiltin":    {reason: "Built-in renderers have their own fields.", spec: "source: {plugin: {name: helm}}", want: []string{"6: spec.source.plugin.name"}},
		"PluginConfig":     {reason: "Config is the same for all clusters.", spec: "source: {plugin: {name: cue, config: {a: '${{ cluster.name }}'}}}", want: []string{"6: spec.source.plugin.config.a"}},
		"TwoSources":       {reason: "One source.", spec: "source: {jsonnet: {}, kustomize: {}}", want: []string{"6: spec.source"}},
		"Operators":        {reason: "Operators are checked at commit.", spec: helm + "\n  values:\n    a: {$append: 1}\n    b: {$set: 1, c: 2}\n    d: {$unset: true}", want: []string{"8: spec.values.a.$append", "9: spec.values.b.$set"}},
		"OperatorAtRoot":   {reason: "There is nothing below to replace as a whole.", spec: helm + "\n  values: {$set: {}}", want: []string{"7: spec.values.$set"}},
		"ValuesFrom": {reason: "References are whole.", spec: helm + "\n  valuesFrom: [{}, {configMap: {name: a}, secret: {name: a}}, {configMap: {name: A}}, {secret: {name: a, key: 'x/y'}, at: a}]",
			want: []string{"7: spec.valuesFrom[0]", "7: spec.valuesFrom[1]", "7: spec.valuesFrom[2].configMap.name", "7: spec.valuesFrom[3].at", "7: spec.valuesFrom[3].secret.key"}},
		"ValuesFromNone": {reason: "Manifests take no values.", spec: "valuesFrom: [{configMap: {name: a}}]", want: []string{"6: spec.valuesFrom"}},
		"OverlayValues":  {reason: "Nor do they from an overlay.", spec: "overlays: [{clusterSelector: {}, values: {a: 1}}]", want: []string{"6: spec.overlays[0].values"}},
		"OverlayNothing": {reason: "An overlay changes something.", spec: "overlays: [{clusterSelector: {}}]", want: []string{"6: spec.overlays[0]"}, says: "changes nothing"},
		"OverlayNobody":  {reason: "And is for somebody.", spec: "overlays: [{set: [{target: {}, pointer: /a, value: 1}]}]", want: []string{"6: spec.overlays[0]"}},
		"ExcludeNobody":  {reason: "As is an exclusion.", spec: "exclude: [{}]", want: []string{"6: spec.exclude[0]"}},
		"NoNames":        {reason: "An empty list of names means nothing.", spec: "exclude: [{clusterNames: []}]", want: []string{"6: spec.exclude[0]", "6: spec.exclude[0].clusterNames"}},
		"BadName":        {reason: "Names are names.", spec: "exclude: [{clusterNames: ['eu-?']}]", want: []string{"6: spec.exclude[0].clusterNames[0]"}},
		"BadExpression":  {reason: "Expressions are compiled at commit.", spec: "exclude: [{expression: 'clster.name'}]", want: []string{"6: spec.exclude[0].expression"}},
		"BadProperty":    {reason: "Selectors are, too.", spec: "exclude: [{propertySelector: {matchLabels: {a: '~'}}}]", want: []string{"6: spec.exclude[0].propertySelector"}},
		"Tolerations": {reason: "Tolerations mean something.", spec: "tolerations: [{}, {operator: Exists, value: a}, {key: a, operator: In}, {key: a, effect: No}]",
			want: []string{"6: spec.tolerations[0].key", "6: spec.tolerations[1].value", "6: spec.tolerations[2].operator", "6: spec.tolerations[3].effect"}},
		"DriftManagers": {reason: "Who may change what, by name.", spec: "drift: {ignore: [{kind: Deployment, managers: [kube-controller-manager, 'keda-*']}, {pointers: [/spec/replicas], managers: [a]}]}"},
		"DriftNothing": {reason: "A rule leaves something to others.", spec: "drift: {ignore: [{kind: Deployment}, {managers: ['', '[']}, {pointers: [spec]}]}",
			want: []string{"6: spec.drift.ignore[0]", "6: spec.drift.ignore[1].managers[0]", "6: spec.drift.ignore[1].managers[1]", "6: spec.drift.ignore[2].pointers[0]"}},
		"Decrypt":     {reason: "One place.", spec: "decrypt: agent", want: []string{"6: spec.decrypt"}},
		"Generate":    {reason: "What names an object stays.", spec: "generate: {once: [{kind: Secret, pointers: []}, {pointers: [/metadata/name, data]}]}", want: []string{"6: spec.generate.once[0].pointers", "6: spec.generate.once[1].pointers[0]", "6: spec.generate.once[1].pointers[1]"}},
		"Annotations": {reason: "Ours are the agent's.", spec: "annotations: {fleet.periplus.dev/x: a, 'a b': c}", want: []string{"6: spec.annotations.a b", "6: spec.annotations.fleet.periplus.dev/x"}},
		"DependsOn": {reason: "One thing each, and once.", spec: "dependsOn: [{}, {bundle: a, object: {kind: Job, name: b}}, {object: {name: b}}, {object: {kind: Job, name: b}, clusterSelector: {}}, {bundle: a}, {bundle: a, clusterSelector: {}}, {bundle: a}]",
			want: []string{"6: spec.dependsOn[0]", "6: spec.dependsOn[1]", "6: spec.dependsOn[2].object.kind", "6: spec.dependsOn[3].clusterSelector", "6: spec.dependsOn[6]"}},
		"Adopt": {reason: "One of four words.", spec: "adopt: Sometimes", want: []string{"6: spec.adopt"}, says: "IfEqual"},
		"Objects": {reason: "Each rule says something, in words that are known.", spec: "objects: [{kind: Job}, {apply: now}, {wave: 2000}, {timeout: 0s}, {ignore: [x, '/a,b', /metadata/name]}]",
			want: []string{"6: spec.objects[0]", "6: spec.objects[1].apply", "6: spec.objects[2].wave", "6: spec.objects[3].timeout", "6: spec.objects[4].ignore[0]", "6: spec.objects[4].ignore[1]", "6: spec.objects[4].ignore[2]"}},
		"ObjectsRight":  {reason: "All that can be said.", spec: "adopt: IfEqual\n  objects: [{kind: Job, name: 'a*', prune: never, apply: replace, adopt: always, wave: -1, timeout: 90s, ignore: [/spec/replicas]}]"},
		"DependsOnSelf": {reason: "Also on other clusters a bundle does not wait for itself.", spec: "dependsOn: [{bundle: web, clusterSelector: {}}]", want: []string{"6: spec.dependsOn[0].bundle"}, says: "web -> web"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			snapshot := read(t, base().with(files{"bundles/team/db/bundle.yaml": "",
				"bundles/web/bundle.yaml": "kind: Bundle\nmetadata: {name: web}\nspec:\n  targets: [{clusterSelector: {}}]\n  " + tc.spec + "\n"}), "c1", nil)
			var got, messages []string
			for _, refused := range snapshot.Refused {
				got = append(got, fmt.Sprintf("%d: %s", refused.Line, refused.Field))
				messages = append(messages, refused.Message)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" || !strings.Contains(strings.Join(messages, " "), tc.says) {
				t.Errorf("%s\n%s\n%v", tc.reason, diff, messages)
			}
		})
	}
}

func TestReadClusterFacts(t *testing.T) {
	snapshot := read(t, base().with(files{"clusters/x.yaml": "kind: FleetCluster\nmetadata: {name: x}\nspec:\n  properties: {provider: a, 'b c': d, ok: 'a b'}\n" +
		"  taints:\n  - {key: a}\n  - {key: '', effect: NoSelect}\n  - {key: b, value: x, effect: NoSelect}\n  - {key: b, value: y, effect: NoSelect}\n"}), "c1", nil)
	var got []string
	for _, refused := range snapshot.Refused {
		got = append(got, fmt.Sprintf("%d: %s", refused.Line, refused.Field))
	}
	want := []string{"5: spec.properties.b c", "5: spec.properties.ok", "5: spec.properties.provider", "7: spec.taints[0].effect", "8: spec.taints[1].key", "10: spec.taints[3]"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s\n%v", diff, snapshot.Refused)
	}
}

func TestCyclesOverClusters(t *testing.T) {
	depends := func(name, on string) string {
		return "kind: Bundle\nmetadata: {name: " + name + "}\nspec: {targets: [{clusterSelector: {}}], dependsOn: [" + on + "]}\n"
	}
	snapshot := read(t, files{"bundles/a/bundle.yaml": depends("a", "{bundle: b, clusterSelector: {matchLabels: {x: y}}}"),
		"bundles/b/bundle.yaml": depends("b", "{object: {kind: Job, name: a}}, {bundle: c}"), "bundles/c/bundle.yaml": depends("c", "{bundle: a}")}, "c1", nil)
	if len(snapshot.Refused) != 3 || !strings.Contains(snapshot.Refused[0].Message, "fleet/a -> fleet/b -> fleet/c -> fleet/a") {
		t.Errorf("a cycle is one over other clusters, too: %v", snapshot.Refused)
	}
}

func TestContentHashReach(t *testing.T) {
	spec := func(source string) string {
		return "kind: Bundle\nmetadata: {name: web}\nspec: {targets: [{clusterSelector: {}}], source: {" + source + "}}\n"
	}
	cases := map[string]struct {
		reason string
		files  files
		// reaches says whether a change elsewhere in the repository is one of the bundle.
		reaches bool
	}{
		"Manifests":    {reason: "Manifests stay in their folder.", files: files{"bundles/web/bundle.yaml": bundleFile, "bundles/web/a.jsonnet": "../x"}},
		"ImportPath":   {reason: "A library elsewhere is read.", files: files{"bundles/web/bundle.yaml": spec("jsonnet: {importPaths: [../../lib]}")}, reaches: true},
		"Import":       {reason: "So is what a file imports from outside.", files: files{"bundles/web/bundle.yaml": spec("jsonnet: {}"), "bundles/web/main.jsonnet": "import '../x.libsonnet'"}, reaches: true},
		"DeepImport":   {reason: "By whatever name the file goes.", files: files{"bundles/web/bundle.yaml": spec("jsonnet: {}"), "bundles/web/lib/x.txt": "import '../../x'"}, reaches: true},
		"JsonnetAlone": {reason: "Jsonnet that stays at home.", files: files{"bundles/web/bundle.yaml": spec("jsonnet: {importPaths: [lib]}"), "bundles/web/main.jsonnet": "{}"}},
		"Plugin":       {reason: "A plugin may read what it likes.", files: files{"bundles/web/bundle.yaml": spec("plugin: {name: cue}")}, reaches: true},
		"Dependency":   {reason: "A chart may name one beside it.", files: files{"bundles/web/bundle.yaml": spec("helm: {chart: c}"), "bundles/web/c/Chart.yaml": "repository: file://../../x"}, reaches: true},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			before := read(t, tc.files, "c1", nil)
			after := read(t, tc.files.with(files{"elsewhere.txt": "x"}), "c2", before)
			if len(before.Bundles) != 1 || len(after.Bundles) != 1 {
				t.Fatal(before.Refused, after.Refused)
			}
			bundles := [2]fleet.BundleDecl{before.Bundles[0], after.Bundles[0]}
			if (bundles[0].TreeHash != bundles[1].TreeHash) != tc.reaches {
				t.Error(tc.reason)
			}
		})
	}
}
