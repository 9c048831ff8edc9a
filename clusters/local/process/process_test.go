package process_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/periplus-fleet/periplus/clusters/local/process"
)

// The test binary is its own child: with PROCESS_TEST_ROLE set it plays a part and never runs tests.
func TestMain(m *testing.M) {
	switch os.Getenv("PROCESS_TEST_ROLE") {
	case "parent": // starts a child under the pid file named by its argument and is then killed hard
		spec := sleeper(os.Args[1])
		if _, err := process.Start(context.Background(), spec, process.Options{}); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	default:
		goleak.VerifyTestMain(m)
	}
}

func shell(folder, name, script string) process.Spec {
	return process.Spec{Name: name, Path: "/bin/sh", Args: []string{"-c", script},
		Log: filepath.Join(folder, name+".log"), PidFile: filepath.Join(folder, name+".pid"), Grace: time.Second}
}

func sleeper(folder string) process.Spec { return shell(folder, "sleeper", "exec sleep 1000") }

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(15 * time.Second); !condition(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within 15 s: %s", what)
		}
	}
}

// alive is true for a process that runs; a zombie, which nobody may reap here, does not.
func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(stat), ") Z ")
}

func number(t *testing.T, path string) int {
	t.Helper()
	var pid int
	eventually(t, path+" holds a number", func() bool {
		data, _ := os.ReadFile(path)
		var err error
		pid, err = strconv.Atoi(strings.TrimSpace(string(data)))
		return err == nil
	})
	return pid
}

func TestStopEndsTheGroup(t *testing.T) {
	folder := t.TempDir()
	spec := shell(folder, "stubborn", "trap '' TERM; sleep 1000 & echo $! > grandchild; echo $$ > child; while :; do wait; done")
	spec.Dir = folder
	p, err := process.Start(within(t), spec, process.Options{})
	if err != nil {
		t.Fatal(err)
	}
	child, grandchild := number(t, filepath.Join(folder, "child")), number(t, filepath.Join(folder, "grandchild"))
	if err := p.Stop(within(t)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "child and grandchild are gone", func() bool { return !alive(child) && !alive(grandchild) })
	if _, err := os.Stat(spec.PidFile); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the pid file stays: %v", err)
	}
}

func TestRestart(t *testing.T) {
	folder := t.TempDir()
	spec := shell(folder, "crasher", "echo ran >> runs; echo boom; if [ $(wc -l < runs) -lt 3 ]; then exit 7; fi; exec sleep 1000")
	spec.Dir = folder
	events := make(chan process.Event, 100)
	p, err := process.Start(within(t), spec, process.Options{Restart: true, Report: func(e process.Event) { events <- e }})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "three runs", func() bool {
		data, _ := os.ReadFile(filepath.Join(folder, "runs"))
		return strings.Count(string(data), "ran") == 3
	})
	if err := p.Stop(within(t)); err != nil {
		t.Fatal(err)
	}
	first := <-events
	if first.Err == nil || !strings.Contains(first.Err.Error(), "exit status 7") || !strings.Contains(first.Err.Error(), "boom") || first.Restarts != 1 {
		t.Errorf("the first event does not say how the child ended: %+v", first)
	}
}

func TestExitedWithoutRestart(t *testing.T) {
	p, err := process.Start(within(t), shell(t.TempDir(), "short", "exit 3"), process.Options{})
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-p.Exited():
	case <-within(t).Done():
		t.Fatal("Exited is not closed")
	}
	if p.Err() == nil || p.Pid() != 0 {
		t.Errorf("Err is %v and Pid %d after the end", p.Err(), p.Pid())
	}
}

func TestStartSaysWhyItFailed(t *testing.T) {
	spec := shell(t.TempDir(), "part", "echo address already in use >&2; exit 1")
	spec.Ready = func(context.Context) error { return errors.New("connection refused") }
	_, err := process.Start(within(t), spec, process.Options{Restart: true})
	if err == nil || !strings.Contains(err.Error(), "address already in use") {
		t.Fatalf("want the child's last words, got %v", err)
	}
}

func TestNeverTwo(t *testing.T) {
	folder := t.TempDir()
	p, err := process.Start(within(t), sleeper(folder), process.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = p.Stop(within(t)) }()
	if _, err := process.Start(within(t), sleeper(folder), process.Options{}); !errors.Is(err, process.ErrRunning) {
		t.Fatalf("a second start under one pid file: got %v, want ErrRunning", err)
	}
	if err := process.EndLeftovers(within(t), folder); err != nil {
		t.Fatal(err)
	}
	if !alive(p.Pid()) {
		t.Fatal("EndLeftovers ended a child whose parent lives")
	}
}

func TestLeftoversOfAKilledParent(t *testing.T) {
	cases := map[string]struct {
		reason  string
		prepare func(t *testing.T, pidFile string)
	}{
		"Recorded": {reason: "the pid file names the child", prepare: func(*testing.T, string) {}},
		"Unrecorded": {reason: "the parent was killed before it wrote the pid file", prepare: func(t *testing.T, pidFile string) {
			if err := os.Remove(pidFile); err != nil {
				t.Fatal(err)
			}
		}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			parent := exec.Command(os.Args[0], folder)
			parent.Env = append(os.Environ(), "PROCESS_TEST_ROLE=parent")
			if err := parent.Run(); err == nil {
				t.Fatal("the parent was to be killed")
			}
			pidFile := filepath.Join(folder, "sleeper.pid")
			data, err := os.ReadFile(pidFile)
			if err != nil {
				t.Fatal(err)
			}
			var pid int
			if _, err := fmt.Sscanf(string(data), `{"pid":%d,`, &pid); err != nil || !alive(pid) {
				t.Fatalf("the child did not outlive its parent: %s", data)
			}
			tc.prepare(t, pidFile)
			if err := process.EndLeftovers(within(t), folder); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the child is gone: "+tc.reason, func() bool { return !alive(pid) })
		})
	}
}

func TestRecycledPidIsNotKilled(t *testing.T) {
	folder := t.TempDir()
	other := exec.Command("sleep", "1000")
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Process.Kill(); _ = other.Wait() }()
	record := fmt.Sprintf(`{"pid":%d,"start":"1"}`, other.Process.Pid)
	if err := os.WriteFile(filepath.Join(folder, "old.pid"), []byte(record), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := process.EndLeftovers(within(t), folder); err != nil {
		t.Fatal(err)
	}
	if !alive(other.Process.Pid) {
		t.Fatal("a process with the same pid but another start time was killed")
	}
}
