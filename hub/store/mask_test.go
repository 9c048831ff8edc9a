package store_test

import (
	"strings"
	"testing"

	"github.com/periplus-fleet/periplus/api/content"
	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
	"github.com/periplus-fleet/periplus/hub/delivery"
	"github.com/periplus-fleet/periplus/hub/store"
)

// TestReportsQuoteNoSecrets lets an agent report what an API server said of objects that were made of secret inputs.
func TestReportsQuoteNoSecrets(t *testing.T) {
	each(t, func(w *world) {
		w.clusters("a")
		put := func(digest func([]byte) content.Digest) content.Digest {
			blob := []byte(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c"},"data":{"url":"hunter2@db"}}`)
			revision, err := w.PutRevision(w.ctx(), content.Manifest{Items: []content.Item{{ObjectID: content.ObjectID{Kind: "ConfigMap", Name: "c"},
				Digest: digest(blob)}}}, map[content.Digest][]byte{digest(blob): blob})
			w.must(err)
			return revision
		}
		secret := put(func(data []byte) content.Digest { return content.SumSecret([]byte("key"), data) })
		plain := put(content.Sum)
		w.apply(assign("a", "fleet/secret", secret), assign("a", "fleet/plain", plain))
		session := w.session("a")
		report := &linkv1.StatusReport{}
		for bundle, revision := range map[string]content.Digest{"fleet/secret": secret, "fleet/plain": plain} {
			text := `ConfigMap c: data.url: Invalid value: "hunter2@db": too long`
			one := status(bundle, revision, linkv1.State_STATE_FAILED)
			one.Message = text
			one.Exceptions = []*linkv1.ObjectStatus{{Id: &linkv1.ObjectId{Kind: "ConfigMap", Name: "c"}, State: "failed", Message: text}}
			one.Events = []*linkv1.ObjectEvent{{Id: &linkv1.ObjectId{Kind: "ConfigMap", Name: "c"}, Type: "drift-repaired", Message: text}}
			report.Bundles = append(report.Bundles, one)
		}
		w.report("a", session, 1, report)
		said := map[string]string{}
		for _, bundle := range []string{"secret", "plain"} {
			said[bundle] = w.delivery("a", delivery.Key("fleet/"+bundle)).Observed.Message
			objects, err := w.ListObjects(w.ctx(), store.Query{Namespaces: []string{"fleet"}, Filter: map[string]string{"bundle": "fleet/" + bundle}, Limit: 100})
			w.must(err)
			for _, object := range objects.Items {
				said[bundle] += object.Message
			}
		}
		page, err := w.ListHistory(w.ctx(), store.Query{Namespaces: []string{"fleet"}, Limit: 100})
		w.must(err)
		for _, event := range page.Items {
			said[event.Bundle] += event.Message
		}
		if strings.Contains(said["secret"], "hunter2") || strings.Count(said["secret"], "too long") < 4 {
			w.Errorf("what is said of a secret revision is kept without its values: %s", said["secret"])
		}
		if strings.Count(said["plain"], "hunter2") < 4 {
			w.Errorf("what is said of others is kept as it is: %s", said["plain"])
		}
	})
}
