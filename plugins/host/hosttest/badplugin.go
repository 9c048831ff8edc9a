// Package hosttest is a plugin that does on demand whatever a plugin should not do.
package hosttest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/periplus-fleet/periplus/plugins/sdk/renderer"
)

// Bad is a renderer that misbehaves as Request.Path says.
type Bad struct{}

// Name is bad.
func (Bad) Name() string { return "bad" }

// Version is 1.
func (Bad) Version() string { return "1" }

// TakesValues so that tests can send some.
func (Bad) TakesValues() bool { return true }

// Configure refuses what holds "refuse".
func (Bad) Configure(config map[string]any) error {
	if config["refuse"] != nil {
		return errors.New("refuse: the field is refused")
	}
	if config["crash"] != nil {
		panic("configured to crash")
	}
	return nil
}

// Render does what Path says; any other path is answered with what the process sees.
func (Bad) Render(ctx context.Context, request renderer.Request) (renderer.Result, error) {
	switch request.Path {
	case "crash":
		panic("told to crash")
	case "exit":
		os.Exit(3)
	case "hang":
		select {}
	case "wait":
		return wait(ctx, request.FS)
	case "flood":
		line := append(bytes.Repeat([]byte("x"), 1000), '\n')
		for {
			_, _ = os.NewFile(2, "").Write(line)
		}
	case "print":
		for {
			fmt.Println(strings.Repeat("x", 1000))
		}
	case "big":
		return one("text", strings.Repeat("x", 80<<20)), nil
	case "hog":
		var all [][]byte
		for {
			block := make([]byte, 1<<20)
			for i := 0; i < len(block); i += 4096 {
				block[i] = 1
			}
			all = append(all, block)
			if len(all) > 1<<14 {
				return one("text", "still alive"), nil
			}
		}
	case "network":
		_, err := net.DialTimeout("tcp", request.Values["address"].(string), 5*time.Second)
		return one("error", fmt.Sprint(err)), nil
	case "local":
		_, err := os.ReadFile(request.Values["file"].(string))
		return one("error", fmt.Sprint(err)), nil
	case "write":
		err := os.WriteFile(request.Values["file"].(string), nil, 0o600)
		return one("error", fmt.Sprint(err)), nil
	case "log":
		slog.Warn("hello from the plugin", "answer", 42)
		return one("text", "logged"), nil
	case "refuse":
		return renderer.Result{}, fmt.Errorf("while rendering: %w", renderer.Refuse("a/b.yaml", 7, "is wrong"))
	case "file":
		data, err := fs.ReadFile(request.FS, request.Values["name"].(string))
		return one("text", string(data)), err
	}
	folder, _ := os.Getwd()
	environment := os.Environ()
	names := make([]any, 0, len(environment))
	slices.Sort(environment)
	for _, entry := range environment {
		name, _, _ := strings.Cut(entry, "=")
		names = append(names, name)
	}
	result := one("folder", folder)
	result.Objects[0].Value["environment"] = names
	result.Objects[0].Value["pid"] = int64(os.Getpid())
	return result, nil
}

// wait until the tree holds the file "go".
func wait(ctx context.Context, tree fs.FS) (renderer.Result, error) {
	for ctx.Err() == nil {
		if _, err := fs.Stat(tree, "go"); err == nil {
			return one("text", "done"), nil
		}
		time.Sleep(5 * time.Millisecond)
	}
	return renderer.Result{}, ctx.Err()
}

func one(key, text string) renderer.Result {
	return renderer.Result{Objects: []renderer.Object{{Value: map[string]any{key: text}}}}
}
