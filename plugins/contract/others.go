package contract

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/periplus-fleet/periplus/plugins/host"
	"github.com/periplus-fleet/periplus/plugins/host/decrypters"
	"github.com/periplus-fleet/periplus/plugins/host/notifiers"
	"github.com/periplus-fleet/periplus/plugins/sdk/decrypter"
	"github.com/periplus-fleet/periplus/plugins/sdk/notifier"
)

func testDecrypter(t *testing.T, plugin Plugin, process *host.Plugin) {
	tested := decrypters.New(process)
	t.Run("NotEncrypted", func(t *testing.T) {
		const canary = "p1a1nt3xt-canary"
		for format, data := range map[string]string{"yaml": "password: " + canary + "\n", "json": `{"password": "` + canary + `"}`, "binary": canary} {
			_, err := tested.Decrypt(t.Context(), decrypter.Request{Path: "secrets." + format, Format: format, Data: []byte(data)})
			if err == nil {
				t.Errorf("%s: what is not encrypted was opened", format)
				continue
			}
			atFileOrFine(t, err)
			if strings.Contains(err.Error(), canary) {
				t.Errorf("%s: the error shows what is in the file: %v", format, err)
			}
		}
	})
	for path, secret := range plugin.Encrypted {
		t.Run("Opens", func(t *testing.T) {
			got, err := tested.Decrypt(t.Context(), decrypter.Request{Path: path, Format: secret.Format, Data: secret.Data})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(secret.Plaintext), string(got)); diff != "" {
				t.Errorf("%s opens to something else (-want +got):\n%s", path, diff)
			}
		})
	}
}

func testNotifier(t *testing.T, _ Plugin, process *host.Plugin) {
	tested := notifiers.New(process)
	event := notifier.Event{ID: "contract-1", Time: time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC), Type: "Ready", Namespace: "fleet", Cluster: "eu-1",
		Bundle: "web", From: "a", To: "b", Commit: "c", Message: "all objects are ready"}
	t.Run("Notifies", func(t *testing.T) {
		// An event may come again, and most of its fields may be empty.
		for _, one := range []notifier.Event{event, event, {ID: "contract-2", Time: event.Time, Type: "Joined"}} {
			var failure *host.Error
			if err := tested.Notify(t.Context(), one); errors.As(err, &failure) && failure.Fault {
				t.Errorf("the event %s: %v", one.ID, err)
			} else if err != nil {
				t.Logf("the event %s was not delivered, which may be right here: %v", one.ID, err)
			}
		}
	})
}
