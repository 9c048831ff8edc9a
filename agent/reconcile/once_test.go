package reconcile_test

import (
	"context"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestOnceIsNeverOverwritten(t *testing.T) {
	m := newMember(t)
	secret := func(field, password, user string) string {
		return "apiVersion: v1\nkind: Secret\nmetadata: {name: s, annotations: {test/once: /" + field + "/password}}\n" + field + ": {password: " + password + ", user: " + user + "}"
	}
	configMap := func(password, user string) string {
		return "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c, annotations: {test/once: /data/password}}\ndata: {password: " + password + ", user: " + user + "}"
	}
	value := func(key string) string {
		live, err := m.client.CoreV1().Secrets(m.space).Get(context.Background(), "s", metav1.GetOptions{})
		m.must(err)
		config := m.configMap("c").Object["data"].(map[string]any)[key]
		if config != string(live.Data[key]) {
			t.Errorf("Secret and ConfigMap differ: %q, %q", live.Data[key], config)
		}
		return string(live.Data[key])
	}
	m.give("fleet/a", nil, secret("stringData", "first", "ann"), configMap("first", "ann"))
	m.accept()
	m.ready("fleet/a")
	if value("password") != "first" {
		t.Error("it was not applied at creation")
	}
	// Another rendering makes up another password: only the rest of it counts.
	m.give("fleet/a", nil, secret("stringData", "second", "bob"), configMap("second", "bob"))
	m.accept()
	m.ready("fleet/a")
	if value("password") != "first" || value("user") != "bob" {
		t.Errorf("password is %q, user %q", value("password"), value("user"))
	}
	// Somebody rotates it by hand: that is no drift.
	m.written()
	m.patch(corev1.SchemeGroupVersion.WithResource("secrets"), "s", `{"data":{"password":"cm90YXRlZA=="}}`)
	m.patch(configMaps, "c", `{"data":{"password":"rotated"}}`)
	m.patch(configMaps, "c", `{"data":{"user":"drifted"}}`)
	m.event("fleet/a", "drift-repaired")
	if writes := m.written(); value("password") != "rotated" || len(writes) != 1 {
		t.Errorf("password is %q, wrote %v", value("password"), writes)
	}
	m.restart()
	m.ready("fleet/a")
	if value("password") != "rotated" {
		t.Errorf("after a restart the password is %q", value("password"))
	}
	// Made anew it is applied again.
	m.must(m.client.CoreV1().Secrets(m.space).Delete(context.Background(), "s", metav1.DeleteOptions{}))
	m.must(m.client.CoreV1().ConfigMaps(m.space).Delete(context.Background(), "c", metav1.DeleteOptions{}))
	m.eventually("both are made anew", func() bool {
		_, err := m.client.CoreV1().Secrets(m.space).Get(context.Background(), "s", metav1.GetOptions{})
		return err == nil && m.hasConfigMap("c")
	})
	if value("password") != "second" {
		t.Errorf("made anew the password is %q", value("password"))
	}
}

func TestStringDataIsOwned(t *testing.T) {
	m := newMember(t)
	m.give("fleet/a", nil, "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {a: x, b: w}\ndata: {c: eg==}")
	m.accept()
	m.ready("fleet/a")
	secrets := corev1.SchemeGroupVersion.WithResource("secrets")
	m.patch(secrets, "s", `{"data":{"a":"ZHJpZnRlZA=="}}`)
	m.event("fleet/a", "drift-repaired")
	m.give("fleet/a", nil, "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {a: x}")
	m.accept()
	m.ready("fleet/a")
	live, err := m.client.CoreV1().Secrets(m.space).Get(context.Background(), "s", metav1.GetOptions{})
	m.must(err)
	if len(live.Data) != 1 || string(live.Data["a"]) != "x" {
		t.Errorf("data is %v", live.Data)
	}
}
