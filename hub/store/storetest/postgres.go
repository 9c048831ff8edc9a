package storetest

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// errAbsent: this machine has no PostgreSQL to test with.
var errAbsent = errors.New("no PostgreSQL: set PERIPLUS_TEST_POSTGRES to a server's address, or install the package postgresql")

// server is the address of the one server that a test binary uses.
var server = sync.OnceValues(func() (string, error) {
	if address := os.Getenv("PERIPLUS_TEST_POSTGRES"); address != "" {
		return address, nil
	}
	return startServer()
})

var databases atomic.Int64

// Postgres is the address of an empty database that lives as long as the test. Where there is no server the test is skipped,
// unless REQUIRE_ALL=1 wants every test run.
func Postgres(t testing.TB) string {
	t.Helper()
	if testing.Short() {
		t.Skip("needs PostgreSQL: not with -short")
	}
	address, err := server()
	switch {
	case errors.Is(err, errAbsent) && os.Getenv("REQUIRE_ALL") != "1":
		t.Skip(err)
	case err != nil:
		t.Fatal(err)
	}
	name := fmt.Sprintf("periplus_test_%d_%d", os.Getpid(), databases.Add(1))
	execute(t, address, "CREATE DATABASE "+name)
	t.Cleanup(func() { execute(t, address, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)") })
	of, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	of.Path = "/" + name
	return of.String()
}

// Durable makes the server write through to the disk while the test runs. Other tests do without, for speed.
func Durable(t testing.TB) {
	t.Helper()
	address, err := server()
	if err != nil || os.Getenv("PERIPLUS_TEST_POSTGRES") != "" {
		return
	}
	set := func(value string) {
		execute(t, address, "ALTER SYSTEM SET fsync = "+value)
		execute(t, address, "SELECT pg_reload_conf()")
	}
	set("on")
	t.Cleanup(func() { set("off") })
}

func execute(t testing.TB, address, statement string) {
	t.Helper()
	if err := tryExecute(address, statement); err != nil {
		t.Fatalf("cannot run %q: %v", statement, err)
	}
}

func tryExecute(address, statement string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, address)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, statement)
	return err
}

// run starts the server and ends it, with its files, when standard input closes: whichever way the test binary ends.
const run = `"$1"/initdb -D "$2/data" -U postgres -A trust -E UTF8 --locale=C -N >"$2/log" 2>&1 || exit 1
"$1"/postgres -D "$2/data" -k "$2" -c listen_addresses= -c fsync=off -c max_connections=200 >>"$2/log" 2>&1 &
pid=$!
read -r _
kill -INT $pid
wait $pid
rm -rf "$2"`

// startServer makes a cluster under /tmp, where a socket's path is short enough, and serves it on a socket alone.
func startServer() (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if err != nil || len(found) == 0 {
		return "", errAbsent
	}
	slices.Sort(found)
	folder, err := os.MkdirTemp("/tmp", "pp-pg-")
	if err != nil {
		return "", err
	}
	command := exec.Command("/bin/sh", "-c", run, "sh", filepath.Dir(found[len(found)-1]), folder)
	command.Dir = folder
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if os.Getuid() == 0 {
		// PostgreSQL refuses to run as root.
		who, err := unprivileged()
		if err != nil {
			return "", err
		}
		if err := os.Chown(folder, int(who.Uid), int(who.Gid)); err != nil {
			return "", err
		}
		command.SysProcAttr.Credential = who
	}
	// The pipe's end stays open as long as this process lives; nothing is written to it.
	if _, err := command.StdinPipe(); err != nil {
		return "", err
	}
	if err := command.Start(); err != nil {
		return "", fmt.Errorf("cannot start PostgreSQL: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- command.Wait() }()
	address := "postgres://postgres@/postgres?host=" + url.QueryEscape(folder)
	return address, await(address, filepath.Join(folder, "log"), ended)
}

// await polls until the server answers.
func await(address, log string, ended <-chan error) error {
	deadline := time.After(2 * time.Minute)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := tryExecute(address, "SELECT 1")
		if err == nil {
			return nil
		}
		select {
		case cause := <-ended:
			err = errors.Join(err, cause)
		case <-deadline:
		case <-tick.C:
			continue
		}
		said, _ := os.ReadFile(log)
		return fmt.Errorf("cannot start PostgreSQL: %w\n%s", err, said)
	}
}

func unprivileged() (*syscall.Credential, error) {
	for _, name := range []string{"postgres", "nobody"} {
		account, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err := strconv.ParseUint(account.Uid, 10, 32)
		if err != nil {
			return nil, err
		}
		gid, err := strconv.ParseUint(account.Gid, 10, 32)
		if err != nil {
			return nil, err
		}
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
	}
	return nil, errors.New("cannot start PostgreSQL as root: there is neither a user postgres nor nobody")
}
