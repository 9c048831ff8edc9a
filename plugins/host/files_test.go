package host

import (
	"bytes"
	"io/fs"
	"testing"
	"testing/fstest"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pluginv1 "github.com/periplus-fleet/periplus/api/proto/periplus/plugin/v1"
	"github.com/periplus-fleet/periplus/plugins/internal/wire"
)

func TestFiles(t *testing.T) {
	served := &files{trees: map[uint64]fs.FS{}}
	old := served.share(fstest.MapFS{"secret": {Data: []byte("x")}})
	served.release()
	now := served.share(fstest.MapFS{"a/small": {Data: []byte("small")}, "a/large": {Data: bytes.Repeat([]byte("x"), smallFile+1)},
		"huge": {Data: make([]byte, wire.MaxFile+1)}})
	cases := map[string]struct {
		reason string
		tree   uint64
		path   string
		want   codes.Code
	}{
		"Readable": {"a file of the call", now, "a/small", codes.OK},
		"Ended":    {"trees end with their call, and their numbers with them", old, "secret", codes.InvalidArgument},
		"Unknown":  {"numbers cannot be guessed to any use", now + 1, "a/small", codes.InvalidArgument},
		"Outside":  {"a path stays in its tree", now, "../secret", codes.InvalidArgument},
		"Absolute": {"and is relative", now, "/etc/passwd", codes.InvalidArgument},
		"NotThere": {"this is told as such", now, "none", codes.NotFound},
		"Huge":     {"a file is bounded", now, "huge", codes.ResourceExhausted},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := served.Read(t.Context(), &pluginv1.FileRequest{Tree: tc.tree, Path: tc.path})
			if status.Code(err) != tc.want {
				t.Errorf("%s: got %v, want %s", tc.reason, err, tc.want)
			}
		})
	}
	listed, err := served.List(t.Context(), &pluginv1.FileRequest{Tree: now, Path: "a"})
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range listed.GetFiles() {
		if small := file.GetName() == "small"; (file.Data != nil) != small {
			t.Errorf("the listing holds what is in %s: %v, want only what is small", file.GetName(), file.Data != nil)
		}
	}
}

func TestBackOffGrows(t *testing.T) {
	for failures, most := range map[int]int{0: 0, 1: 0, 2: 250, 3: 500, 8: 16000, 9: 30000, 1000: 30000} {
		got := backOff(failures).Milliseconds()
		if got > int64(most) || got < int64(most/2) {
			t.Errorf("after %d failures: %d ms, want %d to %d", failures, got, most/2, most)
		}
	}
}
