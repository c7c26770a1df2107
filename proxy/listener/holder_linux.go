package listener

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// holder says who listens at an address already, as far as /proc shows it: "nginx (pid
// 1234)"; "" is nobody that can be seen.
func holder(network, address string) (who string, pid int) {
	var inodes []string
	if network == "unix" {
		inodes = unixInodes(address)
	} else if wanted, err := net.ResolveTCPAddr("tcp", address); err == nil {
		inodes = append(tcpInodes("/proc/net/tcp", wanted), tcpInodes("/proc/net/tcp6", wanted)...)
	}
	if len(inodes) == 0 {
		return "", 0
	}
	links, _ := filepath.Glob("/proc/[0-9]*/fd/*") // whose descriptors can't be read are left out
	for _, link := range links {
		to, err := os.Readlink(link)
		inode, ok := strings.CutPrefix(to, "socket:[")
		if err != nil || !ok || !slices.Contains(inodes, strings.TrimSuffix(inode, "]")) {
			continue
		}
		number := strings.Split(link, "/")[2]
		name, _ := os.ReadFile("/proc/" + number + "/comm") //nolint:gosec // G304: one of /proc
		if pid, err = strconv.Atoi(number); err == nil {
			return fmt.Sprintf("%q (pid %d)", strings.TrimSpace(string(name)), pid), pid
		}
	}
	return "", 0
}

// unixInodes are those of the listening sockets at a path.
func unixInodes(path string) (inodes []string) {
	eachLine("/proc/net/unix", func(fields []string) {
		const accepts = "00010000" // __SO_ACCEPTCON
		if len(fields) >= 8 && fields[3] == accepts && fields[7] == path {
			inodes = append(inodes, fields[6])
		}
	})
	return inodes
}

// tcpInodes are those of the listening sockets that leave no room for one at an
// address.
func tcpInodes(table string, wanted *net.TCPAddr) (inodes []string) {
	const listens = "0A" // TCP_LISTEN
	eachLine(table, func(fields []string) {
		if len(fields) < 10 || fields[3] != listens {
			return
		}
		host, port, _ := strings.Cut(fields[1], ":")
		at, ok := kernelAddress(host)
		if n, err := strconv.ParseUint(port, 16, 16); err != nil || int(n) != wanted.Port || !ok {
			return
		}
		own, _ := netip.AddrFromSlice(wanted.IP)
		if own = own.Unmap(); at.Unmap().IsUnspecified() || !own.IsValid() || own.IsUnspecified() || own == at.Unmap() {
			inodes = append(inodes, fields[9])
		}
	})
	return inodes
}

// kernelAddress reads an address as /proc/net has it: words of 32 bits in the order
// of the machine's bytes, which is little-endian wherever Go runs but for few.
func kernelAddress(text string) (netip.Addr, bool) {
	b, err := hex.DecodeString(text)
	if err != nil || len(b) != 4 && len(b) != 16 {
		return netip.Addr{}, false
	}
	for word := 0; word < len(b); word += 4 {
		slices.Reverse(b[word : word+4])
	}
	return netip.AddrFromSlice(b)
}

// eachLine calls f with the fields of each line of a table.
func eachLine(table string, f func(fields []string)) {
	file, err := os.Open(table) //nolint:gosec // G304: one of /proc
	if err != nil {
		return
	}
	defer func() { _ = file.Close() }()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		f(strings.Fields(lines.Text()))
	}
}
