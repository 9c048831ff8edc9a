package jail

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// NoNetwork is why this kernel cannot keep a process off the network by a system call filter; nil where it can.
func NoNetwork() error {
	if _, ok := architectures[runtime.GOARCH]; !ok {
		return fmt.Errorf("there is no system call filter for %s", runtime.GOARCH)
	}
	action := uint32(unix.SECCOMP_RET_ERRNO)
	if _, _, errno := syscall.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_GET_ACTION_AVAIL, 0, uintptr(unsafe.Pointer(&action))); errno != 0 {
		return fmt.Errorf("this system lets a process filter no system calls: %w", errno)
	}
	return nil
}

func enter(spec Spec) error {
	// All of this belongs to a thread, and what is executed by it inherits it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("cannot give up new privileges: %w", err)
	}
	if err := restrictFiles(spec); err != nil {
		return fmt.Errorf("cannot restrict files: %w", err)
	}
	if spec.NoNetwork && NoNetwork() == nil {
		if err := filterSockets(); err != nil {
			return fmt.Errorf("cannot filter system calls: %w", err)
		}
	}
	// The file that is executed may be an inherited descriptor; the plugin has no use for it.
	if number, ok := strings.CutPrefix(spec.Program, "/proc/self/fd/"); ok {
		var fd int
		if _, err := fmt.Sscan(number, &fd); err == nil {
			unix.CloseOnExec(fd)
		}
	}
	for resource, value := range map[int]int64{unix.RLIMIT_CORE: 0, unix.RLIMIT_FSIZE: spec.MaxFile, unix.RLIMIT_DATA: spec.Memory} {
		if err := unix.Setrlimit(resource, &unix.Rlimit{Cur: uint64(value), Max: uint64(value)}); err != nil {
			return fmt.Errorf("cannot set limits: %w", err)
		}
	}
	return syscall.Exec(spec.Program, spec.Args, os.Environ())
}
