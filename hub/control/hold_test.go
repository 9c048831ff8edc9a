package control

import (
	"fmt"
	"strings"
	"testing"

	"github.com/periplus-fleet/periplus/hub/render"
)

// chartFiles are a bundle whose base is a rendering of its own for each value of x.
func chartFiles(name, x string) map[string]string {
	return map[string]string{
		"bundles/" + name + "/bundle.yaml":                 "kind: Bundle\nmetadata: {name: " + name + "}\nspec: {source: {helm: {chart: chart}}, values: {x: '" + x + "'}, targets: [{clusterSelector: {}}]}\n",
		"bundles/" + name + "/chart/Chart.yaml":            "apiVersion: v2\nname: web\nversion: 1.0.0\n",
		"bundles/" + name + "/chart/templates/config.yaml": strings.NewReplacer("name: c", "name: "+name, "x: a", "x: {{ .Values.x }}").Replace(object),
	}
}

func TestBasesInForceStayOnDisk(t *testing.T) {
	f := newTestFleet(t)
	// Room for few renderings.
	f.folder, f.folderBytes = t.TempDir(), 4000
	f.restart()
	f.cluster("c1")
	f.commit(chartFiles("held", "first"))
	f.plan()
	for i := range 20 {
		f.commit(chartFiles("other", fmt.Sprint(i)))
		f.plan()
	}
	again := func(x string) render.Stats {
		f.restart()
		f.commit(chartFiles("other", x))
		f.plan()
		return f.planner.renderer.Stats()
	}
	if stats := again("19"); stats.Bases != 0 {
		t.Errorf("what is in force was rendered anew: %+v", stats)
	}
	if stats := again("3"); stats.Bases != 1 {
		t.Errorf("what was in force long ago is no longer held: the test proves nothing: %+v", stats)
	}
}
