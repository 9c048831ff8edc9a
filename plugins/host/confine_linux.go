package host

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// confined namespaces: a network without interfaces, and a process tree that dies with its first process. Paths of Unix
// sockets belong to the file system, so the plugin's connection works all the same. The user namespace is what lets an
// unprivileged process make the others.
const confined = unix.CLONE_NEWUSER | unix.CLONE_NEWNET | unix.CLONE_NEWPID | unix.CLONE_NEWIPC

// attributes of a plugin's process. It dies with the hub, and is alone in its process group.
func attributes(namespaces bool) *syscall.SysProcAttr {
	attributes := &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if !namespaces {
		return attributes
	}
	attributes.Cloneflags = confined
	attributes.UidMappings = []syscall.SysProcIDMap{{ContainerID: os.Getuid(), HostID: os.Getuid(), Size: 1}}
	attributes.GidMappings = []syscall.SysProcIDMap{{ContainerID: os.Getgid(), HostID: os.Getgid(), Size: 1}}
	return attributes
}

// noNamespaces is why processes cannot be made in namespaces of their own here; nil where they can. It is found out once: a process is made
// in the namespaces and fails only when it looks for a program that does not exist.
var noNamespaces = sync.OnceValue(func() error {
	probe := exec.Command("/proc/self/no such program")
	probe.SysProcAttr = &syscall.SysProcAttr{Cloneflags: confined,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: os.Getuid(), HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: os.Getgid(), HostID: os.Getgid(), Size: 1}}}
	err := probe.Start()
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err == nil {
		_ = probe.Wait()
		return errors.New("the probe ran")
	}
	return fmt.Errorf("this system lets the hub make no user and network namespaces: %w", err)
})

// limit bounds a process that just started. RLIMIT_DATA counts what a process may write to, which is what a Go program
// really uses; RLIMIT_AS would count the address space that its runtime reserves and never touches.
func limit(pid int, memory int64) error {
	for resource, value := range map[int]uint64{unix.RLIMIT_DATA: uint64(memory), unix.RLIMIT_CORE: 0, unix.RLIMIT_FSIZE: maxTempFile} {
		if err := unix.Prlimit(pid, resource, &unix.Rlimit{Cur: value, Max: value}, nil); err != nil {
			return fmt.Errorf("cannot limit the memory and files of the process: %w", err)
		}
	}
	return nil
}

// killGroup ends a process and what it started.
func killGroup(pid int) { _ = syscall.Kill(-pid, syscall.SIGKILL) }

// gone says that there is no such process.
func gone(pid int) bool { return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) }
