package wire_test

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/periplus-fleet/periplus/api/content"
	pluginv1 "github.com/periplus-fleet/periplus/api/proto/periplus/plugin/v1"
	"github.com/periplus-fleet/periplus/plugins/internal/wire"
	"github.com/periplus-fleet/periplus/plugins/sdk/renderer"
)

func TestValues(t *testing.T) {
	cases := map[string]struct {
		reason string
		value  map[string]any
	}{
		"Nil":      {"no object stays none", nil},
		"Empty":    {"an empty one stays empty", map[string]any{}},
		"Integers": {"64 bits are kept", map[string]any{"max": int64(math.MaxInt64), "min": int64(math.MinInt64), "zero": int64(0)}},
		"Floats":   {"a float stays one, whole or not", map[string]any{"whole": 1.0, "part": 0.1, "large": 1e300, "small": -5e-324, "zero": 0.0}},
		"Text":     {"every character is kept", map[string]any{"a\"b\\\n\x00<&>": "\u2028 ü 😀 \x7f"}},
		"Nested":   {"at any depth", map[string]any{"list": []any{nil, true, map[string]any{"a": []any{int64(1), 1.0}}}, "none": []any{}}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			data, err := wire.EncodeObject(tc.value)
			if err != nil {
				t.Fatal(err)
			}
			got, err := wire.DecodeObject(data)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.value, got); diff != "" {
				t.Errorf("%s: %s (-want +got):\n%s", tc.reason, data, diff)
			}
		})
	}
}

func TestValuesThatCannotTravel(t *testing.T) {
	for name, value := range map[string]any{"NaN": math.NaN(), "Infinite": math.Inf(1), "Struct": struct{}{}, "Strings": []string{"a"}} {
		if data, err := wire.EncodeObject(map[string]any{"a": value}); err == nil {
			t.Errorf("%s: was encoded as %s", name, data)
		}
	}
	for name, data := range map[string]string{"List": "[]", "Null": "null", "Two": "{}{}", "Half": "{", "TooLarge": `{"a": 9223372036854775808}`} {
		if value, err := wire.DecodeObject([]byte(data)); err == nil {
			t.Errorf("%s: %s was decoded as %v", name, data, value)
		}
	}
}

func TestErrors(t *testing.T) {
	refused := &renderer.Error{File: "a/b.yaml", Line: 7, Message: "is wrong"}
	cases := map[string]struct {
		reason string
		err    error
		text   string
		is     error
		file   string
	}{
		"Refused":    {reason: "file and line", err: refused, text: "a/b.yaml:7: is wrong", file: "a/b.yaml"},
		"Wrapped":    {reason: "with the words around it", err: fmt.Errorf("in short: %w", refused), text: "in short: a/b.yaml:7: is wrong", file: "a/b.yaml"},
		"NotExist":   {reason: "code branches on it", err: &fs.PathError{Op: "open", Path: "a", Err: fs.ErrNotExist}, text: "open a: file does not exist", is: fs.ErrNotExist},
		"Permission": {reason: "and on it", err: &fs.PathError{Op: "open", Path: "a", Err: fs.ErrPermission}, text: "open a: permission denied", is: fs.ErrPermission},
		"Plain":      {reason: "any other has its text", err: errors.New("broken"), text: "broken"},
		"Foreign":    {reason: "a plugin's own connections say nothing of this one", err: status.Error(codes.Unavailable, "key service away"), text: "rpc error: code = Unavailable desc = key service away"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			sent := wire.ToStatus(tc.err)
			if code := status.Code(sent); code == codes.Unavailable || code == codes.ResourceExhausted {
				t.Errorf("it travels as %s, which is of the connection", code)
			}
			got := wire.FromStatus(sent)
			if got.Error() != tc.text {
				t.Errorf("%s: got %q, want %q", tc.reason, got, tc.text)
			}
			var found *renderer.Error
			if errors.As(got, &found) != (tc.file != "") || found != nil && *found != *refused {
				t.Errorf("%s: got %#v", tc.reason, got)
			}
			if tc.is != nil && !errors.Is(got, tc.is) {
				t.Errorf("%s: %v is not %v", tc.reason, got, tc.is)
			}
		})
	}
	if wire.ToStatus(nil) != nil || wire.FromStatus(nil) != nil {
		t.Error("no error became one")
	}
}

func TestRendererMessages(t *testing.T) {
	request := renderer.Request{ContentID: "c", Dir: "d", Path: "p", ChartID: "i", ValuesFiles: []string{"v"}, Values: map[string]any{"a": int64(1)},
		Config: map[string]any{"b": 1.0}, Capabilities: renderer.Capabilities{KubeVersion: "v1.36.0", APIVersions: []string{"v1"}}, ReleaseName: "r", Namespace: "n"}
	message, err := wire.ToRenderRequest(request)
	if err != nil {
		t.Fatal(err)
	}
	gotRequest, err := wire.FromRenderRequest(message)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(request, gotRequest); diff != "" {
		t.Errorf("request (-want +got):\n%s", diff)
	}
	result := renderer.Result{Warnings: []string{"w"}, Used: renderer.Used{KubeVersion: true, APIVersions: []string{"v1"}, AllAPIVersions: true},
		Objects: []renderer.Object{{Value: map[string]any{"a": int64(1)}, Source: "s:1"},
			{Value: map[string]any{}, Sealed: []byte("sealed"), Hook: &content.Hook{Events: []string{"test"}, Weight: -5, DeletePolicies: []string{"hook-failed"}}}}}
	answer, err := wire.ToRenderResponse(result)
	if err != nil {
		t.Fatal(err)
	}
	gotResult, err := wire.FromRenderResponse(answer)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(result, gotResult); diff != "" {
		t.Errorf("result (-want +got):\n%s", diff)
	}
	for name, object := range map[string]*pluginv1.Object{"Empty": {}, "NoObject": {Value: []byte("[]")}} {
		if _, err := wire.FromRenderResponse(&pluginv1.RenderResponse{Objects: []*pluginv1.Object{object}}); err == nil {
			t.Errorf("%s: an answer that is no result was taken", name)
		}
	}
}
