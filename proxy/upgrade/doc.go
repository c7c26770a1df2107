// Package upgrade replaces the process by a new one of the same program, without
// refusing a connection in between; and it takes the sockets that a process is
// given at its start, by that or by the service manager.
package upgrade
