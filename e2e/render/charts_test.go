package render_test

import (
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/periplus-fleet/periplus/hub/chart"
	"github.com/periplus-fleet/periplus/hub/chart/charttest"
	"github.com/periplus-fleet/periplus/hub/chart/record"
	"github.com/periplus-fleet/periplus/hub/fleet"
	"github.com/periplus-fleet/periplus/hub/render"
	"github.com/periplus-fleet/periplus/hub/target/expr"
)

var yamlBlock = regexp.MustCompile("(?s)\n```yaml\n(.*?)```")

// TestBundlesOfDocumentsParse reads the bundles that the pages about charts show.
func TestBundlesOfDocumentsParse(t *testing.T) {
	evaluator, err := expr.New()
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range []string{"how-to/use-charts-from-repositories", "reference/renderer-helm"} {
		text, err := os.ReadFile("../../docs/" + page + ".md")
		if err != nil {
			t.Fatal(err)
		}
		parsed := 0
		for _, block := range yamlBlock.FindAllStringSubmatch(string(text), -1) {
			if !strings.Contains(block[1], "kind: Bundle\n") {
				continue
			}
			parsed++
			if _, refused := fleet.ParseBundle("bundles/x/bundle.yaml", []byte(block[1]), "fleet", evaluator); len(refused) > 0 {
				t.Errorf("%s: %v\n%s", page, refused, block[1])
			}
		}
		if parsed == 0 {
			t.Errorf("%s shows no bundle", page)
		}
	}
}

// TestChartsOfRepositoriesRender takes a chart all the way from a server to objects, with a dependency that it does not hold.
func TestChartsOfRepositoriesRender(t *testing.T) {
	server := &charttest.Server{}
	listening := httptest.NewServer(server)
	t.Cleanup(listening.Close)
	repository, registry := listening.URL+"/charts", "oci://"+strings.TrimPrefix(listening.URL, "http://")+"/team"
	server.Push("team/cache", "1.2.0", charttest.Simple(t, "cache", "1.2.0"))
	shop := charttest.Package(t, "shop", map[string]string{
		"Chart.yaml":       "apiVersion: v2\nname: shop\nversion: 1.5.0\ndependencies: [{name: cache, version: 1.x, repository: '" + registry + "'}]\n",
		"templates/a.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: {{ .Release.Name }}}\ndata: {color: {{ .Values.color }}}\n",
		"values.yaml":      "color: blue\n",
	})
	server.Chart("shop", "1.5.0", shop)
	server.Push("team/shop", "1.5.0", shop)
	charts, err := chart.New(chart.Config{Dir: t.TempDir(), Records: &record.Memory{}})
	if err != nil {
		t.Fatal(err)
	}
	cases := map[string]struct {
		source string
		files  map[string]string
		from   string
	}{
		"Classic": {source: "{repository: '" + repository + "', name: shop, version: 1.x, valuesFiles: [prod.yaml]}", from: "shop@1.5.0/templates/a.yaml"},
		"OCI":     {source: "{oci: '" + registry + "/shop', version: 1.x, valuesFiles: [prod.yaml]}", from: "shop@1.5.0/templates/a.yaml"},
		"Beside": {source: "{chart: chart, valuesFiles: [prod.yaml]}", from: "bundles/shop/chart/templates/a.yaml", files: map[string]string{
			"chart/Chart.yaml":       "apiVersion: v2\nname: shop\nversion: 1.5.0\ndependencies: [{name: cache, version: 1.x, repository: '" + registry + "'}]\n",
			"chart/templates/a.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: {{ .Release.Name }}}\ndata: {color: {{ .Values.color }}}\n",
		}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			files := tree{fstest.MapFS{"bundles/shop/prod.yaml": {Data: []byte("color: green\n")}, "bundles/shop/bundle.yaml": {Data: []byte(
				"apiVersion: fleet.periplus.dev/v1alpha1\nkind: Bundle\nmetadata: {name: shop}\nspec: {source: {helm: " + tc.source + "}, targets: [{clusterSelector: {}}]}\n")}}}
			for file, text := range tc.files {
				files.MapFS["bundles/shop/"+file] = &fstest.MapFile{Data: []byte(text)}
			}
			bundle, inputs := inputsOf(t, files, "shop")
			bundle.Tree = &files
			bundle.TreeHash = name
			request := render.Input{Bundle: bundle, Tree: bundle.Tree, Inputs: inputs}
			var err error
			if request.Chart, request.ChartID, request.ChartVersion, err = charts.ForBundle(t.Context(), bundle, inputs.Source.Helm, chart.Auth{}); err != nil {
				t.Fatal(err)
			}
			if request.ChartVersion != "1.5.0" || request.Chart == nil {
				t.Errorf("got version %q", request.ChartVersion)
			}
			renderer, err := render.New(render.Config{SecretKey: []byte("key")})
			if err != nil {
				t.Fatal(err)
			}
			variant, err := renderer.Render(t.Context(), request)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			source := ""
			for _, item := range variant.Manifest.Items {
				got = append(got, string(variant.Blobs[item.Digest]))
				if item.Name == "shop" {
					source, _, _ = strings.Cut(item.Source, ":")
				}
			}
			want := []string{`{"apiVersion":"v1","data":{"color":"green"},"kind":"ConfigMap","metadata":{"name":"shop"}}`,
				`{"apiVersion":"v1","data":{"version":"1.2.0"},"kind":"ConfigMap","metadata":{"name":"shop-cache"}}`}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if source != tc.from {
				t.Errorf("the object is from %q, not %q", source, tc.from)
			}
		})
	}
}
