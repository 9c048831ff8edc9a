package yamldoc

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestObjectFromJSON(t *testing.T) {
	got, err := ObjectFromJSON([]byte("{\"i\": 9007199254740993, \"f\": 0.5, \"s\": \"\\ud83d\\ude00\x7f\", \"l\": [1, null]}"))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"i": int64(9007199254740993), "f": 0.5, "s": "😀\x7f", "l": []any{int64(1), nil}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for _, bad := range []string{"", "null", "[]", "{} {}", "{"} {
		if _, err := ObjectFromJSON([]byte(bad)); err == nil {
			t.Errorf("%q is no object", bad)
		}
	}
}
