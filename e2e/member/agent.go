package member

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/periplus-fleet/periplus/clusters/local/process"
)

// Agent is the running process.
type Agent struct {
	process *process.Process
	// Started is when it was executed.
	Started time.Time
	// Log of the process.
	Log string
}

// StartAgent runs the agent; there may be one at a time.
func (m *Member) StartAgent(ctx context.Context) (*Agent, error) {
	m.starts++
	log := filepath.Join(m.folder, "logs", fmt.Sprintf("agent-%d.log", m.starts))
	env := []string{"KUBECONFIG=" + m.kubeconfig}
	if m.config.Profile != "" {
		env = append(env, "PERIPLUS_PROFILE="+m.config.Profile)
	}
	started := time.Now()
	p, err := m.run(ctx, process.Spec{Name: "agent", Path: m.binary, Env: env, Log: log, PidFile: filepath.Join(m.folder, "agent.pid"),
		Grace: 20 * time.Second, Args: []string{"--hub-endpoint=" + m.Hub.address, "--hub-ca-hash=" + m.Hub.ca.Hash(), "--join-secret=" + joinSecret,
			"--namespace=" + system, "--tenant=" + tenant + "=" + tenantAccount, "--log-level=warn"}})
	if err != nil {
		return nil, err
	}
	return &Agent{process: p, Started: started, Log: log}, nil
}

// Stop ends the process as a rollout does.
func (a *Agent) Stop() error { return a.process.Stop(context.Background()) }

// Kill ends the process as a machine that fails does.
func (a *Agent) Kill() error {
	// Without a pid the call would mean this process' own group.
	pid := a.process.Pid()
	if pid <= 1 {
		return fmt.Errorf("cannot kill the agent: it ended by itself: %w", a.process.Err())
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		return fmt.Errorf("cannot kill the agent: %w", err)
	}
	<-a.process.Exited()
	return nil
}

// Usage of the machine so far.
type Usage struct {
	// RSS now and Peak since the start, in bytes.
	RSS, Peak int64
	// CPU time, user and system.
	CPU time.Duration
}

// clockTicks a second are what the kernel counts processor time in, on every Linux of today.
const clockTicks = 100

// Usage reads what the kernel says of the process.
func (a *Agent) Usage() (Usage, error) {
	folder := filepath.Join("/proc", strconv.Itoa(a.process.Pid()))
	status, err := os.ReadFile(filepath.Join(folder, "status"))
	if err != nil {
		return Usage{}, fmt.Errorf("cannot read the agent's memory: %w", err)
	}
	var u Usage
	for line := range strings.Lines(string(status)) {
		fields := strings.Fields(line)
		if len(fields) != 3 || fields[2] != "kB" {
			continue
		}
		kib, _ := strconv.ParseInt(fields[1], 10, 64)
		switch fields[0] {
		case "VmRSS:":
			u.RSS = kib << 10
		case "VmHWM:":
			u.Peak = kib << 10
		}
	}
	stat, err := os.ReadFile(filepath.Join(folder, "stat"))
	if err != nil {
		return Usage{}, fmt.Errorf("cannot read the agent's processor time: %w", err)
	}
	// The name, in parentheses, may hold spaces; utime and stime are fields 14 and 15.
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	if u.RSS == 0 || len(fields) < 13 {
		return Usage{}, fmt.Errorf("cannot read the agent's usage: the kernel says %q", stat)
	}
	for _, field := range fields[11:13] {
		ticks, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return Usage{}, fmt.Errorf("cannot read the agent's processor time: %w", err)
		}
		u.CPU += time.Duration(ticks) * time.Second / clockTicks
	}
	return u, nil
}

// Gone is closed once the process ended.
func (a *Agent) Gone() <-chan struct{} { return a.process.Exited() }
