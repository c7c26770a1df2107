package admin

import (
	"bytes"
	"os"
	"strconv"
	"syscall"
	"time"
)

// process writes what the operating system knows about the process, under the
// names that Prometheus clients have agreed on. What a system without /proc
// doesn't tell is left out.
func (m *scrape) process(started time.Time) {
	m.family("process_start_time_seconds", gauge, "When the process started.")
	m.float(float64(started.UnixMilli()) / 1000)
	var usage syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &usage) == nil {
		m.family("process_cpu_seconds_total", counter, "Processor time used, of user and system.")
		m.float(time.Duration(usage.Utime.Nano() + usage.Stime.Nano()).Seconds())
	}
	if n, ok := openDescriptors(); ok {
		m.family("process_open_fds", gauge, "Open file descriptors.")
		m.int(n)
	}
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) == nil {
		m.family("process_max_fds", gauge, "File descriptors that may be open at once.")
		m.float(float64(limit.Cur))
	}
	if n, ok := residentMemory(); ok {
		m.family("process_resident_memory_bytes", gauge, "Memory of the process that is in RAM.")
		m.int(n)
	}
}

// openDescriptors asks for the size of their directory, which is their number
// since Linux 6.2. Where it isn't, they are listed, which for thousands of
// connections takes as long as hundreds of requests.
func openDescriptors() (n int64, ok bool) {
	const path = "/proc/self/fd"
	if info, err := os.Stat(path); err == nil && info.Size() > 0 {
		return info.Size(), true
	}
	directory, err := os.Open(path)
	if err != nil {
		return 0, false
	}
	defer func() { _ = directory.Close() }()
	names, err := directory.Readdirnames(-1)
	return int64(len(names)) - 1, err == nil // without the directory itself
}

// residentMemory is the second number of statm (proc_pid_statm(5)), in pages.
func residentMemory() (n int64, ok bool) {
	line, err := os.ReadFile("/proc/self/statm")
	fields := bytes.Fields(line)
	if err != nil || len(fields) < 2 {
		return 0, false
	}
	pages, err := strconv.ParseInt(string(fields[1]), 10, 64)
	return pages * int64(os.Getpagesize()), err == nil
}
