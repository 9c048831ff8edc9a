package faults_test

import (
	"crypto/rand"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/periplus-fleet/periplus/agent/desired"
	"github.com/periplus-fleet/periplus/api/content"
	"github.com/periplus-fleet/periplus/e2e/member"
)

// damages are the ways in which a Secret is spoilt; nil deletes it.
var damages = map[string]struct {
	reason string
	spoil  func([]byte) []byte
}{
	"Deleted":      {reason: "somebody cleaned up"},
	"RandomBytes":  {reason: "a disk or a person wrote noise", spoil: func(data []byte) []byte { _, _ = rand.Read(data); return data }},
	"Truncated":    {reason: "a write was cut off", spoil: func(data []byte) []byte { return data[:len(data)/2] }},
	"Empty":        {reason: "a tool emptied it", spoil: func([]byte) []byte { return nil }},
	"WrongVersion": {reason: "a newer agent ran here", spoil: func([]byte) []byte { data, _ := desired.Compress([]byte(`{"version":99}`)); return data }},
}

// parts of what the agent keeps, and what it says when one is spoilt. A deleted Secret is as at a first
// start, and content is missed only once it is read.
var parts = map[string]struct{ says string }{
	"state":     {says: "the accepted set is lost"},
	"inventory": {says: "an inventory is lost"},
	"content":   {says: "content is lost"},
}

func (w *world) spoil(part string, spoil func([]byte) []byte) {
	w.Helper()
	if spoil == nil {
		w.replace(part, nil)
		return
	}
	w.replace(part, func(secret *corev1.Secret) {
		for key, data := range secret.Data {
			secret.Data[key] = spoil(data)
		}
	})
}

func TestSpoiltSecretsAreHadAgainFromTheHub(t *testing.T) {
	w := newWorld(t)
	first, second := numbered("spoilt", 20, "one"), numbered("apart", 5, "one")
	w.assign(bundle("spoilt", first))
	w.assign(bundle("apart", second))
	w.start()
	w.settle()
	for part, kept := range parts {
		for name, damage := range damages {
			if !thorough() && (name == "RandomBytes" || name == "Empty") {
				continue
			}
			t.Run(part+"/"+name, func(t *testing.T) {
				w := w.with(t)
				before := w.live()
				w.kill()
				w.spoil(part, damage.spoil)
				w.change("spoilt-003", "drifted")
				w.start()
				w.heal()
				w.becomes("spoilt-003", "one")
				if damage.spoil != nil {
					w.says(kept.says)
				}
				after := w.live()
				w.same(before, after)
				if len(after) != len(before) {
					t.Errorf("%d objects, want %d", len(after), len(before))
				}
				// What was lost is kept again: the next change needs nothing else, nor does, below, a start without a hub.
				first["spoilt-000"] = part + name
				w.assign(bundle("spoilt", first))
				w.settle()
				w.same(before, w.live())
			})
		}
		// Content that nobody asked for was not missed yet: with a hub, it is had again when it is.
		w.change("apart-000", "drifted")
		w.becomes("apart-000", "one")
		w.Hub.Leave()
		w.restart()
		w.change("apart-000", "drifted")
		w.becomes("apart-000", "one")
		w.must(w.Hub.Return(w.ctx))
	}
}

func TestSpoiltSecretsWithoutAHub(t *testing.T) {
	w := newWorld(t)
	w.assign(bundle("alone", numbered("alone", 10, "one")))
	w.start()
	w.settle()
	cases := map[string]struct {
		reason, part string
		spoil        func([]byte) []byte
		says         string
		repairs      bool
	}{
		"State":     {reason: "nothing is known to be wanted, so that nothing is changed", part: "state", spoil: damages["Truncated"].spoil, says: "the accepted set is lost"},
		"Inventory": {reason: "what is wanted and its content are here", part: "inventory", spoil: damages["RandomBytes"].spoil, says: "an inventory is lost", repairs: true},
		"Content":   {reason: "what is wanted is known, but not its content", part: "content", spoil: damages["RandomBytes"].spoil, says: "content is lost"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			w := w.with(t)
			before := w.live()
			w.kill()
			w.Hub.Leave()
			w.spoil(c.part, c.spoil)
			w.change("alone-004", "drifted")
			w.start()
			w.says(c.says)
			if c.repairs {
				w.becomes("alone-004", "one")
			}
			w.same(before, w.live())
			w.must(w.Hub.Return(w.ctx))
			w.heal()
			w.becomes("alone-004", "one")
			w.same(before, w.live())
		})
	}
}

func TestForgedContentIsRefused(t *testing.T) {
	w := newWorld(t)
	w.assign(bundle("forged", numbered("forged", 3, "one")))
	w.assign(bundle("honest", numbered("honest", 3, "one")))
	w.start()
	w.settle()
	before := w.live()
	next := bundle("forged", numbered("forged", 3, "two"))
	data, err := content.CanonicalJSON(next.Objects[1])
	w.must(err)
	evil, err := content.CanonicalJSON(member.Sample(0, "forged-001", "evil"))
	w.must(err)
	w.Hub.Leave()
	w.assign(next)
	w.Hub.Store.Forge(content.Sum(data), evil)
	w.must(w.Hub.Return(w.ctx))
	w.eventually(func() string {
		if w.Hub.Refused()["fleet/forged"] == "" {
			return "the agent does not refuse it"
		}
		return ""
	})
	t.Logf("refused: %s", w.Hub.Refused()["fleet/forged"])
	// The old revision is kept up, and other bundles go on.
	w.change("forged-001", "drifted")
	w.becomes("forged-001", "one")
	w.assign(bundle("honest", numbered("honest", 3, "two")))
	w.becomes("honest-002", "two")
	for name, object := range w.live() {
		if object.value == "evil" || name[:6] == "forged" && object.value != "one" {
			t.Errorf("ConfigMap %q is %q", name, object.value)
		}
	}
	// The store is mended.
	w.Hub.Store.Forge(content.Sum(data), data)
	w.settle()
	w.becomes("forged-001", "two")
	w.same(before, w.live())
}
