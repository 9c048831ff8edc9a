package jail

import (
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// architectures with a filter, by their number in audit.
var architectures = map[string]uint32{"amd64": unix.AUDIT_ARCH_X86_64, "arm64": unix.AUDIT_ARCH_AARCH64}

// Offsets in what a filter sees of a system call.
const (
	offsetNumber       = 0
	offsetArchitecture = 4
	offsetArgument     = 16
	// secondTable is the bit of x32's system calls on amd64; no other architecture has numbers so high.
	secondTable = 0x40000000
)

// filterSockets lets socket(2) make Unix sockets only. io_uring, which makes sockets by itself, is refused, and so is every
// call through another architecture's table.
func filterSockets() error {
	load := func(offset uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: offset}
	}
	answer := func(value uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: value}
	}
	refused := uint32(unix.SECCOMP_RET_ERRNO) | uint32(syscall.EACCES)
	// Jumps are counted in instructions after the next one.
	program := []unix.SockFilter{
		load(offsetArchitecture),
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: architectures[runtime.GOARCH], Jt: 1},
		answer(refused),
		load(offsetNumber),
		{Code: unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K, K: secondTable, Jf: 1},
		answer(refused),
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.SYS_IO_URING_SETUP, Jf: 1},
		answer(refused),
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.SYS_SOCKET, Jt: 1},
		answer(unix.SECCOMP_RET_ALLOW),
		load(offsetArgument),
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.AF_UNIX, Jt: 1},
		answer(refused),
		answer(unix.SECCOMP_RET_ALLOW),
	}
	filter := unix.SockFprog{Len: uint16(len(program)), Filter: unsafe.SliceData(program)}
	if _, _, errno := syscall.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, uintptr(unsafe.Pointer(&filter))); errno != 0 {
		return errno
	}
	return nil
}
