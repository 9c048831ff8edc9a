package testenv

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/periplus-fleet/periplus/clusters/local/apiserver"
	"github.com/periplus-fleet/periplus/clusters/local/process"
)

// The shared server belongs to no test binary, as any of them may end first. A shell, in a session of its own, runs etcd,
// kube-apiserver and kube-controller-manager, and ends all three and itself when no test asked for them for a while or one
// of them ended.
const watchdog = `
cd "$1" || exit 1
trap 'trap "" TERM; kill -TERM 0; sleep 1; kill -KILL 0' EXIT
trap 'exit 0' TERM INT HUP
%s &
etcd=$!
%s &
api=$!
%s &
manager=$!
touch used stamp
ticks=0
while kill -0 $etcd && kill -0 $api; do
	# The controller-manager ends itself when the API server does not answer in time.
	kill -0 $manager || exit 0
	sleep 2
	ticks=$((ticks + 1))
	if [ $ticks -ge 450 ]; then
		[ used -nt stamp ] || exit 0
		touch stamp
		ticks=0
	fi
done 2>/dev/null
`

type state struct {
	API      int `json:"api"`
	Etcd     int `json:"etcd"`
	EtcdPeer int `json:"etcdPeer"`
	Pid      int `json:"pid"`
}

func serversFolder(folder string) string { return filepath.Join(folder, "servers") }

// SharedFolder is where the shared server of a kube binary keeps its files, in the user's cache.
func sharedFolder(kube string) (string, error) {
	cache := os.Getenv("PERIPLUS_CACHE")
	if cache == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return "", err
		}
		cache = filepath.Join(user, "periplus")
	}
	sum := sha256.Sum256([]byte(kube + watchdog))
	return filepath.Join(cache, "testenv", hex.EncodeToString(sum[:6])), nil
}

// joinShared takes the running server or starts it, one test binary at a time.
func joinShared(kube string) (*apiserver.Server, error) {
	folder, err := sharedFolder(kube)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	unlock, err := lock(ctx, filepath.Join(folder, "lock"))
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := process.EndLeftovers(ctx, serversFolder(folder)); err != nil {
		return nil, err
	}
	var known state
	if data, err := os.ReadFile(filepath.Join(folder, "state.json")); err == nil && json.Unmarshal(data, &known) == nil {
		now := time.Now()
		_ = os.Chtimes(filepath.Join(folder, "used"), now, now)
		server, ready, err := describe(kube, folder, known)
		if err == nil && running(known.Pid) && ready(ctx) == nil {
			return server, nil
		}
		endGroup(known.Pid)
	}
	return startShared(ctx, kube, folder)
}

func describe(kube, folder string, s state) (*apiserver.Server, func(context.Context) error, error) {
	etcd := apiserver.Etcd{Kube: kube, Folder: filepath.Join(folder, "etcd"), Port: s.Etcd, PeerPort: s.EtcdPeer, NoSync: true}
	server := &apiserver.Server{Kube: kube, Name: "test", Folder: filepath.Join(folder, "test"), Port: s.API,
		Etcd: etcd.Access(), Prefix: "/test", Audit: true}
	spec, err := server.Spec()
	return server, spec.Ready, err
}

func startShared(ctx context.Context, kube, folder string) (*apiserver.Server, error) {
	// What an earlier server kept is of no use to new tests, and a killed etcd that did not sync may be damaged.
	for _, part := range []string{"etcd", "test", "servers", "state.json"} {
		if err := os.RemoveAll(filepath.Join(folder, part)); err != nil {
			return nil, err
		}
	}
	ports, err := freePorts(3)
	if err != nil {
		return nil, err
	}
	s := state{API: ports[0], Etcd: ports[1], EtcdPeer: ports[2]}
	etcd := apiserver.Etcd{Kube: kube, Folder: filepath.Join(folder, "etcd"), Port: s.Etcd, PeerPort: s.EtcdPeer, NoSync: true}
	etcdSpec, err := etcd.Spec()
	if err != nil {
		return nil, err
	}
	server, ready, err := describe(kube, folder, s)
	if err != nil {
		return nil, err
	}
	apiSpec, err := server.Spec()
	if err != nil {
		return nil, err
	}
	managerSpec, err := server.ControllerManager(apiserver.ReducedControllers)
	if err != nil {
		return nil, err
	}
	script := fmt.Sprintf(watchdog, commandLine(etcdSpec), commandLine(apiSpec), commandLine(managerSpec))
	shell := exec.Command("/bin/sh", "-c", script, "testenv", folder)
	shell.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := shell.Start(); err != nil {
		return nil, err
	}
	s.Pid = shell.Process.Pid
	data, err := json.Marshal(s)
	if err == nil {
		err = os.WriteFile(filepath.Join(folder, "state.json"), data, 0o600)
	}
	// Its end is not awaited: it outlives this process, and whoever adopts it reaps it.
	err = errors.Join(err, shell.Process.Release())
	for err == nil {
		notReady := ready(ctx)
		if notReady == nil {
			return server, nil
		}
		if !running(s.Pid) || ctx.Err() != nil {
			err = fmt.Errorf("it is not ready: %w; its last words: %s", notReady, process.Tail(apiSpec.Log, 3))
		}
		time.Sleep(100 * time.Millisecond)
	}
	endGroup(s.Pid)
	return nil, err
}

// commandLine in the shell's quoting. A component that waits for another is started again by no one, so the API server and
// the controller-manager are given their own patience: the first asks etcd for 20 s and more, the second waits in a loop.
func commandLine(spec process.Spec) string {
	quote := func(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
	words := make([]string, 0, len(spec.Args)+1)
	for _, word := range append([]string{spec.Path}, spec.Args...) {
		words = append(words, quote(word))
	}
	line := strings.Join(words, " ") + " >>" + quote(spec.Log) + " 2>&1 </dev/null"
	if strings.Contains(spec.Name, "controller-manager") {
		// It gives up after 10 s without an API server.
		line = "(until " + line + "; do sleep 1; done)"
	}
	return line
}

func running(pid int) bool {
	if pid <= 1 || syscall.Kill(pid, 0) != nil {
		return false
	}
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline")
	return err != nil || strings.Contains(string(stat), "testenv") // where there is no /proc, the pid must do
}

func endGroup(pid int) {
	if running(pid) {
		_ = syscall.Kill(-pid, syscall.SIGKILL)
	}
}

// lock waits for the file lock; two test binaries that start at once must not start two servers.
func lock(ctx context.Context, path string) (unlock func(), err error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { _ = file.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) || ctx.Err() != nil {
			_ = file.Close()
			return nil, fmt.Errorf("cannot lock %s: %w", path, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}
