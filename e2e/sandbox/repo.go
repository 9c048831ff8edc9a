package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/http/cgi"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// prepareRepo makes the bare repository and the clone from Fleet, unless they are there. It is done in a scratch folder and
// moved, so that a start that was killed begins anew.
func prepareRepo(ctx context.Context, cfg Config, url string) error {
	bare := cfg.path("fleet.git")
	if _, err := os.Stat(bare); errors.Is(err, fs.ErrNotExist) {
		scratch := cfg.path("fleet.new")
		if err := os.RemoveAll(scratch); err != nil {
			return err
		}
		defer func() { _ = os.RemoveAll(scratch) }()
		if err := fillRepo(ctx, cfg, scratch); err != nil {
			return &Failure{What: fmt.Sprintf("cannot use the fleet repo %q", cfg.Fleet), Do: "name a Git URL or a folder that declares a fleet with FLEET=", Err: err}
		}
		if err := os.Rename(filepath.Join(scratch, "fleet.git"), bare); err != nil {
			return err
		}
	}
	if _, err := os.Stat(cfg.Clone()); errors.Is(err, fs.ErrNotExist) {
		if _, err := git(ctx, "", "clone", "-q", bare, cfg.Clone()); err != nil {
			return err
		}
	}
	for _, setting := range [][]string{{"user.name", "Sandbox"}, {"user.email", "sandbox@example.com"}, {"remote.origin.url", url}} {
		if _, err := git(ctx, cfg.Clone(), "config", setting[0], setting[1]); err != nil {
			return err
		}
	}
	return nil
}

// fillRepo makes scratch/fleet.git with branch main.
func fillRepo(ctx context.Context, cfg Config, scratch string) error {
	if cfg.Fleet == "" {
		return errors.New("none is named")
	}
	work, bare := filepath.Join(scratch, "work"), filepath.Join(scratch, "fleet.git")
	info, err := os.Stat(cfg.Fleet)
	folder := err == nil && info.IsDir()
	if folder {
		// A plain folder, or one inside another repository, is taken as it stands; the root of a repository keeps its history.
		if _, err := os.Stat(filepath.Join(cfg.Fleet, ".git")); err != nil {
			if err := os.CopyFS(work, os.DirFS(cfg.Fleet)); err != nil {
				return err
			}
			if _, err := git(ctx, work, "init", "-q", "-b", "main"); err != nil {
				return err
			}
			if err := commitAll(ctx, work, cfg.Edit, "A fleet"); err != nil {
				return err
			}
			return publish(ctx, work, bare)
		}
	}
	source := cfg.Fleet
	if folder {
		if source, err = filepath.Abs(source); err != nil {
			return err
		}
	}
	if _, err := git(ctx, "", "clone", "-q", source, work); err != nil {
		return err
	}
	if _, err := git(ctx, work, "checkout", "-q", "-B", "main"); err != nil {
		return err
	}
	if cfg.Edit != nil {
		if err := commitAll(ctx, work, cfg.Edit, "Adapt to the sandbox"); err != nil {
			return err
		}
	}
	return publish(ctx, work, bare)
}

func commitAll(ctx context.Context, work string, edit func(string) error, message string) error {
	if edit != nil {
		if err := edit(work); err != nil {
			return err
		}
	}
	if _, err := git(ctx, work, "add", "-A"); err != nil {
		return err
	}
	_, err := git(ctx, work, "-c", "user.name=Sandbox", "-c", "user.email=sandbox@example.com", "commit", "-q", "--allow-empty", "-m", message)
	return err
}

// publish refuses what declares nothing at all, before anything is started for it.
func publish(ctx context.Context, work, bare string) error {
	var found bool
	for _, name := range []string{"clusters", "bundles", "periplus.yaml"} {
		if _, err := os.Stat(filepath.Join(work, name)); err == nil {
			found = true
		}
	}
	if !found {
		return errors.New("it has no clusters/, no bundles/ and no periplus.yaml")
	}
	if _, err := git(ctx, "", "clone", "-q", "--bare", work, bare); err != nil {
		return err
	}
	_, err := git(ctx, bare, "config", "http.receivepack", "true")
	return err
}

// git runs git in a folder and returns its output; an error carries git's own words. The person's configuration and hooks
// have no part in it.
func git(ctx context.Context, folder string, args ...string) (string, error) {
	command := exec.CommandContext(ctx, "git", args...)
	command.Dir = folder
	command.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0", "LC_ALL=C")
	out, err := command.CombinedOutput()
	text := strings.TrimSpace(string(out))
	if err != nil {
		return text, fmt.Errorf("git %s: %s (%w)", args[0], strings.ReplaceAll(text, "\n", " "), err)
	}
	return text, nil
}

// gitServer serves the bare repository over smart HTTP, with git's own backend.
type gitServer struct {
	server *http.Server
	url    string
}

func serveGit(cfg Config, port int) (*gitServer, error) {
	backend, err := gitBackend()
	if err != nil {
		return nil, fmt.Errorf("cannot serve the fleet repo: %w", err)
	}
	listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return nil, fmt.Errorf("cannot serve the fleet repo: %w", err)
	}
	root, err := filepath.Abs(cfg.Folder)
	if err != nil {
		return nil, err
	}
	only := &cgi.Handler{Path: backend, Root: "/", Logger: slog.NewLogLogger(slog.NewTextHandler(os.Stderr, nil).WithAttrs([]slog.Attr{slog.String("from", "git")}), slog.LevelWarn),
		Env: []string{"GIT_PROJECT_ROOT=" + root, "GIT_HTTP_EXPORT_ALL=1", "REMOTE_USER=sandbox", "GIT_CONFIG_GLOBAL=/dev/null",
			"GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*"}}
	mux := http.NewServeMux()
	// Only the fleet repo: the folder holds keys as well.
	mux.Handle("/fleet.git/", only)
	g := &gitServer{url: fmt.Sprintf("http://%s/fleet.git", listener.Addr()),
		server: &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}}
	go func() { _ = g.server.Serve(listener) }()
	return g, nil
}

func (g *gitServer) close() { _ = g.server.Close() }
