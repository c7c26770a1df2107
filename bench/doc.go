// Command bench measures the gateway beside other proxies that do the same
// work, in one run: it starts them as processes, sends them load with
// bench/load, and reads their CPU time and memory from /proc.
//
//	go run ./bench compare [-rounds 6] [-seconds 5] [-only name] [-peers name]
//	go run ./bench report  tables and plots from what a run has kept
//
// It imports none of the gateway's packages: what it drives is the binary.
// bench/README.md says how to read the results. It runs on Linux only.
package main
