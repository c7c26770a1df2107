//go:build linux

package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime/pprof"
	"slices"
	"strings"
	"testing"
)

const someTraces = `File: /somewhere/keystone-gateway
Build ID: 9e3a
Type: cpu
Duration: 2s, Total samples = 1.40s (69.96%)
-----------+-------------------------------------------------------
     labels:  3ns   not a stack
10000000ns   internal/runtime/syscall/linux.Syscall6
             a/b.(*T[...]).Method (inline)
             main.main
-----------+-------------------------------------------------------
         0   runtime.schedule
-----------+-------------------------------------------------------
1.5e+10ns   main.wait
-----------+-------------------------------------------------------
`

// TestParseTraces demands stacks from the root on, in the unit of their kind.
func TestParseTraces(t *testing.T) {
	t.Parallel()
	got, err := parseTraces(strings.NewReader(someTraces))
	if err != nil {
		t.Fatalf("cannot parse: %v", err)
	}
	if got.program != "keystone-gateway" || got.kind != "cpu" || got.unit != "ms" {
		t.Errorf("program %q, kind %q, unit %q; want keystone-gateway, cpu, ms", got.program, got.kind, got.unit)
	}
	if len(got.stacks) != 3 || got.stacks[0].Weight != 10 || got.stacks[1].Weight != 0 || got.stacks[2].Weight != 15000 {
		t.Fatalf("stacks are %v, want weights 10, 0 and 15000", got.stacks)
	}
	if want := []string{"main.main", "a/b.(*T[...]).Method", "internal/runtime/syscall/linux.Syscall6"}; !slices.Equal(got.stacks[0].Frames, want) {
		t.Errorf("frames are %q, want %q", got.stacks[0].Frames, want)
	}
	heap, err := parseTraces(strings.NewReader("Type: inuse_space\n-----------+--\n     bytes:  4kB\n 3145728B   main.f\n"))
	if err != nil || len(heap.stacks) != 1 || heap.stacks[0].Weight != 3 || heap.unit != "MiB" {
		t.Errorf("a heap profile gives %+v, %v; want 3 MiB", heap, err)
	}
	if _, err := parseTraces(strings.NewReader("hello\n")); err == nil {
		t.Error("want an error for what isn't a list of traces")
	}
}

// TestCollapse has stacks as they occur, the root first.
func TestCollapse(t *testing.T) {
	t.Parallel()
	for stack, want := range map[string]string{
		"runtime.goexit runtime.main main.main main.f":                                                             "main.main main.f",
		"a.f proxy/socket.rawWrite syscall.RawSyscall syscall.RawSyscall6 internal/runtime/syscall/linux.Syscall6": "a.f proxy/socket.rawWrite syscall.write",
		"net.dial syscall.Connect syscall.connect syscall.Syscall runtime.entersyscall":                            "net.dial syscall.connect",
		"a.f golang.org/x/sys/unix.Poll golang.org/x/sys/unix.poll syscall.Syscall":                                "a.f syscall.poll",
		"a.f syscall.Errno.Error":                           "a.f syscall.Errno.Error",
		"syscall.Syscall internal/runtime/syscall.Syscall6": "syscall.unknown",
		"runtime.mcall runtime.park_m runtime.schedule runtime.findRunnable runtime.netpoll internal/runtime/syscall/linux.EpollWait internal/runtime/syscall/linux.Syscall6": "runtime.scheduler syscall.epollwait",
		"runtime.mcall runtime.park_m runtime.schedule runtime.findRunnable runtime.futexsleep runtime.futex":                                                                 "runtime.scheduler syscall.futex",
		"runtime.gcBgMarkWorker runtime.systemstack runtime.gcDrain runtime.scanobject":                                                                                       "runtime.gc",
		"a.f runtime.growslice runtime.mallocgc runtime.nextFreeFast":                                                                                                         "a.f runtime.alloc",
		"a.f runtime.newobject runtime.mallocgc runtime.gcAssistAlloc runtime.systemstack runtime.gcDrainN":                                                                   "a.f runtime.gc",
		"a.f runtime.mapaccess2_faststr internal/runtime/maps.h2":                                                                                                             "a.f runtime.mapaccess2_faststr",
		"a.f runtime.morestack runtime.newstack runtime.copystack":                                                                                                            "a.f runtime.stack",
		"runtime.(*timers).run time.goFunc a.f":                                                                                                                               "runtime.(*timers).run time.goFunc a.f",
		"runtime.mstart":                                                                                                                                                      "runtime.mstart",
		"":                                                                                                                                                                    "",
	} {
		if got := strings.Join(collapse(strings.Fields(stack)), " "); got != want {
			t.Errorf("%s\n becomes %q,\n    want %q", stack, got, want)
		}
	}
}

// TestFlame draws a profile of this process, which always has a goroutine.
func TestFlame(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	input, output := filepath.Join(directory, "profile.pprof"), filepath.Join(directory, "out.svg")
	var profile bytes.Buffer
	if err := pprof.Lookup("goroutine").WriteTo(&profile, 0); err != nil {
		t.Fatalf("cannot take a profile: %v", err)
	}
	if err := os.WriteFile(input, profile.Bytes(), 0o600); err != nil {
		t.Fatalf("cannot write it: %v", err)
	}
	if err := runFlame(t.Context(), []string{"-title", "<goroutines>", input, output}); err != nil {
		t.Fatalf("cannot draw it: %v", err)
	}
	svg, err := os.ReadFile(output)
	if err != nil {
		t.Fatalf("cannot read the graph: %v", err)
	}
	for _, want := range []string{"<title>&lt;goroutines&gt;</title>", "bench.TestFlame: 1 ("} {
		if !bytes.Contains(svg, []byte(want)) {
			t.Errorf("the graph lacks %q", want)
		}
	}
	decoder := xml.NewDecoder(bytes.NewReader(svg))
	for err == nil {
		_, err = decoder.Token()
	}
	if !errors.Is(err, io.EOF) {
		t.Errorf("the graph isn't well-formed: %v", err)
	}
}

// TestFlameFails checks that errors name the file, and leave no graph.
func TestFlameFails(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	output := filepath.Join(directory, "out.svg")
	bad := filepath.Join(directory, "bad.pprof")
	if err := os.WriteFile(bad, []byte("no profile"), 0o600); err != nil {
		t.Fatalf("cannot write a file: %v", err)
	}
	for name, args := range map[string][]string{
		"no arguments":      {},
		"a missing profile": {filepath.Join(directory, "missing.pprof"), output},
		"a directory":       {directory, output},
		"an address":        {"http://127.0.0.1:1/profile", output},
		"not a profile":     {bad, output},
		"a bad expression":  {"-focus", "(", bad, output},
	} {
		if err := runFlame(t.Context(), args); err == nil || len(args) > 0 && !strings.Contains(err.Error(), args[len(args)-2]) {
			t.Errorf("%s: error is %v, want one that names the profile", name, err)
		}
	}
	if _, err := os.Stat(output); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a graph was written nevertheless: %v", err)
	}
}
