package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"
	"github.com/hashicorp/go-plugin/runner"
	"google.golang.org/grpc"

	pluginv1 "github.com/periplus-fleet/periplus/api/proto/periplus/plugin/v1"
	"github.com/periplus-fleet/periplus/plugins/internal/wire"
)

// startPatience is how long a process may take until it answers.
const startPatience = 30 * time.Second

// socketPath is how many bytes the path of a Unix socket may have.
const socketPath = 107

// folderPrefix of temporary folders, before the id of the process that made them.
const folderPrefix = "periplus-plugin-"

// sweep removes the folders that a killed hub left behind: those whose maker is gone.
func sweep(tempDir string) {
	if tempDir == "" {
		tempDir = os.TempDir()
	}
	left, err := filepath.Glob(filepath.Join(tempDir, folderPrefix+"*"))
	if err != nil {
		return
	}
	for _, folder := range left {
		maker, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(folder), folderPrefix), "-")
		pid, err := strconv.Atoi(maker)
		if err == nil && gone(pid) {
			_ = os.RemoveAll(folder)
		}
	}
}

// process is one plugin process that answers.
type process struct {
	run       *run
	client    *goplugin.Client
	conn      *grpc.ClientConn
	files     *files
	dir       string
	described *pluginv1.DescribeResponse
	bound     Version
	idleSince time.Time
}

// launch starts a process and brings it to where it takes calls.
func launch(ctx context.Context, spec Spec, tempDir string, log *slog.Logger) (*process, error) {
	dir, err := os.MkdirTemp(tempDir, fmt.Sprintf("%s%d-", folderPrefix, os.Getpid()))
	if err != nil {
		return nil, fmt.Errorf("cannot make its temporary folder: %w", err)
	}
	if room := len(dir) + len("/plugin4294967295"); room > socketPath {
		_ = os.RemoveAll(dir)
		return nil, fmt.Errorf("cannot start: the path of its socket would have %d bytes, and the system takes %d: give the hub a shorter temporary folder (TMPDIR) than %q",
			room, socketPath, filepath.Dir(dir))
	}
	p := &process{dir: dir, files: &files{trees: map[uint64]fs.FS{}}}
	said := &lines{log: log, limit: newBucket(linesBurst, linesPerSecond, time.Now)}
	output := newBucket(floodBurst, floodPerSecond, time.Now)
	printed := said.writer(output, func() { p.run.flooded() })
	p.client = goplugin.NewClient(&goplugin.ClientConfig{
		HandshakeConfig:  wire.Handshake(),
		VersionedPlugins: map[int]goplugin.PluginSet{int(wire.Handshake().ProtocolVersion): {wire.PluginKey: &connecting{files: p.files}}},
		AllowedProtocols: []goplugin.Protocol{goplugin.ProtocolGRPC},
		AutoMTLS:         true, SkipHostEnv: true, StartTimeout: startPatience,
		SyncStdout: printed, SyncStderr: printed,
		Logger:           hclog.New(&hclog.LoggerOptions{Output: io.Discard, Level: hclog.Off}),
		UnixSocketConfig: &goplugin.UnixSocketConfig{TempDir: dir},
		GRPCDialOptions: []grpc.DialOption{grpc.WithDefaultCallOptions(
			grpc.MaxCallRecvMsgSize(spec.MaxAnswer), grpc.MaxCallSendMsgSize(wire.MaxMessage))},
		RunnerFunc: func(_ hclog.Logger, cmd *exec.Cmd, _ string) (runner.Runner, error) {
			p.run = newRun(spec, dir, environment(cmd.Env, dir, spec.Memory), said)
			return p.run, nil
		},
	})
	if err := p.connect(ctx, spec); err != nil {
		if p.run == nil {
			os.RemoveAll(dir)
			return nil, err
		}
		if permanent := (&permanentError{}); !errors.As(err, &permanent) {
			// What the process died of says more than that it did not answer.
			select {
			case <-p.run.done:
				// Where it was ended because it could not be reached, err says why not.
				if why, asked := p.run.why(), stopped(""); !errors.As(why, &asked) {
					err = why
				}
			case <-time.After(lastOutput):
			}
		}
		p.stop(err)
		return nil, err
	}
	go func() {
		<-p.run.done
		p.cleanup()
	}()
	return p, nil
}

// environment is what go-plugin needs, a temporary folder, and the memory that Go's collector should stay within.
func environment(needed []string, dir string, memory int64) []string {
	return append(needed, "TMPDIR="+dir, "HOME="+dir, fmt.Sprintf("GOMEMLIMIT=%d", memory/10*8))
}

// connect asks the process what it is and configures it.
func (p *process) connect(ctx context.Context, spec Spec) error {
	protocol, err := p.client.Client()
	if err != nil {
		return fmt.Errorf("cannot start: %s", firstLine(err))
	}
	connected, err := protocol.Dispense(wire.PluginKey)
	if err != nil {
		return fmt.Errorf("cannot start: %w", err)
	}
	link := connected.(*link)
	p.conn = link.conn
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	plugin := pluginv1.NewPluginClient(p.conn)
	if p.described, err = plugin.Describe(ctx, &pluginv1.DescribeRequest{}); err != nil {
		return fmt.Errorf("cannot describe itself: %w", wire.FromStatus(err))
	}
	config, err := wire.EncodeObject(spec.Config)
	if err != nil {
		return &permanentError{fmt.Errorf("config: %w", err)}
	}
	if _, err := plugin.Configure(ctx, &pluginv1.ConfigureRequest{Config: config, Files: link.files}); err != nil {
		if invalid := asInvalid(err); invalid != nil {
			return &permanentError{invalid}
		}
		return fmt.Errorf("cannot be configured: %w", wire.FromStatus(err))
	}
	return nil
}

// kill ends the process for a cause that its calls are told.
func (p *process) kill(cause error) { p.run.kill(cause) }

// stop ends the process gracefully, within some seconds.
func (p *process) stop(cause error) {
	p.run.mu.Lock()
	if p.run.cause == nil {
		p.run.cause = cause
	}
	p.run.mu.Unlock()
	p.client.Kill()
	<-p.run.done
	p.cleanup()
}

// cleanup may come more than once.
func (p *process) cleanup() {
	p.client.Kill()
	if p.conn != nil {
		_ = p.conn.Close()
	}
	_ = os.RemoveAll(p.dir)
}

// connecting is go-plugin's view of the host's side: it serves the files and hands out the connection.
type connecting struct {
	goplugin.NetRPCUnsupportedPlugin
	files *files
}

type link struct {
	conn  *grpc.ClientConn
	files uint32
}

// GRPCServer is the plugin's side.
func (*connecting) GRPCServer(*goplugin.GRPCBroker, *grpc.Server) error {
	return errors.New("cannot serve a plugin from its host")
}

// GRPCClient serves the files once for the life of the process; a connection for each call would cost a handshake each.
func (c *connecting) GRPCClient(_ context.Context, broker *goplugin.GRPCBroker, conn *grpc.ClientConn) (any, error) {
	id := broker.NextId()
	go broker.AcceptAndServe(id, func(options []grpc.ServerOption) *grpc.Server {
		server := grpc.NewServer(append(options, grpc.MaxRecvMsgSize(1<<20), grpc.MaxSendMsgSize(wire.MaxFile+1<<20))...)
		pluginv1.RegisterFilesServer(server, c.files)
		return server
	})
	return &link{conn: conn, files: id}, nil
}

// firstLine of an error of go-plugin, which has explanations below.
func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return strings.TrimSpace(line)
}
