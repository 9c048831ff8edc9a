package offline

import (
	"testing"
	"testing/fstest"

	"github.com/periplus-fleet/periplus/api/v1alpha1"
	"github.com/periplus-fleet/periplus/hub/render"
	"github.com/periplus-fleet/periplus/hub/target"
)

func TestChartValuesNameTheirFile(t *testing.T) {
	fetched := fstest.MapFS{"Chart.yaml": {Data: []byte("name: web\nversion: 1.2.3\n")}, "values.yaml": {Data: []byte("# Ports.\nport: 80\n")}}
	cases := map[string]struct {
		reason string
		source v1alpha1.HelmSource
		in     render.Input
		want   string
	}{
		"Fetched":   {"A fetched chart is called by its name and version.", v1alpha1.HelmSource{OCI: "oci://x/web"}, render.Input{Chart: fetched, ChartVersion: "1.2.3"}, "web@1.2.3/values.yaml:2"},
		"Completed": {"One whose dependencies were fetched stands where it stands.", v1alpha1.HelmSource{Chart: "chart"}, render.Input{Chart: fetched, ChartVersion: "1.2.3"}, "bundles/a/chart/values.yaml:2"},
		"None":      {"A chart may have no values.", v1alpha1.HelmSource{OCI: "oci://x/web"}, render.Input{Chart: fstest.MapFS{}}, ""},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			tc.in.Inputs = target.Inputs{Source: &v1alpha1.BundleSource{Helm: &tc.source}}
			tc.in.Bundle.Path = "bundles/a"
			layers, err := chartValues(tc.in)
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			for _, one := range layers {
				got += one.Source("port")
			}
			if got != tc.want {
				t.Errorf("%s: %q, want %q", tc.reason, got, tc.want)
			}
		})
	}
}
