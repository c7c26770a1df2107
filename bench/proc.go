//go:build linux

package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// usage is the CPU time that a process and its descendants have used.
type usage struct{ user, system time.Duration }

func (u usage) total() time.Duration { return u.user + u.system }

func (u usage) since(before usage) usage {
	return usage{u.user - before.user, u.system - before.system}
}

// tick is the unit of /proc/PID/stat: 1/100 s wherever Linux runs Go.
const tick = 10 * time.Millisecond

// stat is what is read of /proc/PID/stat.
type stat struct {
	parent int
	usage  usage
}

func readStat(pid int) (s stat, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return stat{}, err
	}
	// The name, in parentheses, may have anything in it.
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(fields) < 13 {
		return stat{}, fmt.Errorf("cannot read /proc/%d/stat: %q", pid, text)
	}
	var numbers [3]int
	for i, n := range []int{1, 11, 12} {
		if numbers[i], err = strconv.Atoi(fields[n]); err != nil {
			return stat{}, fmt.Errorf("cannot read /proc/%d/stat: %w", pid, err)
		}
	}
	s.parent = numbers[0]
	s.usage = usage{user: time.Duration(numbers[1]) * tick, system: time.Duration(numbers[2]) * tick}
	return s, nil
}

// tree lists a process and its descendants.
func tree(pid int) []int {
	children := map[int][]int{}
	names, _ := filepath.Glob("/proc/[0-9]*")
	for _, name := range names {
		id, err := strconv.Atoi(filepath.Base(name))
		if err != nil {
			continue
		}
		if s, err := readStat(id); err == nil {
			children[s.parent] = append(children[s.parent], id)
		}
	}
	list := []int{pid}
	for i := 0; i < len(list); i++ {
		list = append(list, children[list[i]]...)
	}
	return list
}

// cpuOf adds up the CPU time of processes that are alive.
func cpuOf(pids []int) (sum usage) {
	for _, pid := range pids {
		if s, err := readStat(pid); err == nil {
			sum.user += s.usage.user
			sum.system += s.usage.system
		}
	}
	return sum
}

// memoryOf adds up what processes have resident, now and at most so far, in
// bytes. Pages that they share count for each.
func memoryOf(pids []int) (now, peak float64) {
	for _, pid := range pids {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(text)) {
			name, value, _ := strings.Cut(line, ":")
			kilobytes, _ := strconv.ParseFloat(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")), 64)
			switch name {
			case "VmRSS":
				now += kilobytes * 1024
			case "VmHWM":
				peak += kilobytes * 1024
			}
		}
	}
	return now, peak
}
